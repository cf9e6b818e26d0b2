package graph

import (
	"slices"

	"github.com/attnx/attnx/model/role"
)

// recurrent returns the recurrent nodes of the decoder; none if it has an Attention.
func (c cutter) recurrent(tokens *Value) (nodes []*Node) {
	target := reach(c.g, tokens)
	for _, n := range c.g.Nodes {
		if !target[n.Results[0]] {
			continue
		}
		if _, attends := n.Op.(Attention); attends {
			return nil
		}
		if recurrentStates(n.Op) > 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// recurrentPair cuts a recurrent decoder, which begins with what the encoder hands over:
// First reads that, Next has the states of the layers as inputs, and both return them. Neither
// has a mask or keys and values.
func (c cutter) recurrentPair(p Pair, logits Output, nodes []*Node) (Pair, error) {
	for _, n := range nodes {
		if !IsUnending(n.Args[0], n.Args[4]) {
			return p, &CacheError{n.Name(), "ends before the last token of the target"}
		}
	}
	part := func() (*Graph, error) {
		g, err := c.part([]Output{{Role: logits.Role, Value: logits.Value}})
		if err != nil {
			return nil, err
		}
		return finalStates(g, States(g))
	}
	var err error
	if p.First, err = part(); err != nil {
		return p, err
	}
	c.named = map[*Value]role.Role{}
	for layer, n := range nodes {
		for i := range recurrentStates(n.Op) {
			if _, twice := c.named[n.Args[5+i]]; twice {
				return p, &CacheError{n.Name(), "begins with the state of another layer"}
			}
			c.named[n.Args[5+i]] = role.Layered(stateKinds[i][0], layer)
		}
	}
	if p.Next, err = part(); err != nil {
		return p, err
	}
	if s := slices.IndexFunc(p.Next.Inputs, func(v *Value) bool { return v.Role().Kind == role.SourceStates }); s >= 0 {
		return p, &CacheError{p.Next.Inputs[s].Name, "is read by something else than the states that a layer begins with"}
	}
	return p, nil
}
