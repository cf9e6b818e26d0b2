package attnx

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/format/tensorboard"
	"github.com/attnx/attnx/internal/speed"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// Metric describes one step of a run: a line of metrics.jsonl.
type Metric struct {
	Step            int           `json:"step"` // steps done, from 1
	Loss            float64       `json:"loss"`
	ValLoss         *float64      `json:"val_loss"`          // nil unless the step was followed by an evaluation
	LR              float64       `json:"lr"`                // the learning rate
	TokensPerSecond float64       `json:"tokens_per_second"` // examples, if there are no tokens
	GFLOPS          float64       `json:"gflops"`            // billions of operations per second
	Tokens          int           `json:"tokens,omitempty"`  // of the step
	Scores          *score.Scores `json:"scores,omitempty"`  // of held-out translations, after an evaluation; nil for other runs

	GEMMShare *float64 `json:"gemm_share"` // share of the speed of a matrix product; nil if it was not measured
}

// speedometer converts tokens per second to GFLOP/s.
type speedometer struct {
	flop     float64 // per token
	peak     float64 // GFLOP/s of a matrix product; 0 if it was not measured
	overPeak float64 // GFLOP/s of the fastest step that exceeded the peak
}

// newSpeedometer measures a matrix product if ONNX Runtime trains on the CPU.
// This takes a tenth of a second and shows how much of the machine a run uses.
// On a GPU the product would measure the transfer.
func newSpeedometer(c *model.Checkpoint, d *train.Data, engine, device string) (*speedometer, error) {
	flop, err := train.TokenFLOP(c, d)
	s := &speedometer{flop: flop}
	if err != nil || engine != "ort" || device != "cpu" {
		return s, err
	}
	if s.peak, err = speed.Product(5, func(g *graph.Graph) (runtime.Device, error) { return OpenGraph(g, Options{}) }); errors.Is(err, runtime.ErrUnavailable) {
		err = nil
	}
	return s, err
}

// metric describes a step, with rounded numbers.
func (s *speedometer) metric(e train.Event) Metric {
	gflops := e.TokensPerSecond * s.flop / 1e9
	m := Metric{Step: e.Step, Loss: e.Loss, LR: e.LR, Tokens: e.Tokens, TokensPerSecond: math.Round(e.TokensPerSecond), GFLOPS: math.Round(10*gflops) / 10}
	share, busy := speed.Share(gflops, s.peak)
	if share != nil {
		rounded := math.Round(1000**share) / 1000
		m.GEMMShare = &rounded
	}
	if busy {
		s.overPeak = max(s.overPeak, gflops)
	}
	if !math.IsNaN(e.ValLoss) {
		m.ValLoss = &e.ValLoss
	}
	return m
}

// metricsLog is metrics.jsonl, one line per step, and an event file for
// TensorBoard. Both are written immediately, so that other programs can follow a
// run.
type metricsLog struct {
	history []Metric
	file    *os.File
	board   *tensorboard.Writer
	events  string // path of the event file
	err     error  // the first write error
}

// openMetrics opens the files of a run at the given step. It drops lines of
// later steps, from a run that went further than its checkpoint.
func openMetrics(folder string, step int) (*metricsLog, error) {
	path := filepath.Join(folder, store.MetricsName)
	history, err := ReadMetrics(path)
	if err != nil {
		return nil, err
	}
	l := &metricsLog{}
	for _, m := range history {
		if m.Step <= step {
			l.history = append(l.history, m)
		}
	}
	err = store.Save(path, func(w io.Writer) error {
		for _, m := range l.history {
			if err := writeMetric(w, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if l.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, err
	}
	if l.board, l.events, err = tensorboard.Create(folder, step+1); err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// maxMetric bounds the bytes of a line in metrics.jsonl.
const maxMetric = 64 << 10

// ReadMetrics reads the metrics.jsonl of a run, which may be in progress. It
// returns none if the file does not exist. It ignores a damaged end, half a line
// or zeros, as a power failure leaves it.
func ReadMetrics(path string) ([]Metric, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // opening a pipe would block until something writes to it
		return nil, fmt.Errorf("%s: it is not a regular file: move it away to continue without it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var history []Metric
	lines := bufio.NewReaderSize(f, maxMetric)
	for {
		line, err := lines.ReadSlice('\n')
		ended := err == nil
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, err
		}
		if len(line) == 0 || !ended && line[0] == 0 {
			return history, nil
		}
		var m Metric
		invalid := json.Unmarshal(line, &m)
		switch {
		case invalid != nil && err == io.EOF:
			return history, nil
		case invalid == nil && len(history) > 0 && m.Step <= history[len(history)-1].Step:
			invalid = fmt.Errorf("step %d after step %d", m.Step, history[len(history)-1].Step)
		}
		if invalid != nil {
			return nil, fmt.Errorf("%s: line %d: %w: move the file away to continue without it", path, len(history)+1, invalid)
		}
		history = append(history, m)
	}
}

func writeMetric(w io.Writer, m Metric) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// add appends a step.
func (l *metricsLog) add(m Metric) {
	l.history = append(l.history, m)
	if l.err == nil {
		l.err = errors.Join(writeMetric(l.file, m), l.board.Scalars(m.Step, m.scalars()))
	}
}

// scalars are the numbers of a step by TensorBoard's names.
func (m Metric) scalars() []tensorboard.Scalar {
	s := []tensorboard.Scalar{{Tag: "loss/train", Value: m.Loss}, {Tag: "learning_rate", Value: m.LR}, {Tag: "speed/tokens_per_second", Value: m.TokensPerSecond}}
	if m.ValLoss != nil {
		s = append(s, tensorboard.Scalar{Tag: "loss/validation", Value: *m.ValLoss})
	}
	if m.Scores != nil {
		s = append(s, tensorboard.Scalar{Tag: "score/bleu", Value: m.Scores.BLEU}, tensorboard.Scalar{Tag: "score/chrf", Value: m.Scores.ChrF})
	}
	return s
}

// Close closes the file and returns the first write error. A second Close does
// nothing.
func (l *metricsLog) Close() error {
	if l.file != nil {
		l.err = errors.Join(l.err, l.file.Close(), l.board.Close())
		l.file = nil
	}
	return l.err
}
