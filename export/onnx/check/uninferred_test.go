package check_test

import (
	"bytes"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/check"
	"github.com/attnx/attnx/export/placement"
)

// Where ONNX's own rule infers no shape, the full check compares none: onnx.checker 1.23.2
// accepts both files, whose outputs are declared with another shape than they have.
func TestUninferred(t *testing.T) {
	value := func(name string, dt onnx.DataType, dims ...int64) onnx.ValueInfo {
		v := onnx.ValueInfo{Name: name, DataType: dt, Dims: []onnx.Dim{}}
		for _, d := range dims {
			v.Dims = append(v.Dims, onnx.Dim{Value: d})
		}
		return v
	}
	for _, c := range []struct {
		node   *onnx.Node
		inputs []onnx.ValueInfo
		output onnx.ValueInfo
	}{
		{&onnx.Node{Op: "GroupNormalization", Attributes: []onnx.Attribute{onnx.IntAttr("num_groups", 2)}},
			[]onnx.ValueInfo{value("x", onnx.Float, 3, 4, 2, 2), value("s", onnx.Float, 4), value("b", onnx.Float, 4)}, value("y", onnx.Float, 3, 4, 2)},
		{&onnx.Node{Op: "GatherND"}, []onnx.ValueInfo{value("x", onnx.Float, 2, 2), value("i", onnx.Int64, 2)}, value("y", onnx.Float, 7)},
	} {
		for _, in := range c.inputs {
			c.node.Inputs = append(c.node.Inputs, in.Name)
		}
		c.node.Outputs = []string{"y"}
		m := &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}}, Graph: &onnx.Graph{Name: "g", Nodes: []*onnx.Node{c.node}, Inputs: c.inputs, Outputs: []onnx.ValueInfo{c.output}}}
		if errs := check.Full(m, ""); len(errs) > 0 {
			t.Errorf("%s: %v", c.node.Op, errs)
		}
	}
}

// An element type that a file writes as UNDEFINED is declared, and one that it leaves out is
// not: the verdicts are those of onnx.checker 1.23.2, of Relu from x to y. ONNX Runtime
// opens none of these files, and the plan says so.
func TestUndefined(t *testing.T) {
	value := func(name string, dt onnx.DataType, undefined, noShape bool) onnx.ValueInfo {
		v := onnx.ValueInfo{Name: name, DataType: dt, Undefined: undefined, NoShape: noShape}
		if !noShape {
			v.Dims = []onnx.Dim{{Value: 2}}
		}
		return v
	}
	for i, c := range []struct {
		x, y        onnx.ValueInfo
		basic, full bool // valid
	}{
		{value("x", onnx.Float, false, false), value("y", 0, true, false), true, true},
		{value("x", onnx.Float, false, false), value("y", 0, false, false), false, false},
		{value("x", onnx.Float, false, false), value("y", 0, true, true), false, false},
		{value("x", 0, true, false), value("y", onnx.Float, false, false), true, false},
		{value("x", 0, true, false), value("y", 0, true, false), true, false},
	} {
		m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{Name: "g", Nodes: []*onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}},
			Inputs: []onnx.ValueInfo{c.x}, Outputs: []onnx.ValueInfo{c.y}}}
		var file bytes.Buffer
		if err := m.Encode(&file); err != nil {
			t.Fatal(err)
		}
		m, err := onnx.Decode(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if errs := check.Basic(m, ""); (len(errs) == 0) != c.basic {
			t.Errorf("%d: the basic check says %v", i, errs)
		}
		if errs := check.Full(m, ""); (len(errs) == 0) != c.full {
			t.Errorf("%d: the full check says %v", i, errs)
		}
		if _, err := placement.Plan(m); err == nil {
			t.Errorf("%d: the plan is one", i)
		}
	}
}
