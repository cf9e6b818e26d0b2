package exprgraph

import (
	"fmt"
	"reflect"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// dtype returns the element type of a node.
func (r *reading) dtype(x *gorgonia.Node) format.DType {
	t, ok := elementTypes[x.Dtype()]
	if !ok {
		panic(errorAt(x, fmt.Sprintf("its elements are %v", x.Dtype()), "take float32, float64, int, int64 or bool"))
	}
	if t == format.Float64 && r.Float32 {
		return format.Float32
	}
	return t
}

var elementTypes = map[tensor.Dtype]format.DType{
	tensor.Float32: format.Float32, tensor.Float64: format.Float64,
	tensor.Int: format.Int64, tensor.Int64: format.Int64, tensor.Bool: format.Bool,
}

// weight records a node without an operator as a weight.
func (r *reading) weight(x *gorgonia.Node) *graph.Value {
	v := x.Value()
	if v == nil || reflect.ValueOf(v).IsNil() {
		panic(errorAt(x, "it has no value and is no input", "list it in Inputs, or give it a value with gorgonia.Let"))
	}
	name := nameOf(x)
	if name == "" {
		name = "weight"
	}
	return r.stored(x, v, r.unique(name))
}

// stored records the elements of a node as a weight.
func (r *reading) stored(x *gorgonia.Node, v gorgonia.Value, name string) *graph.Value {
	t := r.tensor(x, v, x.Shape()).WithName(name)
	r.weights = append(r.weights, t)
	w := r.b.Weight(name, t.DType, t.Shape...)
	r.called[w] = true
	return w
}

// constantLimit bounds the elements of a constant in the text of the graph. A
// larger one is a weight.
const constantLimit = 1024

// constant reports whether the node is a constant of Gorgonia.
func (n *node) constant() bool { return n.is("constantScalar") || n.is("constantTensor") }

// constant records a constant.
func (r *reading) constant(n *node) *graph.Value {
	v := n.node.Value()
	if v == nil {
		n.refuse("give gorgonia.NewConstant a value", "it has no value")
	}
	if v.Size() > constantLimit {
		return r.stored(n.node, v, r.unique("constant"))
	}
	t := r.tensor(n.node, v, n.node.Shape())
	if len(t.Shape) == 0 && t.DType.Float() {
		x, err := t.AsFloat64s()
		if err != nil {
			n.refuse("", "%v", err)
		}
		return r.scalar(t.DType, x[0])
	}
	return r.b.Const(t)
}

// tensor returns a copy of the elements of a value, in the shape of its node.
func (r *reading) tensor(x *gorgonia.Node, v gorgonia.Value, shape []int) format.Tensor {
	data, at := v.Data(), []int(nil)
	if t, ok := v.(tensor.Tensor); ok {
		dense, ok := t.(*tensor.Dense)
		if !ok || dense.IsMasked() {
			panic(errorAt(x, fmt.Sprintf("its value is a %T, or has a mask", v), "take a dense tensor without a mask"))
		}
		at = places(dense)
	}
	var t format.Tensor
	switch data := data.(type) {
	case []float32:
		t = format.FromFloat32s("", shape, ordered(data, at))
	case float32:
		t = format.FromFloat32s("", shape, []float32{data})
	case []float64:
		t = format.FromFloat64s("", shape, ordered(data, at))
	case float64:
		t = format.FromFloat64s("", shape, []float64{data})
	case []int:
		t = format.FromInt64s("", shape, wide(ordered(data, at)))
	case int:
		t = format.FromInt64s("", shape, []int64{int64(data)})
	case []int64:
		t = format.FromInt64s("", shape, ordered(data, at))
	case int64:
		t = format.FromInt64s("", shape, []int64{data})
	case []bool:
		t = truths(shape, ordered(data, at))
	case bool:
		t = truths(shape, []bool{data})
	default:
		panic(errorAt(x, fmt.Sprintf("the elements of its value are %T", data), "take float32, float64, int, int64 or bool"))
	}
	t.Shape = append([]int{}, shape...)
	err := t.Check()
	if err == nil && t.DType == format.Float64 && r.Float32 {
		t, _, err = t.Convert(format.Float32)
	}
	if err == nil && t.DType != r.dtype(x) {
		err = fmt.Errorf("its value is %s", t.DType)
	}
	if err != nil {
		panic(errorAt(x, fmt.Sprintf("its shape is %v, the shape of its value %v: %v", shape, v.Shape(), err), "give it a value of its type and shape with gorgonia.Let"))
	}
	return t
}

// places returns where the elements of a tensor are in its data, in row-major order;
// nil if they lie in that order.
func places(t *tensor.Dense) []int {
	shape, strides := t.Shape(), t.Strides()
	if len(shape) != len(strides) || slices.Equal(strides, shape.CalcStrides()) {
		return nil
	}
	at := []int{0}
	for axis, size := range shape {
		next := make([]int, 0, len(at)*size)
		for _, p := range at {
			for i := range size {
				next = append(next, p+i*strides[axis])
			}
		}
		at = next
	}
	return at
}

// ordered returns a copy of the elements at the given places, or of all.
func ordered[T any](data []T, at []int) []T {
	if at == nil {
		return slices.Clone(data)
	}
	out := make([]T, len(at))
	for i, p := range at {
		out[i] = data[p]
	}
	return out
}

func wide(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

func truths(shape []int, v []bool) format.Tensor {
	t := format.Tensor{DType: format.Bool, Shape: shape, Data: make([]byte, len(v))}
	for i, x := range v {
		if x {
			t.Data[i] = 1
		}
	}
	return t
}
