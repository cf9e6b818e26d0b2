package check

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
)

func init() { strict = true }

// A rule with a mistake ends nothing: what is behind its node is not judged.
func TestMistakeInRule(t *testing.T) {
	strict = false
	defer func(before rule) { strict, rules["Tan"] = true, before }(rules["Tan"])
	rules["Tan"] = func(c *call) { _ = c.node.Inputs[len(c.node.Inputs)] }
	if found := Full(modelOf([]*onnx.Node{{Op: "Tan", Inputs: []string{"x"}, Outputs: []string{"t"}}, {Op: "Softmax", Inputs: []string{"x"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{onnx.IntAttr("axis", 7)}}}, "y"), ""); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

func chain(n int, from string) (nodes []*onnx.Node, last string) {
	for i := range n {
		out := fmt.Sprintf("%s%d", from, i)
		in := from
		if i > 0 {
			in = fmt.Sprintf("%s%d", from, i-1)
		}
		nodes = append(nodes, &onnx.Node{Op: "Relu", Inputs: []string{in}, Outputs: []string{out}})
	}
	return nodes, nodes[n-1].Outputs[0]
}

func modelOf(nodes []*onnx.Node, out string) *onnx.Model {
	value := func(name string) onnx.ValueInfo {
		return onnx.ValueInfo{Name: name, DataType: onnx.Float, Dims: []onnx.Dim{{Value: 2}, {Param: "n", Open: true}}}
	}
	return &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}, {Domain: "my", Version: 1}},
		Graph: &onnx.Graph{Name: "g", Nodes: nodes, Inputs: []onnx.ValueInfo{value("x")}, Outputs: []onnx.ValueInfo{value(out)}}}
}

// The memory for a file of many nodes grows with their number, and no faster.
func TestManyNodes(t *testing.T) {
	n := 100_000
	if fixtures.Exhaustive() {
		n = 1_000_000
	}
	m := modelOf(chain(n, "x"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if found := Full(m, ""); len(found) > 0 {
		t.Errorf("%v", found)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(n); each > 3<<10 {
		t.Errorf("%d bytes allocated for each node", each)
	}
}

// functionOf returns a function with one input and output.
func functionOf(name string, nodes ...*onnx.Node) *onnx.Function {
	return &onnx.Function{Name: name, Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Nodes: nodes, Opsets: []onnx.Opset{{Version: 21}, {Domain: "my", Version: 1}}}
}

func callOf(name, in, out string) *onnx.Node {
	return &onnx.Node{Op: name, Domain: "my", Inputs: []string{in}, Outputs: []string{out}}
}

func TestFunctionsWithoutEnd(t *testing.T) {
	itself := modelOf([]*onnx.Node{callOf("F", "x", "y")}, "y")
	itself.Functions = []*onnx.Function{functionOf("F", callOf("G", "a", "b")), functionOf("G", callOf("F", "a", "b"))}
	deep := modelOf([]*onnx.Node{callOf("F0", "x", "y")}, "y")
	doubling := modelOf([]*onnx.Node{callOf("F0", "x", "y")}, "y")
	for i := range 200 {
		deep.Functions = append(deep.Functions, functionOf(fmt.Sprintf("F%d", i), callOf(fmt.Sprintf("F%d", i+1), "a", "b")))
	}
	deep.Functions = append(deep.Functions, functionOf("F200", &onnx.Node{Op: "Neg", Inputs: []string{"a"}, Outputs: []string{"b"}}))
	for i := range 60 {
		next := fmt.Sprintf("F%d", i+1)
		doubling.Functions = append(doubling.Functions, functionOf(fmt.Sprintf("F%d", i), callOf(next, "a", "c"), callOf(next, "c", "b")))
	}
	doubling.Functions = append(doubling.Functions, functionOf("F60", &onnx.Node{Op: "Neg", Inputs: []string{"a"}, Outputs: []string{"b"}}))
	for want, m := range map[string]*onnx.Model{"calls itself": itself, "more than 100 deep": deep, "unfold to more than": doubling} {
		if found := Full(m, ""); len(found) == 0 || !strings.Contains(found[0].Error(), want) {
			t.Errorf("%s: %v", want, found)
		}
	}
}

// Graphs within graphs, and a shape that is as long as a file.
func TestDeepAndWide(t *testing.T) {
	g := &onnx.Graph{Name: "g", Nodes: []*onnx.Node{{Op: "Neg", Inputs: []string{"x"}, Outputs: []string{"y"}}}, Outputs: []onnx.ValueInfo{{Name: "y", NoShape: true}}}
	for range 80 {
		n := &onnx.Node{Op: "If", Inputs: []string{"c"}, Outputs: []string{"z"}, Attributes: []onnx.Attribute{
			{Name: "then_branch", Type: onnx.AttrGraph, Graph: g}, {Name: "else_branch", Type: onnx.AttrGraph, Graph: &onnx.Graph{Name: "e"}}}}
		g = &onnx.Graph{Name: "g", Nodes: []*onnx.Node{n}, Outputs: []onnx.ValueInfo{{Name: "z", NoShape: true}}}
	}
	if found := Full(modelOf(g.Nodes, "z"), ""); len(found) == 0 || len(found) > maxProblems {
		t.Errorf("%d problems", len(found))
	}
	wide := modelOf([]*onnx.Node{{Op: "Reshape", Inputs: []string{"x", "s"}, Outputs: []string{"y"}}}, "y")
	wide.Graph.Initializers = []*onnx.Tensor{{Name: "s", DataType: onnx.Int64, Dims: []int64{1 << 20}, Raw: make([]byte, 8<<20)}}
	Full(wide, "")
}

// What is said names the place and the remedy, and bounds what it quotes.
func TestMessages(t *testing.T) {
	long := strings.Repeat("n", 5000)
	for want, n := range map[string]*onnx.Node{
		`Relu-14 has 1 inputs, the node has 2`:            {Op: "Relu", Inputs: []string{"x", "x"}, Outputs: []string{"y"}},
		`opset 21 of ai.onnx has no "Relo"`:               {Op: "Relo", Inputs: []string{"x"}, Outputs: []string{"y"}},
		`axis 7 of a value with 2 axes`:                   {Op: "Softmax", Inputs: []string{"x"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{onnx.IntAttr("axis", 7)}},
		`input 0 (X) is float, which Not-1 does not take`: {Op: "Not", Inputs: []string{"x"}, Outputs: []string{"y"}},
		`it uses "nnnn`: {Op: "Neg", Inputs: []string{long}, Outputs: []string{"y"}},
		`attribute "to" is 99, which is no element type`: {Op: "Cast", Inputs: []string{"x"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{onnx.IntAttr("to", 99)}},
	} {
		found := Full(modelOf([]*onnx.Node{n}, "y"), "")
		if len(found) == 0 || !strings.Contains(found[0].Error(), want) || len(found[0].Error()) > 400 || !strings.Contains(found[0].Error(), `node of "y"`) {
			t.Errorf("%v, want %s", found, want)
		}
	}
}
