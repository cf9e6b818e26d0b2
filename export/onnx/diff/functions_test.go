package diff_test

import (
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
)

// withFunction returns a model that calls a function of one node, whose attribute has a
// default.
func withFunction(name string, axis, opset int64) *onnx.Model {
	x := onnx.ValueInfo{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Value: 2}, {Value: 3}, {Value: 4}}}
	y := x
	y.Name = "y"
	body := &onnx.Node{Op: "Softmax", Inputs: []string{"a"}, Outputs: []string{"b"}, Attributes: []onnx.Attribute{{Name: "axis", Type: onnx.AttrInt, Ref: "axis"}}}
	return &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 17}, {Domain: "my", Version: 1}},
		Graph: &onnx.Graph{Name: "g", Inputs: []onnx.ValueInfo{x}, Outputs: []onnx.ValueInfo{y},
			Nodes: []*onnx.Node{{Op: name, Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}}}},
		Functions: []*onnx.Function{{Name: name, Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Version: opset}},
			Defaults: []onnx.Attribute{onnx.IntAttr("axis", axis)}, Nodes: []*onnx.Node{body}}}}
}

// What a function holds beside its nodes decides what a call computes: the default of an
// attribute, and the operator set of its nodes (Softmax has another meaning up to 12).
func TestFunctionFields(t *testing.T) {
	a := withFunction("F", 1, 11)
	if r := reported(t, a, withFunction("G", 1, 11)); !r.Equal() {
		t.Errorf("another name: %v", r.Changes)
	}
	for _, c := range []struct {
		b    *onnx.Model
		want edited
	}{
		{withFunction("F", 2, 11), edited{diff.Attribute, "", "axis"}},
		{withFunction("F", 1, 13), edited{diff.Opset, "", "ai.onnx"}},
	} {
		if r := reported(t, a, c.b); !exactly(c.want, r) || r.Changes[0].Where != "function my.F" {
			t.Errorf("want %v, got %v", c.want, r.Changes)
		}
	}
	if r := reported(t, a, withFunction("G", 2, 11)); r.Equal() {
		t.Error("another name and another default: no change")
	}
}

// An initializer that is an input too may be overridden by a caller.
func TestOverridable(t *testing.T) {
	model := func() *onnx.Model {
		m := withFunction("F", 1, 17)
		m.Graph.Nodes = []*onnx.Node{{Op: "Add", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}}
		m.Graph.Initializers = []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{1}, Raw: make([]byte, 4)}}
		m.Functions = nil
		return m
	}
	b := model()
	b.Graph.Inputs = append(b.Graph.Inputs, onnx.ValueInfo{Name: "w", DataType: onnx.Float, Dims: []onnx.Dim{{Value: 1}}})
	if r := reported(t, model(), b); !exactly(edited{diff.Declared, "", "inputs with a default"}, r) || r.Changes[0].To != "[w]" {
		t.Errorf("got %v", r.Changes)
	}
}
