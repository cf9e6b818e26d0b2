package onnxgo

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	onnx "github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// AnyFile runs an ONNX file of any tool, as far as onnx-go takes it. What it does not
// take is an error that matches runtime.ErrUnavailable and names it: for onnx-go it is
// the rule.
type AnyFile struct{ data []byte }

// OpenAny opens an ONNX file with all of its weights in it.
func OpenAny(f runtime.File, _ runtime.Options) (runtime.Session, error) {
	data := f.Data
	if f.Path != "" {
		var err error
		if data, err = os.ReadFile(f.Path); err != nil {
			return nil, err
		}
	}
	return &AnyFile{data}, nil
}

// Run reads the file anew, because onnx-go's graphs have the sizes of their first
// inputs.
func (a *AnyFile) Run(inputs map[string]format.Tensor) (out map[string]format.Tensor, err error) {
	defer func() {
		if err != nil {
			out, err = nil, refused(err)
		}
	}()
	defer recovered(&err)
	backend := gorgonnx.NewGraph()
	m := onnx.NewModel(backend)
	if err := m.UnmarshalBinary(a.data); err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	for _, id := range m.Input {
		n := backend.Node(id).(*gorgonnx.Node)
		t, ok := inputs[n.GetName()]
		if !ok {
			return nil, fmt.Errorf("onnx-go: input %.80q is missing", n.GetName())
		}
		x, err := dense(t)
		if err != nil {
			return nil, err
		}
		if err := n.SetTensor(x); err != nil {
			return nil, fmt.Errorf("onnx-go: input %.80q: %w", n.GetName(), err)
		}
	}
	if n, ok := m.GetNodeByName(""); ok && backend.To(n.ID()).Len() > 0 {
		return nil, errors.New("onnx-go: an input of a node is left out, which it does not support")
	}
	for _, id := range m.Output {
		if backend.To(id).Len() > 0 {
			return nil, fmt.Errorf("onnx-go: output %.80q is an input of a node too, which it does not support", backend.Node(id).(*gorgonnx.Node).GetName())
		}
	}
	s := Session{backend: backend}
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	out = map[string]format.Tensor{}
	for _, id := range m.Output {
		n := backend.Node(id).(*gorgonnx.Node)
		if out[n.GetName()], err = plain(n.GetName(), n.GetTensor()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Close does nothing.
func (a *AnyFile) Close() error { return nil }

// refused marks an error as something that onnx-go does not take.
func refused(err error) error {
	reason := strings.TrimPrefix(err.Error(), "onnx-go: ")
	if missing := new(onnx.ErrNotImplemented); errors.As(err, &missing) {
		switch {
		case missing == nil: // onnx-go wraps a nil pointer where an operator has a default that it cannot compute
			reason = gaveUp
		case missing.AttributeName != "":
			reason = fmt.Sprintf("onnx-go does not take the attribute %.80s of %.80s", missing.AttributeName, missing.Operator)
		default:
			reason = fmt.Sprintf("onnx-go has no operator %.80s", missing.Operator)
		}
	}
	if strings.Contains(reason, "<nil>") || strings.Contains(reason, "of ;") || strings.HasSuffix(reason, "of ") {
		reason = gaveUp // a text about what it did not find
	}
	return &runtime.UnavailableError{Runtime: "onnx-go", Reason: reason, Remedy: "the other runtimes are compared without it"}
}

// dense returns a tensor of Gorgonia's.
func dense(t format.Tensor) (x tensor.Tensor, err error) {
	var backing any
	switch t.DType {
	case format.Float32:
		backing, err = t.Float32s()
	case format.Float64:
		backing, err = t.Float64s()
	case format.Int64:
		backing, err = t.Int64s()
	default:
		err = fmt.Errorf("onnx-go: input %.80q is %s, which it does not take", t.Name, t.DType)
	}
	if err != nil {
		return nil, err
	}
	if len(t.Shape) == 0 {
		return nil, fmt.Errorf("onnx-go: input %.80q is a scalar, which it does not take", t.Name)
	}
	return tensor.New(tensor.WithShape(t.Shape...), tensor.WithBacking(backing)), nil
}

// plain returns a tensor of ours.
func plain(name string, t tensor.Tensor) (format.Tensor, error) {
	if t == nil {
		return format.Tensor{}, fmt.Errorf("onnx-go: output %.80q has no value", name)
	}
	shape := slices.Clone([]int(t.Shape()))
	if d, ok := t.(*tensor.Dense); ok && d.RequiresIterator() {
		t = d.Materialize()
	}
	switch x := t.Data().(type) {
	case []float32:
		return checked(format.FromFloat32s(name, shape, x))
	case float32:
		return checked(format.FromFloat32s(name, shape, []float32{x}))
	case []float64:
		return checked(format.FromFloat64s(name, shape, x))
	case float64:
		return checked(format.FromFloat64s(name, shape, []float64{x}))
	case []int64:
		return checked(format.FromInt64s(name, shape, x))
	default:
		return format.Tensor{}, fmt.Errorf("onnx-go: output %.80q holds %T, which is not compared", name, x)
	}
}

func checked(t format.Tensor) (format.Tensor, error) { return t, t.Check() }
