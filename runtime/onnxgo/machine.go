package onnxgo

import (
	"fmt"

	"gorgonia.org/gorgonia"
)

// machine runs Gorgonia's graph on the calling goroutine. Gorgonia's own
// machines use another goroutine. Its operators panic on some shapes and axes,
// and a panic there would end the process.
type machine struct {
	graph *gorgonia.ExprGraph
	nodes gorgonia.Nodes // arguments before their users
	uses  map[int64]int  // number of uses of a node's value as an argument
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

// RunAll computes every node and copies the results to the graph's outputs. It
// releases a value once its last user has run.
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

// Reset does nothing: no state survives a run.
func (m *machine) Reset() {}

// Close does nothing.
func (m *machine) Close() error { return nil }
