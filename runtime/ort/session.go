//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/leak"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

var (
	_ runtime.Session = (*Session)(nil)
	_ runtime.Stopper = (*Session)(nil)
)

// Session runs one model in ONNX Runtime. Several goroutines may use it; their
// runs are serialized. If a session is dropped without Close, the garbage
// collector frees it.
type Session struct {
	mu sync.Mutex
	*held
	ending  sync.Mutex      // held while current changes
	current *ort.RunOptions // of the run in progress; nil: none
	guard   leak.Guard
	name    string // of the model, for errors
	takes   declared.Signature
	gives   []runtime.Value // the outputs as ONNX Runtime gives them: see additions
	version string
	device  string
	noCUDA  error

	last     [][]int // input shapes of the last run; nil if it failed
	distrust bool    // the declared output shapes turned out to be wrong
	sure     [][]int // shapes of outputs that are inputs, and of those that turned out to be scalars; nil: another output
}

// held is the part of a Session outside Go's heap. It does not refer to the
// Session, so that it can be freed once the Session is unreachable.
type held struct {
	session *ort.DynamicAdvancedSession // nil once closed
	outputs []*value                    // of the last run, to be reused; nil if there is none
}

func (h *held) free() error {
	for i, v := range h.outputs {
		v.destroy()
		h.outputs[i] = nil
	}
	err := h.session.Destroy()
	h.session = nil
	return err
}

// watch arranges that held is freed if s is dropped.
func (s *Session) watch() *Session {
	h := s.held
	s.guard = leak.Watch(s, "the ONNX Runtime session of "+s.name, func() { h.free() }) // there is nobody to report an error to
	return s
}

// Run computes every output from the inputs, given by name, which must have the
// declared types and shapes. An id outside the table in which the model looks it
// up is a *format.RangeError.
//
// The returned tensors are valid until the next Run, which may write its results
// into the same memory. Goroutines that share a session use RunThen instead.
func (s *Session) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run(inputs)
}

// RunThen runs the model and calls read with the outputs before another run of
// this session can overwrite them. It returns the error of either. read must
// not use the session.
func (s *Session) RunThen(inputs map[string]format.Tensor, read func(outputs map[string]format.Tensor) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	outputs, err := s.run(inputs)
	if err != nil {
		return err
	}
	return read(outputs)
}

func (s *Session) run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	if s.session == nil {
		return nil, fmt.Errorf("%s: the session is closed", s.name)
	}
	names, err := s.takes.Bind(inputs)
	if err == nil {
		err = s.takes.CheckIDs(inputs)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	in := make([]ort.Value, len(s.takes.Inputs), len(s.takes.Inputs)+1)
	shapes := make([][]int, len(in))
	for i, want := range s.takes.Inputs {
		t := inputs[want.Name]
		v, err := newValue(t.DType, t.Shape, t.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: input %.80q: %w", s.name, want.Name, err)
		}
		defer v.destroy()
		in[i], shapes[i] = v.ort, v.shape
	}
	if len(in) == 0 {
		v, err := newValue(format.Float32, []int{1}, make([]byte, 4))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer v.destroy()
		in = append(in, v.ort) // for unread
	}

	same := s.last != nil && slices.EqualFunc(s.last, shapes, slices.Equal)
	s.last = nil
	s.pass(inputs)
	if err := s.prepare(names, same); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	prepared := slices.ContainsFunc(s.outputs, func(v *value) bool { return v != nil && len(v.shape) > 0 }) ||
		slices.ContainsFunc(s.sure, func(shape []int) bool { return shape != nil })
	err = s.call(in, names)
	if err != nil && prepared && !s.distrust {
		// The declared shapes may be wrong, or a shape may depend on the inputs' values
		// and not only on their shapes. ONNX Runtime then refuses the prepared memory,
		// but allocates if there is none.
		s.distrust = true
		clear(s.sure)
		s.pass(inputs)
		if err2 := s.prepare(names, false); err2 == nil {
			err2 = s.call(in, names)
			if err2 == nil {
				err = nil
			}
		}
		s.distrust = err == nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, runFailed(err, s.takes.Ordered(inputs)))
	}
	s.last = shapes
	results := make(map[string]format.Tensor, len(s.outputs))
	for i, v := range s.outputs {
		name, dtype := s.takes.Outputs[i].Name, s.takes.Outputs[i].DType
		if t, passed := inputs[name]; passed {
			// ONNX Runtime returns the input itself and leaves the output's memory unwritten.
			t.Shape, t.Data = slices.Clone(t.Shape), slices.Clone(t.Data)
			results[name] = t.WithName(name)
			continue
		}
		t := v.tensor(name)
		if t.DType != dtype {
			if t, _, err = t.Convert(dtype); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		results[name] = t
	}
	return results, nil
}

