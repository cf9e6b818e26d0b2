package gorgonia

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// Conversion between tensors of package format and the memory of a program.

// set sets a leaf. It shares the tensor's memory if the element types agree.
func (p *program[E]) set(g given, t format.Tensor) error {
	if t.DType != g.dtype && !(t.DType.Float() && g.dtype.Float()) {
		return fmt.Errorf("train: %.80q is %s, expects %s", g.name, t.DType, g.dtype)
	}
	if err := t.Check(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if g.slot < 0 {
		return nil
	}
	if !slices.Equal(t.Shape, g.shape) {
		return fmt.Errorf("train: %.80q has shape %v, expects %v", g.name, t.Shape, g.shape)
	}
	slot := &p.slots[g.slot]
	var shared any
	var err error
	switch t.DType {
	case format.Float32:
		shared, err = t.Float32s()
	case format.Float64:
		shared, err = t.Float64s()
	case format.Int64:
		slot.i, err = t.Int64s()
		return err
	}
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if f, ok := shared.([]E); ok {
		slot.f = f
		return nil
	}
	n := t.Elements()
	if t.DType == format.Bool {
		if len(slot.b) != n {
			slot.b = make([]bool, n)
		}
	} else if len(slot.f) != n {
		slot.f = make([]E, n)
	}
	return fillOperand(*slot, t)
}

// fillOperand converts a tensor into an operand of the same size.
func fillOperand[E element](o operand[E], t format.Tensor) error {
	if o.i != nil {
		x, err := t.Int64s()
		copy(o.i, x)
		return err
	}
	x, err := t.AsFloat64s()
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	for i, v := range x {
		if o.b != nil {
			o.b[i] = v != 0
		} else {
			o.f[i] = E(v)
		}
	}
	return nil
}

// tensor returns an output. It shares the program's memory.
func (p *program[E]) tensor(o outcome) format.Tensor {
	switch s := p.slots[o.slot]; {
	case s.i != nil:
		return format.FromInt64s(o.name, o.shape, s.i)
	case s.b != nil:
		b := make([]byte, len(s.b))
		for i, v := range s.b {
			if v {
				b[i] = 1
			}
		}
		return format.Tensor{Name: o.name, DType: format.Bool, Shape: o.shape, Data: b}
	default:
		switch f := any(s.f).(type) {
		case []float32:
			return format.FromFloat32s(o.name, o.shape, f)
		case []float64:
			return format.FromFloat64s(o.name, o.shape, f)
		}
	}
	return format.Tensor{}
}

// gradient writes the gradient of parameter i.
func (p *program[E]) gradient(i int, into format.Tensor) error {
	g, err := into.Float32s()
	if err != nil {
		return fmt.Errorf("train: gradient of %.80q: %w", p.params[i].name, err)
	}
	if p.grads[i] < 0 {
		clear(g)
		return nil
	}
	from := p.slots[p.grads[i]].f
	if len(from) != len(g) {
		return fmt.Errorf("train: gradient of %.80q has %d elements, given room for %d", p.params[i].name, len(from), len(g))
	}
	for j, x := range from {
		g[j] = float32(x)
	}
	return nil
}
