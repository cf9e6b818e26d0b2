package onnx_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// quantized is small with a MatMulNBits of 20 inputs in two blocks of 16 and
// three outputs.
func quantized() *onnx.Model {
	m := small()
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: onnx.Microsoft, Version: 1})
	m.Graph.Initializers = append(m.Graph.Initializers,
		&onnx.Tensor{Name: "blocks", DataType: onnx.Uint8, Dims: []int64{3, 2, 8}, Raw: make([]byte, 48)},
		&onnx.Tensor{Name: "scales", DataType: onnx.Float, Dims: []int64{3, 2}, Raw: make([]byte, 24)})
	m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{
		Domain: onnx.Microsoft, Op: "MatMulNBits", Name: "quantized", Inputs: []string{"x", "blocks", "scales"}, Outputs: []string{"q"},
		Attributes: []onnx.Attribute{onnx.IntAttr("K", 20), onnx.IntAttr("N", 3), onnx.IntAttr("block_size", 16)},
	})
	return m
}

// last returns the MatMulNBits of quantized.
func last(m *onnx.Model) *onnx.Node { return m.Graph.Nodes[len(m.Graph.Nodes)-1] }

func TestCheckMicrosoft(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *onnx.Model)
		want   string // empty: accepted
	}{
		"as it is":             {func(*onnx.Model) {}, ""},
		"8 bits":               {func(m *onnx.Model) { last(m).Attributes = append(last(m).Attributes, onnx.IntAttr("bits", 8)) }, `input "blocks" is uint8[3 2 8], expects 96 elements of uint8`},
		"an unknown operator":  {func(m *onnx.Model) { last(m).Op = "Unheard" }, ""},
		"a like name":          {func(m *onnx.Model) { last(m).Domain = "com.example"; last(m).Inputs = nil }, ""},
		"domain not imported":  {func(m *onnx.Model) { m.Opsets = m.Opsets[:len(m.Opsets)-1] }, `the model does not import operator set "com.microsoft"`},
		"no scales":            {func(m *onnx.Model) { last(m).Inputs = last(m).Inputs[:2] }, "MatMulNBits with 2 inputs"},
		"scales left out":      {func(m *onnx.Model) { last(m).Inputs[2] = "" }, "MatMulNBits without input 2"},
		"no K":                 {func(m *onnx.Model) { last(m).Attributes = last(m).Attributes[1:] }, `attribute "K" is missing`},
		"K of nothing":         {func(m *onnx.Model) { last(m).Attributes[0].Int = 0 }, "K 0 and N 3"},
		"K beyond any size":    {func(m *onnx.Model) { last(m).Attributes[0].Int = 1 << 62 }, "K 4611686018427387904 and N 3"},
		"another K":            {func(m *onnx.Model) { last(m).Attributes[0].Int = 33 }, `input "blocks" is uint8[3 2 8], expects 72 elements of uint8`},
		"bits that none has":   {func(m *onnx.Model) { last(m).Attributes = append(last(m).Attributes, onnx.IntAttr("bits", 5)) }, "5 bits, expects 2, 4 or 8"},
		"blocks of 24":         {func(m *onnx.Model) { last(m).Attributes[2].Int = 24 }, "block_size 24 is not a power of two"},
		"integers of a sign":   {func(m *onnx.Model) { m.Graph.Initializers[2].DataType = onnx.Int8 }, "expects 48 elements of uint8"},
		"too few scales":       {func(m *onnx.Model) { s := m.Graph.Initializers[3]; s.Dims, s.Raw = []int64{3}, s.Raw[:12] }, `input "scales" is float[3], expects 6 elements of float`},
		"integers from a node": {func(m *onnx.Model) { last(m).Inputs[1] = "xw" }, ""},
	} {
		m := quantized()
		if len(m.Graph.Initializers) != 4 {
			t.Fatalf("small has %d initializers", len(m.Graph.Initializers)-2)
		}
		c.change(m)
		err := onnx.Check(m, "")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
