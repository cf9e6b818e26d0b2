package attnx

import (
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/runtime"
)

// What optimizers make of files in 16 bits and with integers is proved too: constants as nodes,
// defaults written out, a bias inside a product, other opsets of nodes that stay the same.
func TestRewrittenFormsAreProved(t *testing.T) {
	c := faultModel(t, "gpt2")
	prepacked := func(m *onnx.Model) {
		for _, n := range m.Graph.Nodes {
			if n.Op == "MatMulNBits" {
				n.Attributes = append(slices.Clone(n.Attributes), onnx.IntAttr("weight_prepacked", 0))
			}
		}
	}
	bias := func(m *onnx.Model) {
		for i := 0; i < len(m.Graph.Nodes); i++ {
			add := m.Graph.Nodes[i]
			at := slices.IndexFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "MatMulNBits" && slices.Contains(add.Inputs, n.Outputs[0]) })
			if add.Op != "Add" || at < 0 {
				continue
			}
			n := m.Graph.Nodes[at]
			b := add.Inputs[1-slices.Index(add.Inputs, n.Outputs[0])]
			if !slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == b && len(t.Dims) == 1 }) {
				continue
			}
			n.Inputs = append(slices.Clone(n.Inputs), slices.Repeat([]string{""}, 5-len(n.Inputs))...)
			n.Inputs, n.Outputs = append(n.Inputs, b), add.Outputs
			m.Graph.Nodes = slices.Delete(m.Graph.Nodes, i, i+1)
			i--
		}
	}
	wrong := func(m *onnx.Model) {
		bias(m)
		for _, n := range m.Graph.Nodes {
			if n.Op == "MatMulNBits" && len(n.Inputs) == 6 { // the bias of another product
				for _, o := range m.Graph.Nodes {
					if o.Op == "MatMulNBits" && len(o.Inputs) == 6 && o.Inputs[5] != n.Inputs[5] {
						n.Inputs[5] = o.Inputs[5]
						return
					}
				}
			}
		}
		t.Error("no product has another bias")
	}
	for _, x := range []struct {
		form, way string
		edit      func(m *onnx.Model)
		proved    bool
	}{
		{"float16", "constants as nodes", benign["constants as nodes"], true},
		{"cache float16", "constants as nodes", benign["constants as nodes"], true},
		{"int8", "constants as nodes", benign["constants as nodes"], true},
		{"cache int4", "constants as nodes", benign["constants as nodes"], true},
		{"cache int4", "defaults", prepacked, true},
		{"cache int4", "biases", bias, true},
		{"cache int4", "another bias", wrong, false},
	} {
		_, data, err := encoded(c, faultForms[x.form])
		okay(t, err)
		m, err := onnx.Decode(data)
		okay(t, err)
		x.edit(m)
		info, err := export.Describe(m)
		okay(t, err)
		checks, file, err := compareFile(&exported{checkpoint: c}, "file.onnx", m, info)
		okay(t, err)
		failed := slices.ContainsFunc(checks, func(c runtime.Check) bool { return c.Status == runtime.StatusFail })
		if proved := file.verdict.Layer == runtime.IdenticalLayer; proved != x.proved || failed == x.proved && x.proved {
			t.Errorf("%s, %s: %+v, %+v", x.form, x.way, file.verdict, checks)
		}
	}
	for _, op := range []string{"MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"} { // as ONNX Runtime fuses it
		if f := precision.Of(hostileModel(nil, hostileNode(op, "y", nil, "x"))); f.Quantize != precision.Int8 {
			t.Errorf("%s: %+v", op, f)
		}
	}
}
