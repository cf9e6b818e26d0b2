package read

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// value is the meaning of a name in the file. It is recorded in the graph, or
// known while reading, or both, or it is an initializer that has not been used
// yet.
type value struct {
	name     string // in the file
	scope    *scope // where it is defined
	recorded *graph.Value
	elements *elements
	later    *later // records the elements; nil: they are recorded as they are
	place    int    // of v among its results
	weight   *onnx.Tensor
	sparse   *onnx.SparseTensor
	input    bool // an input of the model
	learned  bool // an initializer that is a parameter, with Options.Training

	isList bool     // it is a sequence
	list   []*value // its values
	absent bool     // an optional value without content
}

// isTensor reports whether v is neither a sequence nor an empty optional value.
func (v *value) isTensor() bool { return !v.isList && !v.absent }

// dtype returns the element type.
func (v *value) dtype() format.DType {
	switch {
	case v.recorded != nil:
		return v.recorded.DType
	case v.elements != nil:
		return v.elements.dtype
	}
	return elementTypes[v.tensor().DataType]
}

// tensor returns the initializer of v; of a sparse one, its values.
func (v *value) tensor() *onnx.Tensor {
	if v.sparse != nil {
		return v.sparse.Values
	}
	return v.weight
}

// shape returns the sizes of the dimensions.
func (v *value) shape() graph.Shape {
	switch {
	case v.recorded != nil:
		return v.recorded.Shape
	case v.elements != nil:
		return graph.Numbers(v.elements.shape...)
	}
	dims := v.tensor().Dims
	if v.sparse != nil {
		dims = v.sparse.Dims
	}
	s := make(graph.Shape, len(dims))
	for i, d := range dims {
		s[i] = graph.N(int(d))
	}
	return s
}

// initializers adds the stored tensors of a graph to its scope. Their elements are
// read at first use.
func (r *reading) initializers(g *onnx.Graph, s *scope) error {
	for _, t := range g.Initializers {
		if _, err := elementType(t.DataType); err != nil {
			return &UnsupportedError{Reason: fmt.Sprintf("initializer %.80q: %v", t.Name, err)}
		}
		s.values[t.Name] = &value{name: t.Name, scope: s, weight: t, learned: s.parent == nil && r.learned[t.Name]}
	}
	for _, t := range g.Sparse {
		if t.Values == nil || t.Indices == nil {
			return &InvalidError{Reason: fmt.Sprintf("sparse initializer %.80q has no values or no indices", t.Name())}
		}
		if _, err := elementType(t.Values.DataType); err != nil {
			return &UnsupportedError{Reason: fmt.Sprintf("initializer %.80q: %v", t.Name(), err)}
		}
		s.values[t.Name()] = &value{name: t.Name(), scope: s, sparse: t}
	}
	return nil
}

// load returns the elements of an initializer.
func (r *reading) load(v *value) (format.Tensor, error) {
	t, err := Tensor(v.tensor(), r.o.Dir)
	if err != nil || v.sparse == nil {
		return t, err
	}
	places, err := Tensor(v.sparse.Indices, r.o.Dir)
	if err != nil {
		return t, err
	}
	return dense(t, places, v.sparse.Dims)
}

// denseLimit bounds the bytes of a sparse initializer that is expanded.
const denseLimit = 1 << 30

// dense expands a sparse tensor. The positions are either (n), in the flat
// tensor, or (n,rank).
func dense(values, places format.Tensor, dims []int64) (format.Tensor, error) {
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i] = int(d)
	}
	bad := func(reason string) error {
		return &InvalidError{Reason: fmt.Sprintf("sparse initializer %.80q: %s", values.Name, reason)}
	}
	n, ok := format.Elements(shape)
	size := values.DType.Size()
	at, err := places.Int64s()
	switch count := values.Elements(); {
	case !ok || n > denseLimit/size:
		return values, bad(fmt.Sprintf("shape %v is no size, or larger than %d bytes", shape, denseLimit))
	case err != nil:
		return values, bad(err.Error())
	case len(places.Shape) == 1 && len(at) != count, len(places.Shape) == 2 && (places.Shape[0] != count || places.Shape[1] != len(shape)):
		return values, bad(fmt.Sprintf("indices %v for %d values of shape %v", places.Shape, count, shape))
	}
	out := format.Tensor{Name: values.Name, DType: values.DType, Shape: shape, Data: make([]byte, n*size)}
	for i := range values.Elements() {
		flat := 0
		if len(places.Shape) == 1 {
			flat = int(at[i])
		} else {
			for axis, d := range shape {
				p := int(at[i*len(shape)+axis])
				if p < 0 || p >= d {
					return values, bad(fmt.Sprintf("index %d of an axis of %d", p, d))
				}
				flat = flat*d + p
			}
		}
		if flat < 0 || flat >= n {
			return values, bad(fmt.Sprintf("index %d of %d elements", flat, n))
		}
		copy(out.Data[flat*size:], values.Data[i*size:(i+1)*size])
	}
	return out, nil
}

// constLimit bounds the elements of an initializer that becomes a constant of the
// graph. A larger one is a weight, as is every floating-point one with a
// dimension.
const constLimit = 1024

// record returns v as a value of the graph.
func (r *reading) record(v *value) (*graph.Value, error) {
	if !v.isTensor() {
		return nil, &UnsupportedError{Reason: fmt.Sprintf("value %.80q is a sequence or an optional value, where a tensor is expected", v.name)}
	}
	if v.recorded != nil {
		return v.recorded, nil
	}
	if v.later != nil {
		results, err := v.later.results()
		if err == nil {
			v.recorded = results[v.place].recorded
		}
		return v.recorded, err
	}
	if v.elements != nil && !v.learned {
		recorded, err := r.recordElements(v)
		v.recorded = recorded
		return recorded, err
	}
	t, err := r.load(v)
	if err != nil {
		return nil, err
	}
	if v.learned && len(t.Shape) == 0 {
		t.Shape = []int{1} // runtimes copy scalars that they are given
		v.recorded = r.b.Reshape(r.recordWeight(r.nameFor(v.name, v.scope), t))
	} else {
		v.recorded = r.recordTensor(v.name, v.scope, t)
	}
	return v.recorded, r.b.Err()
}

// recordTensor records the elements of a tensor as a constant or a weight.
func (r *reading) recordTensor(name string, s *scope, t format.Tensor) *graph.Value {
	name = r.nameFor(name, s)
	if t.Elements() > constLimit || t.DType.Float() && len(t.Shape) > 0 {
		return r.recordWeight(name, t)
	}
	return r.b.Const(t.WithName(name))
}

func (r *reading) recordWeight(name string, t format.Tensor) *graph.Value {
	r.weights = append(r.weights, t.WithName(name))
	return r.b.Weight(name, t.DType, t.Shape...)
}
