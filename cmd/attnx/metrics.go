package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/train"
)

// metric is one line of metrics.jsonl.
type metric struct {
	Step            int      `json:"step"`
	Loss            float64  `json:"loss"`
	ValLoss         *float64 `json:"val_loss"` // null between evaluations
	LR              float64  `json:"lr"`
	TokensPerSecond float64  `json:"tokens_per_second"`
	GFLOPS          float64  `json:"gflops"`
	GEMMShare       *float64 `json:"gemm_share"` // of the speed of a matrix product; null where it was not measured
}

// metricsLog is metrics.jsonl, a line a step: written as the steps come, so
// that another program can follow a run.
type metricsLog struct {
	history []metric
	file    *os.File
	err     error // the first of any write
}

// openMetrics opens the file of a run that stands at the given step. Lines of
// later steps, from a run that went further than its checkpoint, are dropped.
func openMetrics(path string, step int) (*metricsLog, error) {
	history, err := readMetrics(path)
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
	l.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return l, err
}

// maxMetric bounds a line of metrics.jsonl, in bytes.
const maxMetric = 64 << 10

// readMetrics returns the lines of an earlier part of a run, none where there
// is no file. What a power cut left at the end, half a line or zeros, does not
// count.
func readMetrics(path string) ([]metric, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // to open a pipe would wait for its writer
		return nil, fmt.Errorf("%s: it is not a regular file: move it away to continue without it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var history []metric
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
		var m metric
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

func writeMetric(w io.Writer, m metric) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// add appends a step.
func (l *metricsLog) add(e train.Event, p bench.Pace) {
	m := metric{Step: e.Step, Loss: e.Loss, LR: e.LR, TokensPerSecond: math.Round(e.TokensPerSecond), GFLOPS: math.Round(10*p.GFLOPS) / 10}
	if p.Share != nil {
		share := math.Round(1000**p.Share) / 1000
		m.GEMMShare = &share
	}
	if !math.IsNaN(e.ValLoss) {
		m.ValLoss = &e.ValLoss
	}
	l.history = append(l.history, m)
	if l.err == nil {
		l.err = writeMetric(l.file, m)
	}
}

// Close closes the file and returns the first error of any write. Closing
// again does nothing.
func (l *metricsLog) Close() error {
	if l.file != nil {
		l.err = errors.Join(l.err, l.file.Close())
		l.file = nil
	}
	return l.err
}
