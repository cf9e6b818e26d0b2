package onnxgo

import (
	"fmt"

	"gorgonia.org/gorgonia"
)

// machine runs Gorgonia's graph on the goroutine that calls it. Gorgonia's own
// machines run it on another, where a panic, which is how its operators refuse
// some shapes and axes, ends the process.
type machine struct {
	graph *gorgonia.ExprGraph
	nodes gorgonia.Nodes // arguments before what uses them
	uses  map[int64]int  // how often a node's value is an argument
}

var _ gorgonia.VM = (*machine)(nil)

func newMachine(g *gorgonia.ExprGraph) (*machine, error) {
	sorted, err := gorgonia.Sort(g)
	if err != nil {
		return nil, err
	}
	m := &machine{graph: g, uses: map[int64]int{}}
	for i := len(sorted) - 1; i >= 0; i-- {
		m.nodes = append(m.nodes, sorted[i])
		for args := g.From(sorted[i].ID()); args.Next(); {
			m.uses[args.Node().ID()]++
		}
	}
	return m, nil
}

// RunAll computes every node and gives the results of the graph to theirs. A
// value is let go once its last user has run.
func (m *machine) RunAll() error {
	held := map[int64]gorgonia.Value{}
	left := make(map[int64]int, len(m.uses))
	for id, n := range m.uses {
		left[id] = n
	}
	for _, n := range m.nodes {
		if n.Op() == nil {
			held[n.ID()] = n.Value()
			continue
		}
		var values []gorgonia.Value
		for args := m.graph.From(n.ID()); args.Next(); {
			id := args.Node().ID()
			if held[id] == nil {
				return fmt.Errorf("%v: an argument has no value", n.Op())
			}
			values = append(values, held[id])
			if left[id]--; left[id] == 0 {
				delete(held, id)
			}
		}
		v, err := n.Op().Do(values...)
		if err != nil {
			return fmt.Errorf("%v: %w", n.Op(), err)
		}
		if m.uses[n.ID()] > 0 {
			held[n.ID()] = v
		} else if err := gorgonia.UnsafeLet(n, v); err != nil {
			return err
		}
	}
	return nil
}

// Reset does nothing: a run keeps nothing.
func (m *machine) Reset() {}

// Close does nothing.
func (m *machine) Close() error { return nil }
