package ref

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// lookedUp bounds the elements of a result that Admits computes.
const lookedUp = 1 << 24

// Admits returns an error if the graph cannot run with the inputs, as far as that takes no
// long computation: each row of a weight that is looked up or cut out by integers which
// follow from the inputs alone must be there.
func (o *Oracle) Admits(inputs map[string]format.Tensor) error {
	cheap := map[*graph.Value]bool{} // integers and truth values that follow from such
	var values []*graph.Value
	for _, n := range o.graph.Nodes {
		all := true
		for _, a := range n.Args {
			all = all && (a.Leaf() || cheap[a])
		}
		if !all || n.Results[0].Leaf() {
			continue
		}
		for _, v := range n.Results {
			cheap[v] = !v.DType.Float()
		}
		switch n.Op.(type) {
		case graph.Gather, graph.GatherElements, graph.Slice:
			values = append(values, n.Results[0])
		}
	}
	p, err := o.planned(inputs, nil, values...)
	if err != nil {
		return err
	}
	var names []string
	for _, v := range values {
		if n, ok := format.Elements(p.shapes[v]); ok && n <= lookedUp {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return o.Visit(inputs, names, func(format.Tensor) error { return nil })
}
