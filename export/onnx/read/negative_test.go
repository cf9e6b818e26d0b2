package read_test

import (
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/check"
	"github.com/attnx/attnx/export/onnx/read"
)

// Negative sizes in attributes are refused or, where the weights have the size,
// ignored. They never reach a shape.
func TestNegativeSizes(t *testing.T) {
	floats := func(name string, dims ...int64) *onnx.Tensor {
		n := int64(4)
		for _, d := range dims {
			n *= d
		}
		return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims, Raw: make([]byte, n)}
	}
	attend := with(op("Attention", "y", "x", "w", "b"), onnx.IntAttr("num_heads", 1), onnx.IntsAttr("qkv_hidden_sizes", -4, 8, 8))
	attend.Domain = "com.microsoft"
	for name, c := range map[string]struct {
		node    *onnx.Node
		weights []*onnx.Tensor
		refused bool
	}{
		"Attention": {attend, []*onnx.Tensor{floats("w", 4, 12), floats("b", 12)}, true},
		"LSTM":      {with(op("LSTM", "y", "x", "w", "r"), onnx.IntAttr("hidden_size", -2)), []*onnx.Tensor{floats("w", 1, 8, 4), floats("r", 1, 8, 2)}, false},
		"GRU":       {with(op("GRU", "y", "x", "w", "r"), onnx.IntAttr("hidden_size", -2)), []*onnx.Tensor{floats("w", 1, 6, 4), floats("r", 1, 6, 2)}, false},
		"RNN":       {with(op("RNN", "y", "x", "w", "r"), onnx.IntAttr("hidden_size", -2)), []*onnx.Tensor{floats("w", 1, 2, 4), floats("r", 1, 2, 2)}, false},
		"Split":     {with(op("Split", "y", "x", "sizes"), onnx.IntAttr("axis", 2)), []*onnx.Tensor{int64s("sizes", -4)}, true},
		"Reshape":   {op("Reshape", "y", "x", "shape"), []*onnx.Tensor{int64s("shape", -4)}, true},
	} {
		m := modelOf(c.node)
		m.Opsets = append(m.Opsets, onnx.Opset{Domain: "com.microsoft", Version: 1})
		m.Graph.Inputs[0] = input("x", onnx.Float, onnx.Dim{Value: 3}, open("batch"), onnx.Dim{Value: 4})
		m.Graph.Initializers = c.weights
		if _, err := read.Model(m, read.Options{}); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		check.Full(m, "")
	}
}
