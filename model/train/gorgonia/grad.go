package gorgonia

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model/graph"
)

// differentiate lets Gorgonia record the gradients of the loss. It fills grads
// with those of the named parameters that affect the loss, and returns the
// gradient of the loss itself, a constant 1.
func (l *lowering[E]) differentiate(bound *graph.Graph, params []*graph.Value, names []string, grads G.Nodes) (*G.Node, error) {
	var loss *G.Node
	for _, o := range bound.Outputs {
		if o.Name == lossName && len(o.Value.Shape) == 0 {
			loss = l.nodes[o.Value]
		}
	}
	if loss == nil {
		return nil, fmt.Errorf("train: the graph has no scalar output %.80q", lossName)
	}
	touched := map[*G.Node]bool{} // differentiable arguments of the loss
	var visit func(n *G.Node)
	visit = func(n *G.Node) {
		if touched[n] {
			return
		}
		touched[n] = true
		if op, ok := n.Op().(*operator[E]); ok {
			wrt := op.DiffWRT(len(op.in))
			for i, a := range l.children(n) {
				if wrt[i] {
					visit(a)
				}
			}
		}
	}
	visit(loss)
	var with G.Nodes
	var at []int
	for i, p := range params {
		if v := bound.Lookup(p.Name); v != nil && slices.Contains(names, p.Name) && touched[l.nodes[v]] {
			with, at = append(with, l.nodes[v]), append(at, i)
		}
	}
	if len(with) == 0 {
		return nil, fmt.Errorf("train: the loss depends on no parameter")
	}
	name := "gradient of " + lossName
	for bound.Lookup(name) != nil {
		name += "'" // Gorgonia merges leaves of the same name
	}
	one := G.NewTensor(l.graph, l.float(), 1, G.WithShape(1), G.WithName(name))
	found, err := G.Backpropagate(G.Nodes{loss}, G.Nodes{one}, with)
	if l.err != nil {
		return nil, l.err
	}
	if err != nil {
		return nil, fmt.Errorf("train: Gorgonia cannot differentiate the graph: %w", err)
	}
	for i, n := range found {
		grads[at[i]] = n
	}
	return one, nil
}

// children returns the arguments of n in order.
func (l *lowering[E]) children(n *G.Node) G.Nodes {
	var out G.Nodes
	if from := l.graph.From(n.ID()); from != nil {
		for from.Next() {
			if c, ok := from.Node().(*G.Node); ok {
				out = append(out, c)
			}
		}
	}
	return out
}
