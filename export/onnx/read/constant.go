package read

import (
	"encoding/binary"
	"math"

	"github.com/attnx/attnx/export/onnx"
)

// readConstant reads the tensor of a Constant, in any of its forms.
func readConstant(n *node) []*value {
	if len(n.onnx.Attributes) != 1 {
		n.invalid("it has %d attributes, expected one", len(n.onnx.Attributes))
	}
	a := n.onnx.Attributes[0]
	n.pass([]string{a.Name})
	t := &onnx.Tensor{Dims: []int64{}}
	switch a.Name {
	case "value":
		if a.Tensor == nil {
			n.invalid("it holds no tensor")
		}
		stored := *a.Tensor
		t = &stored
	case "sparse_value":
		if len(a.Sparse) != 1 || a.Sparse[0].Values == nil || a.Sparse[0].Indices == nil {
			n.invalid("it holds no sparse tensor")
		}
		s := *a.Sparse[0]
		stored := *s.Values
		stored.Name = n.name()
		s.Values = &stored
		return []*value{{name: n.name(), scope: n.scope, sparse: &s}}
	case "value_float":
		t.DataType, t.Raw = onnx.Float, floatBytes(a.Float)
	case "value_floats":
		t.DataType, t.Raw, t.Dims = onnx.Float, floatBytes(a.Floats...), []int64{int64(len(a.Floats))}
	case "value_int":
		t.DataType, t.Raw = onnx.Int64, intBytes(a.Int)
	case "value_ints":
		t.DataType, t.Raw, t.Dims = onnx.Int64, intBytes(a.Ints...), []int64{int64(len(a.Ints))}
	default:
		n.refuse("a constant in attribute %.80q", a.Name)
	}
	t.Name = n.name()
	if _, err := elementType(t.DataType); err != nil {
		n.refuse("%v", err)
	}
	return []*value{{name: n.name(), scope: n.scope, weight: t}}
}

func floatBytes(v ...float32) (raw []byte) {
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return raw
}

func intBytes(v ...int64) (raw []byte) {
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return raw
}