// pass notes the shapes of the outputs that are inputs.
func (s *Session) pass(inputs map[string]format.Tensor) {
	for i, out := range s.takes.Outputs {
		if t, ok := inputs[out.Name]; ok {
			s.sure[i] = append([]int{}, t.Shape...)
		}
	}
}

// prepare fills s.outputs with memory for this run, as far as the shapes are
// known: the memory of the last run if it fits, otherwise new memory.
func (s *Session) prepare(names map[string]int, same bool) error {
	for i, out := range s.gives {
		old := s.outputs[i]
		if old != nil && same && !s.distrust {
			continue
		}
		shape, known := declared.ShapeOf(out, names)
		scalar := known && len(shape) == 0 // always prepared: the binding cannot allocate a scalar
		if s.distrust && !scalar {
			known = false
		}
		if s.sure[i] != nil {
			shape, known = s.sure[i], true
		}
		if old != nil && known && slices.Equal(old.shape, shape) {
			continue
		}
		old.destroy()
		s.outputs[i] = nil
		if !known {
			if elementOf(out.DType).tensor == nil {
				return fmt.Errorf("output %s: this type is supported only where the file declares a shape that follows from the inputs", out)
			}
			continue
		}
		n, _ := format.Elements(shape)
		v, err := newValue(out.DType, shape, make([]byte, n*out.DType.Size()))
		if err != nil {
			return fmt.Errorf("output %.80q: %w", out.Name, err)
		}
		s.outputs[i] = v
	}
	return nil
}

// call runs the model on s.outputs and keeps the tensors that were allocated
// for outputs without memory. The binding cannot allocate a scalar: call learns that
// an output is one, and runs the model again.
func (s *Session) call(in []ort.Value, names map[string]int) error {
	for {
		again, err := s.callOnce(in)
		if err != nil || !again {
			return err
		}
		if err := s.prepare(names, false); err != nil {
			return err
		}
	}
}

// callOnce is one run of call; again reports whether it found a scalar.
func (s *Session) callOnce(in []ort.Value) (again bool, err error) {
	out := make([]ort.Value, len(s.outputs))
	for i, v := range s.outputs {
		if v != nil {
			out[i] = v.ort
		}
	}
	err = s.runStoppable(in, out)
	scalar := -1
	if errors.Is(err, ort.ZeroShapeLengthError) {
		// The binding stopped at the first output that is a scalar: it is set, to a nil
		// pointer. The binding forgets the memory of those after it.
		for i, v := range out {
			if s.outputs[i] == nil && v != nil {
				scalar = i
			}
		}
	}
	if scalar < 0 && err != nil {
		return false, err
	}
	var bad error
	for i := range out {
		switch {
		case s.outputs[i] != nil || out[i] == nil:
			continue
		case i == scalar:
			s.sure[i], again = []int{}, true
			continue
		}
		v, err := keep(out[i], s.gives[i].DType)
		if err != nil {
			bad = fmt.Errorf("output %.80q: %w", s.takes.Outputs[i].Name, err)
		}
		s.outputs[i] = v
	}
	return again, bad
}

// runStoppable runs the model on values.
func (s *Session) runStoppable(in, out []ort.Value) error {
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	set := func(o *ort.RunOptions) {
		s.ending.Lock()
		s.current = o
		s.ending.Unlock()
	}
	set(options)
	defer options.Destroy()
	defer set(nil)
	return s.session.RunWithOptions(in, out, options)
}

// Stop ends a Run in progress with an error, once ONNX Runtime is between two nodes.
func (s *Session) Stop() {
	s.ending.Lock()
	defer s.ending.Unlock()
	if s.current != nil {
		s.current.Terminate()
	}
}

// Inputs returns the model's inputs without weights, in the file's order.
func (s *Session) Inputs() []runtime.Value { return slices.Clone(s.takes.Inputs) }

// Outputs returns the model's outputs, in the file's order.
func (s *Session) Outputs() []runtime.Value { return slices.Clone(s.takes.Outputs) }

// Metadata returns the value of a key in the model's metadata_props; ok is
// false if the key is missing or the session is closed.
func (s *Session) Metadata(key string) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return "", false
	}
	m, err := s.session.GetModelMetadata()
	if err != nil {
		return "", false
	}
	defer m.Destroy()
	value, ok, err = m.LookupCustomMetadataMap(key)
	return value, ok && err == nil
}

// Device returns the device the session runs on: "cpu" or "cuda".
func (s *Session) Device() string { return s.device }

// NoCUDA returns why a session opened with Device "auto" runs on the CPU. It is
// nil if the session runs on CUDA, or if CUDA was not requested.
func (s *Session) NoCUDA() error { return s.noCUDA }

// Version returns the version of ONNX Runtime, such as "1.30.0".
func (s *Session) Version() string { return s.version }

// Close frees the model. Tensors that Run returned stay readable. A second
// Close does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil
	}
	s.guard.Closed()
	return s.free()
}
