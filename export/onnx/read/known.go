package read

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// knownLimit is the maximum number of elements of a tracked value.
const knownLimit = 1 << 12

// elements are those of a value that is known while reading. Integers and truth
// values are polynomials of the named dimensions; floating-point numbers are
// numbers.
type elements struct {
	dtype  format.DType
	shape  []int
	ints   []graph.Dim
	floats []float64

	rounded bool // an operator rounded a number: a runtime's may differ
}

// integerElements returns a known int64 vector.
func integerElements(d ...graph.Dim) *elements {
	return &elements{dtype: format.Int64, shape: []int{len(d)}, ints: d}
}

// blank returns zeros.
func blank(dtype format.DType, shape []int) *elements {
	n, _ := format.Elements(shape)
	e := &elements{dtype: dtype, shape: shape}
	if dtype.Float() {
		e.floats = make([]float64, n)
	} else {
		e.ints = make([]graph.Dim, n)
	}
	return e
}

func (e *elements) len() int { return len(e.ints) + len(e.floats) }

// pick returns the elements at the given positions, in the given shape.
func (e *elements) pick(shape []int, places []int) *elements {
	out := &elements{dtype: e.dtype, shape: shape}
	for _, p := range places {
		if e.dtype.Float() {
			out.floats = append(out.floats, e.floats[p])
		} else {
			out.ints = append(out.ints, e.ints[p])
		}
	}
	return out
}

// reshaped returns the same elements in another shape.
func (e *elements) reshaped(shape []int) *elements {
	out := *e
	out.shape = shape
	return &out
}

// fromTensor returns the elements of a small tensor.
func fromTensor(t format.Tensor) (*elements, error) {
	x, err := t.AsFloat64s()
	if err != nil {
		return nil, err
	}
	e := blank(t.DType, t.Shape)
	if t.DType.Float() {
		e.floats = x
		return e, nil
	}
	for i := range x {
		n := int(x[i])
		if size := t.DType.Size(); size == 8 { // beyond 2^53 a float64 is not exact
			v := uint64(0)
			for j := range size {
				v |= uint64(t.Data[i*size+j]) << (8 * j)
			}
			if n = int(v); n < 0 && t.DType == format.Uint64 {
				return nil, fmt.Errorf("element %d is beyond an int64", v)
			}
		}
		e.ints[i] = graph.N(n)
	}
	return e, nil
}

// numbers returns the integers; ok is false if one depends on a name.
func (e *elements) numbers() (n []int, ok bool) {
	return graph.Shape(e.ints).Numbers()
}

// tensor returns the elements as a tensor; ok is false if one depends on a name.
func (e *elements) tensor() (t format.Tensor, ok bool) {
	t = format.Tensor{DType: e.dtype, Shape: slices.Clone(e.shape), Data: []byte{}}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	if e.dtype.Float() {
		t, _, err := format.FromFloat64s("", t.Shape, e.floats).Convert(e.dtype)
		return t, err == nil
	}
	numbers, ok := e.numbers()
	for _, n := range numbers {
		for j := range e.dtype.Size() {
			t.Data = append(t.Data, byte(n>>(8*j)))
		}
	}
	return t, ok
}

// recordElements records known elements: numbers as a constant, polynomials as
// the first elements of one-element ranges.
func (r *reading) recordElements(v *value) (*graph.Value, error) {
	e := v.elements
	if t, ok := e.tensor(); ok {
		return r.recordTensor(v.name, v.scope, t), r.b.Err()
	}
	if e.len() > knownLimit {
		return nil, &UnsupportedError{Reason: fmt.Sprintf("value %.80q: %d sizes as data", v.name, e.len())}
	}
	name := r.nameFor(v.name, v.scope)
	b := r.b.Scope(name)
	parts := make([]*graph.Value, len(e.ints))
	for i, d := range e.ints {
		parts[i] = b.Range(d, d.Add(graph.N(1)))
	}
	out := parts[0]
	if len(parts) > 1 {
		out = b.Concat(0, parts...)
	}
	if len(e.shape) != 1 {
		out = b.Reshape(out, graph.Numbers(e.shape...)...)
	}
	if e.dtype != format.Int64 {
		out = b.Cast(out, e.dtype)
	}
	return r.b.Name(name, out), r.b.Err()
}

// elementsOf returns the elements of v if they are known, or if v is a small
// stored tensor.
func (r *reading) elementsOf(v *value) *elements {
	if !v.isTensor() {
		return nil
	}
	if v.elements == nil && v.recorded == nil {
		if n, ok := v.shape().Elements().Number(); !ok || n > knownLimit {
			return nil
		}
		t, err := r.load(v)
		if err != nil {
			panic(refusal{err})
		}
		if v.elements, err = fromTensor(t); err != nil {
			return nil
		}
	}
	if v.elements != nil && v.input {
		r.used[v] = true
	}
	return v.elements
}

// broadcastShape returns the shape to which known shapes broadcast.
func broadcastShape(shapes ...[]int) ([]int, bool) {
	var out []int
	for _, s := range shapes {
		for len(out) < len(s) {
			out = append([]int{1}, out...)
		}
		for i, d := range s {
			at := len(out) - len(s) + i
			switch {
			case out[at] == 1:
				out[at] = d
			case d != 1 && d != out[at]:
				return nil, false
			}
		}
	}
	return out, true
}

// broadcast returns e repeated into the shape.
func (e *elements) broadcast(shape []int) *elements {
	n, _ := format.Elements(shape)
	places := make([]int, n)
	for i := range places {
		rest, step := i, 1
		for axis := len(shape) - 1; axis >= 0; axis-- {
			p := rest % shape[axis]
			rest /= shape[axis]
			if own := axis - len(shape) + len(e.shape); own >= 0 {
				if e.shape[own] != 1 {
					places[i] += p * step
				}
				step *= e.shape[own]
			}
		}
	}
	return e.pick(shape, places)
}
