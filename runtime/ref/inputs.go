package ref

import (
	"slices"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// Inputs returns the inputs of the graph for runtime.CasesOf.
func (o *Oracle) Inputs() []runtime.Input { return Inputs(o.graph) }

// Inputs returns the inputs of a graph for runtime.CasesOf.
func Inputs(g *graph.Graph) []runtime.Input {
	below := bounds(g)
	inputs := make([]runtime.Input, len(g.Inputs))
	for i, v := range g.Inputs {
		in := runtime.Input{Name: v.Name, Role: v.Role(), DType: v.DType, Shape: v.Shape.Eval, Below: below[v]}
		for _, d := range v.Shape {
			for _, name := range d.Symbols() {
				if !slices.Contains(in.Sizes, name) {
					in.Sizes = append(in.Sizes, name)
				}
			}
		}
		if in.Below == 0 && in.Role.Kind == role.Positions {
			in.Below = g.Context
		}
		inputs[i] = in
	}
	return inputs
}

// bounds returns the exclusive upper bound that the graph's operators imply for
// each integer input: table rows, classes, positions.
func bounds(g *graph.Graph) map[*graph.Value]int {
	below := map[*graph.Value]int{}
	source := map[*graph.Value]*graph.Value{} // the input from which a value is only moved
	for _, v := range g.Inputs {
		source[v] = v
	}
	bound := func(ids *graph.Value, rows graph.Dim) {
		n, known := rows.Number()
		if in := source[ids]; in != nil && known && (below[in] == 0 || n < below[in]) {
			below[in] = n
		}
	}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case graph.Gather:
			bound(n.Args[1], n.Args[0].Shape[op.Axis])
		case graph.GatherElements:
			bound(n.Args[1], n.Args[0].Shape[op.Axis])
		case graph.OneHot:
			bound(n.Args[0], graph.N(op.Depth))
		case graph.SoftmaxCrossEntropyLoss:
			bound(n.Args[1], n.Args[0].Shape[1])
		case graph.Reshape, graph.Transpose, graph.Slice, graph.Expand, graph.Cast:
			source[n.Results[0]] = source[n.Args[0]]
		}
	}
	return below
}
