package read_test

import (
	"bytes"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
)

// FuzzModel reads whatever decodes as a model: it is read or refused with an error, in
// bounded memory, and never panics.
func FuzzModel(f *testing.F) {
	image := []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Value: 1}, {Value: 4}, {Value: 6}, {Open: true, Param: "W"}}}}
	rows := []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true}, {Value: 3}}}}
	weights := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{16, 4, 1, 1}, Raw: make([]byte, 256)}
	sizes := &onnx.Tensor{Name: "s", DataType: onnx.Int64, Dims: []int64{2}, Raw: make([]byte, 16)}
	for _, c := range []struct {
		inputs []onnx.ValueInfo
		node   onnx.Node
	}{
		{image, onnx.Node{Op: "Conv", Inputs: []string{"x", "w"}, Attributes: []onnx.Attribute{onnx.IntsAttr("strides", 1, 2)}}},
		{image, onnx.Node{Domain: "com.microsoft.nchwc", Op: "Conv", Inputs: []string{"x", "w"}}},
		{image, onnx.Node{Domain: "com.microsoft.nchwc", Op: "ReorderInput", Inputs: []string{"x"}}},
		{image, onnx.Node{Domain: onnx.Microsoft, Op: "CropAndResize", Inputs: []string{"x", "w", "s", "s"}}},
		{rows, onnx.Node{Op: "Reshape", Inputs: []string{"x", "s"}}},
		{rows, onnx.Node{Op: "Expand", Inputs: []string{"x", "s"}}},
		{rows, onnx.Node{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Inputs: []string{"x"}, Attributes: []onnx.Attribute{onnx.IntsAttr("cats_int64s", 1, 2)}}},
		{rows, onnx.Node{Domain: "ai.onnx.ml", Op: "SVMClassifier", Inputs: []string{"x"}, Attributes: []onnx.Attribute{onnx.IntsAttr("classlabels_ints", 1, 2), onnx.IntsAttr("vectors_per_class", 1, 1)}}},
		{rows, onnx.Node{Domain: onnx.Microsoft, Op: "UnfoldTensor", Inputs: []string{"x"}, Attributes: []onnx.Attribute{onnx.IntAttr("size", 2)}}},
	} {
		c.node.Outputs = []string{"y"}
		var b bytes.Buffer
		err := (&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}, {Domain: onnx.Microsoft, Version: 1}, {Domain: "com.microsoft.nchwc", Version: 1}, {Domain: "ai.onnx.ml", Version: 3}},
			Graph: &onnx.Graph{Name: "g", Inputs: c.inputs, Initializers: []*onnx.Tensor{weights, sizes}, Nodes: []*onnx.Node{&c.node}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}}}}).Encode(&b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		m, err := onnx.Decode(data)
		if err != nil {
			return
		}
		_, _ = read.Model(m, read.Options{Shapes: map[string][]int{"x": {2, 3}}})
		_, _ = read.Model(m, read.Options{})
	})
}
