// Package onnxgo runs models in unmodified onnx-go with its gorgonnx backend: a
// second ONNX runtime, in Go, that shares no code with ONNX Runtime.
//
// onnx-go v0.5.0 multiplies only matrices and supports neither Gather nor
// symbolic dimensions. It therefore runs files of the flat profile only: input
// one_hot, float32 (T,V), output logits, float32 (T,V), with a fixed T. A
// Session hides this: it takes token ids of any batch size and any length up to
// T.
package onnxgo

import (
	"fmt"
	"os"
	"sync"

	onnx "github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// The names of the flat profile's input and output.
const inputName = "one_hot"

var outputName = role.Logits.Name()

// idsName is the input of a Session, which replaces one_hot.
var idsName = role.Tokens.Name()

// Session runs one file of the flat profile. Several goroutines may use it;
// their runs are serialized.
type Session struct {
	mu      sync.Mutex
	backend *gorgonnx.Graph
	input   onnx.DataCarrier
	output  onnx.DataCarrier
	length  int // T
	vocab   int // V
	ran     bool
}

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
	if s.input, err = carrier(m, inputName); err != nil {
		return nil, err
	}
	if s.output, err = carrier(m, outputName); err != nil {
		return nil, err
	}
	t := s.input.GetTensor()
	if t == nil || t.Dims() != 2 {
		return nil, fmt.Errorf("onnx-go: input %.80q has no fixed shape (T,V): export it with the profile flat", inputName)
	}
	s.length, s.vocab = t.Shape()[0], t.Shape()[1]
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
			text = "it gave up on the file and did not say why"
		}
		*err = fmt.Errorf("onnx-go: %s", text)
	}
}

// Length returns T, the maximum length of a sequence.
func (s *Session) Length() int { return s.length }

// Run takes input_ids, int64 (B,T') with T' up to Length, and returns logits,
// float32 (B,T',V). Rows run one after the other. Shorter rows are padded on
// the right, which causal attention does not see.
func (s *Session) Run(inputs map[string]format.Tensor) (out map[string]format.Tensor, err error) {
	defer recovered(&err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend == nil {
		return nil, fmt.Errorf("onnx-go: the session is closed")
	}
	in, ok := inputs[idsName]
	if !ok || len(inputs) != 1 || len(in.Shape) != 2 {
		return nil, fmt.Errorf("onnx-go: expects one input, %s (B,T)", idsName)
	}
	ids, err := in.Int64s()
	if err == nil {
		err = in.WithName(idsName).CheckRange(0, int64(s.vocab-1))
	}
	if err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	batch, length := in.Shape[0], in.Shape[1]
	if length > s.length {
		return nil, fmt.Errorf("onnx-go: %d tokens for a file of fixed length %d: export with a longer one", length, s.length)
	}
	logits := make([]float32, 0, batch*length*s.vocab)
	for b := range batch {
		row, err := s.sequence(ids[b*length : (b+1)*length])
		if err != nil {
			return nil, err
		}
		logits = append(logits, row[:length*s.vocab]...)
	}
	return map[string]format.Tensor{outputName: format.FromFloat32s(outputName, []int{batch, length, s.vocab}, logits)}, nil
}

// sequence runs one sequence and returns its logits (T,V).
func (s *Session) sequence(ids []int64) ([]float32, error) {
	hot := make([]float32, s.length*s.vocab)
	for t, id := range ids {
		hot[t*s.vocab+int(id)] = 1
	}
	for t := len(ids); t < s.length; t++ {
		hot[t*s.vocab] = 1 // padding must be a token: a row of zeros has zero variance and cannot be normalized
	}
	x := tensor.New(tensor.WithShape(s.length, s.vocab), tensor.WithBacking(hot))
	if err := s.input.SetTensor(x); err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	y, ok := s.output.GetTensor().Data().([]float32)
	if !ok || len(y) != s.length*s.vocab {
		return nil, fmt.Errorf("onnx-go: output %.80q is not float32 (%d,%d)", outputName, s.length, s.vocab)
	}
	return y, nil
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
