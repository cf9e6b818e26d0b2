package branch_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/branch"
)

// numbers returns an initializer.
func numbers(name string, first byte) *onnx.Tensor {
	return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: []int64{2, 2}, Raw: append([]byte{first}, make([]byte, 15)...)}
}

func value(name string, rows string) onnx.ValueInfo {
	return onnx.ValueInfo{Name: name, DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: rows}, {Value: 2}}}
}

func node(op, out string, in ...string) *onnx.Node {
	return &onnx.Node{Op: op, Name: out, Inputs: in, Outputs: []string{out}}
}

// models returns two models that share the weight w, the node "t" that turns it, and
// the names "c" and "h" for different things.
func models() (one, other *onnx.Model) {
	of := func(g *onnx.Graph, who string) *onnx.Model {
		g.Name = "attnx"
		return &onnx.Model{IRVersion: 8, Graph: g, Opsets: []onnx.Opset{{Version: 17}}, Metadata: map[string]string{"who": who, "both": "x"}}
	}
	one = of(&onnx.Graph{
		Inputs:       []onnx.ValueInfo{value("x", "T"), value("past", "S")},
		Initializers: []*onnx.Tensor{numbers("w", 1), numbers("c", 2)},
		Nodes:        []*onnx.Node{node("Transpose", "t", "w"), node("MatMul", "h", "x", "t"), node("Add", "a", "h", "c"), node("Concat", "y", "past", "a")},
		Outputs:      []onnx.ValueInfo{value("y", "S + T")},
	}, "one")
	one.Graph.Nodes[3].Attributes = []onnx.Attribute{onnx.IntAttr("axis", 0)}
	other = of(&onnx.Graph{
		Inputs:       []onnx.ValueInfo{value("x", "T"), value("states", "S")},
		Initializers: []*onnx.Tensor{numbers("w", 1), numbers("c", 3)},
		Nodes:        []*onnx.Node{node("Transpose", "t", "w"), node("MatMul", "h", "states", "t"), node("Mul", "y", "x", "c"), node("Identity", "kept", "h")},
		Outputs:      []onnx.ValueInfo{value("y", "T"), value("kept", "S")},
	}, "other")
	return one, other
}

var form = branch.Form{Condition: "again", Through: map[string]string{"kept": "past"}, Dims: map[string]string{"S": "past_S"}}

// What Split takes out of a merged model is what went in. Weights, and what is computed
// from them alone, are there once.
func TestMergeAndSplit(t *testing.T) {
	one, other := models()
	merged, err := branch.Merge(form, one, other)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range merged.Graph.Initializers {
		names = append(names, x.Name)
	}
	if !slices.Equal(names, []string{"w"}) || len(merged.Graph.Nodes) != 2 {
		t.Errorf("around the branches there are %q and %d nodes, expected w, its transpose and the choice", names, len(merged.Graph.Nodes))
	}
	if got := merged.Graph.Inputs[2].Dims[0].Param; got != "past_S" {
		t.Errorf("the rows of past are %q", got)
	}
	for _, want := range []*onnx.Model{one, other} {
		var inputs []string
		for _, v := range want.Graph.Inputs {
			inputs = append(inputs, v.Name)
		}
		got, err := branch.Split(form, merged, want == one, inputs)
		if err != nil {
			t.Fatal(err)
		}
		want.Graph.Inputs = got.Graph.Inputs // in the order of the merged model, with other names of sizes
		if a, b := text(t, got), text(t, want); a != b {
			t.Errorf("split:\n%s\nmerged:\n%s", a, b)
		}
	}
}

// text returns a model as a text, without the order of its initializers.
func text(t *testing.T, m *onnx.Model) string {
	t.Helper()
	c, g := *m, *m.Graph
	c.Graph = &g
	g.Initializers = slices.Clone(g.Initializers)
	slices.SortFunc(g.Initializers, func(a, b *onnx.Tensor) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	if err := c.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Models that cannot be merged, and merged models in another form, are refused by name.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(one, other *onnx.Model)
		want   string
	}{
		"operator sets":  {func(one, _ *onnx.Model) { one.Opsets[0].Version = 18 }, "operator sets"},
		"an input":       {func(one, _ *onnx.Model) { one.Graph.Inputs[0].DataType = onnx.Int64 }, `the input "x" is declared as`},
		"the condition":  {func(one, _ *onnx.Model) { one.Graph.Inputs[1].Name = "again" }, `an input "again" already`},
		"no such output": {func(one, _ *onnx.Model) { one.Graph.Outputs[0].Name = "a" }, `no output "y"`},
		"an inner graph": {func(_, other *onnx.Model) {
			other.Graph.Nodes[0].Attributes = []onnx.Attribute{{Name: "g", Type: onnx.AttrGraph, Graph: &onnx.Graph{}}}
		}, "has a graph of its own"},
	} {
		one, other := models()
		c.change(one, other)
		if _, err := branch.Merge(form, one, other); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		change func(g, yes *onnx.Graph, choice *onnx.Node)
		want   string
	}{
		"no condition":     {func(g, _ *onnx.Graph, _ *onnx.Node) { g.Inputs = g.Inputs[:3] }, `no input "again"`},
		"no choice":        {func(g, _ *onnx.Graph, _ *onnx.Node) { g.Nodes = g.Nodes[:1] }, "no If by"},
		"another choice":   {func(_, _ *onnx.Graph, choice *onnx.Node) { choice.Inputs[0] = "x" }, "expected one If by"},
		"a node behind it": {func(g, _ *onnx.Graph, _ *onnx.Node) { g.Outputs[0].Name = "t" }, `"t" is no result of the If`},
		"a foreign input":  {func(_, yes *onnx.Graph, _ *onnx.Node) { yes.Nodes[0].Inputs[0] = "states" }, `it uses "states", which nothing defines`},
		"another passes":   {func(_, yes *onnx.Graph, _ *onnx.Node) { yes.Nodes[len(yes.Nodes)-1].Inputs[0] = "x" }, `the output "kept" is not the input "past"`},
		"too few results":  {func(_, yes *onnx.Graph, _ *onnx.Node) { yes.Outputs = yes.Outputs[:1] }, "does not return its 2 results"},
		"no branch":        {func(_, _ *onnx.Graph, choice *onnx.Node) { choice.Attributes[0].Name = "other" }, "then_branch of the If"},
	} {
		merged, err := branch.Merge(form, first(models()), second(models()))
		if err != nil {
			t.Fatal(err)
		}
		choice := merged.Graph.Nodes[1]
		c.change(merged.Graph, choice.Attributes[0].Graph, choice)
		if _, err := branch.Split(form, merged, true, []string{"x", "past"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

func first(a, _ *onnx.Model) *onnx.Model  { return a }
func second(_, b *onnx.Model) *onnx.Model { return b }
