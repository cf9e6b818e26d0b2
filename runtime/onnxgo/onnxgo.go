// Package onnxgo runs models in unmodified onnx-go with its gorgonnx backend: a
// second ONNX runtime, in Go, that shares no code with ONNX Runtime.
//
// onnx-go v0.5.0 multiplies only matrices and supports neither Gather nor
// symbolic dimensions. It therefore runs files of the flat profile only: input
// one_hot, float32 (T,V), output logits, float32 (T,V) or (1,N) for the whole
// text, with a fixed T. A Session hides this: it takes token ids of any batch
// size and any length up to T. A file may take an attention_mask, float32 (1,T),
// too, or features, float32 (R,F), instead. Files of other tools are run by AnyFile, as
// far as onnx-go takes them.
package onnxgo

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	onnx "github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// inputName is the input of the flat profile that replaces the token ids.
const inputName = "one_hot"

// The names of a Session's inputs and outputs.
var (
	outputName     = role.Logits.Name()
	predictionName = role.Prediction.Name()
	idsName        = role.Tokens.Name()
	maskName       = role.AttentionMask.Name()
	featuresName   = role.Features.Name()
)

// Session runs one file of the flat profile. Several goroutines may use it;
// their runs are serialized.
type Session struct {
	mu      sync.Mutex
	backend *gorgonnx.Graph
	input   onnx.DataCarrier
	mask    onnx.DataCarrier // nil: none
	output  onnx.DataCarrier
	name    string // of the output
	numbers bool   // the input is features
	length  int    // T, or R
	width   int    // V, or F
	ran     bool
	blind   bool // a shorter text has shown that padding changes nothing
}

// ErrPadding reports a text shorter than the file's length, whose padding the
// network would read.
var ErrPadding = errors.New("the network reads what follows a text, and the file has no " + maskName + " to hide padding")

// firstRun serializes the first runs of all models: they write to tables that
// Gorgonia shares without a lock.
var firstRun sync.Mutex

