package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/model/role"
)

// stateKinds are the roles of the states of a recurrent operator, in the order of its
// results: those that it begins with, and those that it ends with.
var stateKinds = [][2]role.Kind{{role.PastState, role.PresentState}, {role.PastCell, role.PresentCell}}

// recurrentStates returns how many states an operator carries from token to token; 0 if it
// is not a GRU or an LSTM that reads a text from its beginning.
func recurrentStates(op Op) int {
	switch op := op.(type) {
	case GRU:
		if !op.Reverse {
			return 1
		}
	case LSTM:
		if !op.Reverse && !op.Quantized {
			return 2
		}
	}
	return 0
}

// stateful returns a recurrent network whose states are inputs and outputs: it needs no
// tokens of the past. Layer i has past_state.i (B,H) and, for an LSTM, past_cell.i, and
// gives present_state.i and present_cell.i. States of zeros begin a text. Everything else
// must compute each token and each text by itself.
func stateful(c *cached, g *Graph) (*Graph, error) {
	for _, n := range g.Nodes {
		if states := recurrentStates(n.Op); states > 0 {
			begins := !slices.ContainsFunc(n.Args[5:5+states], func(v *Value) bool { return !IsZero(v) })
			switch {
			case !begins || !IsUnending(n.Args[0], n.Args[4]):
				return nil, &CacheError{n.Name(), "begins with a state, or ends before the last token: only texts that begin with zeros and go on can be continued"}
			case n.Args[0].Shape[0] != c.T || n.Args[0].Shape[1] != c.B:
				return nil, &CacheError{n.Name(), fmt.Sprintf("reads %s: expected (%s,%s,C)", n.Args[0].Shape, c.T, c.B)}
			}
			continue
		}
		if _, positions := n.Op.(Positions); positions || !c.tokenwise(n) || !c.textwise(n) {
			return nil, &CacheError{n.Name(), fmt.Sprintf("(%s) mixes tokens or texts: only recurrent operators have a state", n.Op.Name())}
		}
	}
	layer := 0
	var ends [][]*Value
	out, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		states := recurrentStates(n.Op)
		if states == 0 {
			return nil
		}
		root, begin := b.root(), slices.Clone(args)
		for i := range states {
			begin[5+i] = root.InputFor(role.Layered(stateKinds[i][0], layer), args[5+i].DType, args[5+i].Shape...)
		}
		layer++
		results := root.Apply(n.Op, 1+states, begin...)
		ends = append(ends, results[1:])
		return results
	})
	if err != nil {
		return nil, err
	}
	return endingWith(out, ends)
}

// endingWith adds the states that the layers of a recurrent network end with as outputs.
func endingWith(g *Graph, ends [][]*Value) (*Graph, error) {
	b := Extend(g)
	for layer, states := range ends {
		for i, v := range states {
			b.OutputFor(role.Layered(stateKinds[i][1], layer), v)
		}
	}
	return b.Graph()
}

// States returns the recurrent nodes whose states stateful carries; none if the network
// has an Attention, whose tokens see those before.
func States(g *Graph) (nodes []*Node) {
	for _, n := range g.Nodes {
		if _, attends := n.Op.(Attention); attends {
			return nil
		}
		if recurrentStates(n.Op) > 0 {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// finalStates returns g with the states that its recurrent layers end with as outputs.
func finalStates(g *Graph, nodes []*Node) (*Graph, error) {
	var ends [][]*Value
	out, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		if !slices.Contains(nodes, n) {
			return nil
		}
		results := b.root().Apply(n.Op, 1+recurrentStates(n.Op), args...)
		ends = append(ends, results[1:])
		return results
	})
	if err != nil {
		return nil, err
	}
	return endingWith(out, ends)
}
