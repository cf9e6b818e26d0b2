//go:build cgo

package ort

import (
	"fmt"
	goruntime "runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/leak"
	"github.com/attnx/attnx/runtime/declared"
)

// bound is a model with the tensors that it runs on.
type bound struct {
	session *Session
	inputs  map[string]format.Tensor
	in, out []ort.Value
	scalars []func() // each copies a scalar result to its destination
	guard   leak.Guard
}

func (b *bound) run() error {
	s := b.session
	s.mu.Lock()
	defer s.mu.Unlock()
	defer goruntime.KeepAlive(b)
	if s.session == nil {
		return fmt.Errorf("%s: the session is closed", s.name)
	}
	if err := s.takes.CheckIDs(b.inputs); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err := s.session.Run(b.in, b.out); err != nil {
		return fmt.Errorf("%s: %w", s.name, runError(err))
	}
	for _, read := range b.scalars {
		read()
	}
	return nil
}

// Bind returns a function that runs the model on the memory of the given inputs,
// with its contents at the time of the call, and writes the results into the
// memory of the given outputs. Except for scalars, a run neither copies nor
// allocates tensors. The tensors have the names, types and shapes of all the
// model's inputs and outputs, in any order. Their memory must not move until
// release. Call release when no run is in progress; the garbage collector calls
// it if run and release are dropped.
func (s *Session) Bind(inputs, outputs []format.Tensor) (run func() error, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil, nil, fmt.Errorf("%s: the session is closed", s.name)
	}
	if err := bindable(s.takes); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.name, err)
	}
	given := map[string]format.Tensor{}
	for _, t := range inputs {
		given[t.Name] = t
	}
	names, err := s.takes.Bind(given)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.name, err)
	}
	var held []*value
	free := sync.OnceFunc(func() {
		for _, v := range held {
			v.destroy()
		}
	})
	hold := func(t format.Tensor, copied bool) (ort.Value, error) {
		v, err := newValue(t.DType, t.Shape, t.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %.80q: %w", s.name, t.Name, err)
		}
		held = append(held, v)
		if !copied && len(t.Data) > 0 && (len(v.data) == 0 || &v.data[0] != &t.Data[0]) {
			return nil, fmt.Errorf("%s: %.80q: its memory is not aligned for %s", s.name, t.Name, t.DType)
		}
		return v.ort, nil
	}
	in := make([]ort.Value, len(s.takes.Inputs))
	for i, want := range s.takes.Inputs {
		t := given[want.Name]
		if len(t.Shape) == 0 {
			err = fmt.Errorf("%s: input %.80q is a scalar, which the binding copies: give it the shape [1]", s.name, want.Name)
		} else {
			in[i], err = hold(t, false)
		}
		if err != nil {
			free()
			return nil, nil, err
		}
	}
	if len(in) == 0 { // for unread
		v, err := hold(format.Tensor{Name: unread, DType: format.Float32, Shape: []int{1}, Data: make([]byte, 4)}, false)
		if err != nil {
			free()
			return nil, nil, err
		}
		in = append(in, v)
	}
	results := map[string]format.Tensor{}
	for _, t := range outputs {
		results[t.Name] = t
	}
	out := make([]ort.Value, len(s.takes.Outputs))
	var scalars []func()
	for i, want := range s.takes.Outputs {
		t, ok := results[want.Name]
		shape, known := declared.ShapeOf(want, names)
		if !ok || t.DType != want.DType || !known || fmt.Sprint(t.Shape) != fmt.Sprint(shape) || t.Check() != nil {
			free()
			return nil, nil, fmt.Errorf("%s: output %s: given is %.80q %s%v", s.name, want, t.Name, t.DType, t.Shape)
		}
		if out[i], err = hold(t, len(shape) == 0); err != nil {
			free()
			return nil, nil, err
		}
		if v := held[len(held)-1]; len(shape) == 0 {
			scalars = append(scalars, func() { copy(t.Data, v.tensor("").Data) })
		}
	}
	b := &bound{session: s, inputs: given, in: in, out: out, scalars: scalars}
	b.guard = leak.Watch(b, "what is bound to the ONNX Runtime session of "+s.name, free)
	release = func() {
		b.guard.Closed()
		free()
	}
	return b.run, release, nil
}
