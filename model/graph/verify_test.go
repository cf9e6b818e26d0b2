package graph_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Every test case breaks one thing in a graph that is legal.
func TestVerifyRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(g *graph.Graph)
		want  string
	}{
		{"a value is missing", func(g *graph.Graph) { g.Nodes[2] = nil }, "nil"},
		{"no operator", func(g *graph.Graph) { g.Lookup("x").Node.Op = nil }, "has no operator"},
		{"unknown function", func(g *graph.Graph) { g.Lookup("unused").Node.Op = graph.Unary(250) }, "no such function"},
		{"no result", func(g *graph.Graph) { g.Lookup("x").Node.Results = nil }, "no result"},
		{"result of another node", func(g *graph.Graph) { g.Lookup("x").Node = g.Lookup("unused").Node }, "does not belong"},
		{"results in another order", func(g *graph.Graph) { g.Lookup("x").Index = 1 }, "does not belong"},
		{"name used twice", func(g *graph.Graph) { g.Lookup("x").Name = "table" }, `"table"`},
		{"no name", func(g *graph.Graph) { g.Lookup("x").Name = "" }, "empty"},
		{"argument is its user", func(g *graph.Graph) { v := g.Lookup("x"); v.Node.Args[1] = v }, `"x" uses one that does not come before`},
		{"argument comes later", func(g *graph.Graph) { g.Lookup("x").Node.Args[0] = g.Lookup("unused") }, `"x" uses one`},
		{"argument of another graph", func(g *graph.Graph) { g.Lookup("x").Node.Args[1] = &graph.Value{Name: "ids"} }, `"x" uses one`},
		{"argument is nil", func(g *graph.Graph) { g.Lookup("x").Node.Args[0] = nil }, `"x" uses one`},
		{"argument too many", func(g *graph.Graph) { n := g.Lookup("x").Node; n.Args = append(n.Args, n.Args[0]) }, "takes 2"},
		{"argument of a leaf", func(g *graph.Graph) { g.Lookup("table").Node.Args = g.Inputs }, `"table"`},
		{"another shape", func(g *graph.Graph) { g.Lookup("unused").Shape = graph.Numbers(2, 2, 4) }, `"unused" is said to be F32(2,2,4)`},
		{"another type", func(g *graph.Graph) { g.Lookup("x").DType = format.Float64 }, `"x" is said to be F64`},
		{"no type", func(g *graph.Graph) { g.Inputs[0].DType = format.Invalid }, `"ids" has no element type`},
		{"unknown type", func(g *graph.Graph) { g.Inputs[0].DType = 200 }, `"ids" has no element type`},
		{"negative size", func(g *graph.Graph) { g.Inputs[0].Shape = graph.Numbers(-1, 2) }, `"ids" has the negative size -1`},
		{"attribute outside", func(g *graph.Graph) { g.Lookup("x").Node.Op = graph.Gather{Axis: 2} }, "axis 2"},
		{"attribute that is not a size", func(g *graph.Graph) { g.Lookup("unused").Node.Op = graph.Trilu{K: graph.Sym("not a name")} }, `attribute "k" is not a size`},
		{"open parameter", func(g *graph.Graph) { g.Params[0].Shape[0] = graph.Sym("V") }, `"table" has the shape (V,4)`},
		{"constant without data", func(g *graph.Graph) {
			g.Lookup("const.0.5").Node.Op = graph.Const{Value: format.Tensor{DType: format.Float32, Shape: []int{}}}
		}, `"const.0.5"`},
		{"constant of another shape", func(g *graph.Graph) { g.Lookup("const.0.5").Shape = graph.Numbers(1) }, `"const.0.5"`},
		{"constant of another type", func(g *graph.Graph) { g.Lookup("const.0.5").DType = format.Int32 }, `"const.0.5"`},
		{"unlisted input", func(g *graph.Graph) { g.Inputs = nil }, `input "ids" is not in the list`},
		{"unlisted parameter", func(g *graph.Graph) { g.Params = g.Params[:2] }, `"layer.bias" is not in the list`},
		{"parameters in another order", func(g *graph.Graph) { g.Params[0], g.Params[1] = g.Params[1], g.Params[0] }, `"table" is not in the list of parameters, or not in its place`},
		{"inputs in another order", func(g *graph.Graph) {
			late := &graph.Value{Name: "late", Type: graph.Type{DType: format.Int64}}
			late.Node = &graph.Node{Op: graph.Input{}, Results: []*graph.Value{late}}
			g.Nodes = append(g.Nodes, late.Node)
			g.Inputs = append([]*graph.Value{late}, g.Inputs...)
		}, `input "ids" is not in the list of inputs, or not in its place`},
		{"listed and not there", func(g *graph.Graph) { g.Params = append(g.Params, &graph.Value{Name: "ghost"}) }, "is not a value"},
		{"no outputs", func(g *graph.Graph) { g.Outputs = nil }, "no outputs"},
		{"output without a name", func(g *graph.Graph) { g.Outputs[0].Name = "" }, "no name"},
		{"two outputs of a name", func(g *graph.Graph) { g.Outputs = append(g.Outputs, g.Outputs[0]) }, `"out"`},
		{"output of another graph", func(g *graph.Graph) { g.Outputs[0].Value = &graph.Value{Name: "x"} }, `"out"`},
		{"output is nil", func(g *graph.Graph) { g.Outputs[0].Value = nil }, `"out"`},
	} {
		g := mustGraph(t, network())
		c.spoil(g)
		err := graph.Verify(g)
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.want) })
	}
}

func TestVerifyAcceptsAnEmptyAxis(t *testing.T) {
	b := graph.NewBuilder()
	b.Output("y", b.MatMul(input(b, "F32(0,3)"), input(b, "F32(3,0)")))
	mustGraph(t, b)
}