// Open reads an ONNX file of the flat profile.
func Open(path string) (*Session, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// OpenBytes reads an ONNX model of the flat profile.
func OpenBytes(model []byte) (s *Session, err error) {
	defer recovered(&err)
	s = &Session{backend: gorgonnx.NewGraph()}
	m := onnx.NewModel(s.backend)
	if err := m.UnmarshalBinary(model); err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	name := inputName
	if _, s.numbers = m.GetNodeByName(featuresName); s.numbers {
		name = featuresName
	}
	if s.input, err = carrier(m, name); err != nil {
		return nil, err
	}
	if _, masked := m.GetNodeByName(maskName); masked {
		if s.mask, err = carrier(m, maskName); err != nil {
			return nil, err
		}
	}
	s.name = outputName
	if _, predicts := m.GetNodeByName(predictionName); s.numbers && predicts {
		s.name = predictionName
	}
	if s.output, err = carrier(m, s.name); err != nil {
		return nil, err
	}
	t := s.input.GetTensor()
	if t == nil || t.Dims() != 2 {
		return nil, fmt.Errorf("onnx-go: input %.80q has no fixed shape of two dimensions: export it with the profile flat", name)
	}
	s.length, s.width = t.Shape()[0], t.Shape()[1]
	return s, nil
}

func carrier(m *onnx.Model, name string) (onnx.DataCarrier, error) {
	n, ok := m.GetNodeByName(name)
	if !ok {
		return nil, fmt.Errorf("onnx-go: the file has no %.80q: export it with the profile flat", name)
	}
	c, ok := n.(onnx.DataCarrier)
	if !ok {
		return nil, fmt.Errorf("onnx-go: %.80q carries no tensor", name)
	}
	return c, nil
}

// recovered converts a panic to an error: onnx-go and Gorgonia panic on many
// unsupported graphs.
func recovered(err *error) {
	if r := recover(); r != nil {
		text := fmt.Sprint(r)
		if text == "<nil>" {
			text = gaveUp
		}
		*err = fmt.Errorf("onnx-go: %s", text)
	}
}

// gaveUp is the reason where onnx-go gives none.
const gaveUp = "it gave up on the file and did not say why"

// Length returns T, the maximum length of a sequence, or R, the rows of
// features that run together.
func (s *Session) Length() int { return s.length }

// Run takes input_ids, int64 (B,T') with T' up to Length, and returns logits,
// float32 (B,T',V), or (B,N) if the file scores whole texts. Rows run one after
// the other. Shorter rows are padded on the right, which causal attention does
// not see; others need a file with attention_mask, which is int64 (B,T') here, and
// Run refuses such a text without it with an error that matches ErrPadding.
// A file on features takes them as float32 (B,F) and returns its output (B,N).
func (s *Session) Run(inputs map[string]format.Tensor) (out map[string]format.Tensor, err error) {
	defer recovered(&err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend == nil {
		return nil, fmt.Errorf("onnx-go: the session is closed")
	}
	var t format.Tensor
	if s.numbers {
		t, err = s.rows(inputs)
	} else {
		t, err = s.texts(inputs)
	}
	if err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	return map[string]format.Tensor{s.name: t}, nil
}

// texts runs each sequence of a batch.
func (s *Session) texts(inputs map[string]format.Tensor) (out format.Tensor, err error) {
	in, ok := inputs[idsName]
	mask, masked := inputs[maskName]
	switch {
	case s.mask == nil && (!ok || len(inputs) != 1 || len(in.Shape) != 2):
		return out, fmt.Errorf("expects one input, %s (B,T)", idsName)
	case s.mask != nil && (!ok || !masked || len(inputs) != 2 || len(in.Shape) != 2 || !slices.Equal(in.Shape, mask.Shape)):
		return out, fmt.Errorf("expects two inputs, %s (B,T) and %s (B,T)", idsName, maskName)
	}
	ids, err := in.Int64s()
	if err == nil {
		err = in.WithName(idsName).CheckRange(0, int64(s.width-1))
	}
	var counts []int64
	if err == nil && masked {
		counts, err = mask.Int64s()
	}
	if err == nil && masked {
		err = mask.WithName(maskName).CheckRange(0, 1)
	}
	if err != nil {
		return out, err
	}
	batch, length := in.Shape[0], in.Shape[1]
	if length > s.length {
		return out, fmt.Errorf("%d tokens for a file of fixed length %d: export with a longer one", length, s.length)
	}
	var logits []float32
	shape := []int{batch, length, 0}
	for b := range batch {
		if masked {
			if err := s.attend(counts[b*length : (b+1)*length]); err != nil {
				return out, err
			}
		}
		row, height, err := s.sequence(ids[b*length : (b+1)*length])
		if err != nil {
			return out, err
		}
		width := len(row) / height
		if shape = []int{batch, length, width}; height != s.length { // scores of the whole text
			shape = []int{batch, width}
			logits = append(logits, row...)
			continue
		}
		logits = append(logits, row[:length*width]...)
	}
	return format.FromFloat32s(s.name, shape, logits), nil
}

// attend sets the mask of a sequence. Padding does not count.
func (s *Session) attend(counts []int64) error {
	mask := make([]float32, s.length)
	for t, n := range counts {
		mask[t] = float32(n)
	}
	return s.mask.SetTensor(tensor.New(tensor.WithShape(1, s.length), tensor.WithBacking(mask)))
}

// sequence runs one sequence and returns its logits, and their rows: T, or one
// for the whole text.
func (s *Session) sequence(ids []int64) (logits []float32, rows int, err error) {
	logits, rows, err = s.padded(ids, 0)
	if err != nil || len(ids) == s.length || s.mask != nil || s.blind || s.width < 2 {
		return logits, rows, err
	}
	// The file does not say whether a token sees the ones after it: try other
	// padding.
	logits = slices.Clone(logits) // the next run may write to the same memory
	again, _, err := s.padded(ids, 1)
	if err != nil {
		return nil, 0, err
	}
	seen := len(logits) / rows * min(rows, len(ids))
	if s.blind = slices.Equal(logits[:seen], again[:seen]); !s.blind {
		return nil, 0, fmt.Errorf("%d tokens for a file of fixed length %d: %w: give %d tokens, or export a network with a mask", len(ids), s.length, ErrPadding, s.length)
	}
	return logits, rows, nil
}

// padded runs one sequence with the given token after its end.
func (s *Session) padded(ids []int64, pad int) (logits []float32, rows int, err error) {
	hot := make([]float32, s.length*s.width)
	for t, id := range ids {
		hot[t*s.width+int(id)] = 1
	}
	for t := len(ids); t < s.length; t++ {
		hot[t*s.width+pad] = 1 // padding must be a token: a row of zeros has zero variance and cannot be normalized
	}
	if logits, rows, err = s.compute(hot); err == nil && rows != s.length && rows != 1 {
		err = fmt.Errorf("output %.80q has %d rows for %d tokens", s.name, rows, s.length)
	}
	return logits, rows, err
}

// rows runs features, as many rows at a time as the file takes.
func (s *Session) rows(inputs map[string]format.Tensor) (out format.Tensor, err error) {
	in, ok := inputs[featuresName]
	if !ok || len(inputs) != 1 || len(in.Shape) != 2 || in.Shape[1] != s.width {
		return out, fmt.Errorf("expects one input, %s (B,%d)", featuresName, s.width)
	}
	x, err := in.Float32s()
	if err != nil {
		return out, err
	}
	batch, width := in.Shape[0], 0
	var all []float32
	for b := 0; b < batch; b += s.length {
		some := make([]float32, s.length*s.width)
		copy(some, x[b*s.width:])
		y, height, err := s.compute(some)
		if err != nil {
			return out, err
		}
		if height != s.length {
			return out, fmt.Errorf("output %.80q has %d rows for %d of features", s.name, height, s.length)
		}
		width = len(y) / height
		all = append(all, y[:min(s.length, batch-b)*width]...)
	}
	return format.FromFloat32s(s.name, []int{batch, width}, all), nil
}

// compute runs the file on its input and returns the output and its rows.
func (s *Session) compute(in []float32) (out []float32, rows int, err error) {
	if err := s.input.SetTensor(tensor.New(tensor.WithShape(s.length, s.width), tensor.WithBacking(in))); err != nil {
		return nil, 0, err
	}
	if err := s.run(); err != nil {
		return nil, 0, err
	}
	t := s.output.GetTensor()
	y, ok := t.Data().([]float32)
	if !ok || t.Dims() != 2 || t.Shape()[0] < 1 || len(y) != t.Shape().TotalSize() {
		return nil, 0, fmt.Errorf("output %.80q is not float32 of two dimensions", s.name)
	}
	return y, t.Shape()[0], nil
}

func (s *Session) run() error {
	if !s.ran {
		firstRun.Lock()
		defer firstRun.Unlock()
		g, err := s.backend.GetExprGraph()
		if err != nil {
			return err
		}
		m, err := newMachine(g)
		if err != nil {
			return err
		}
		s.backend.SetVM(m)
		s.ran = true
	}
	return s.backend.Run()
}

// Close releases the model.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backend, s.input, s.output = nil, nil, nil
	return nil
}

// Runtime describes onnx-go for the list of runtimes. It takes files of the
// flat profile.
var Runtime = runtime.Runtime{
	Name: "onnx-go", Whole: true,
	Open: func(f runtime.File, _ runtime.Options) (runtime.Session, error) {
		if f.Path != "" {
			return Open(f.Path)
		}
		return OpenBytes(f.Data)
	},
}
