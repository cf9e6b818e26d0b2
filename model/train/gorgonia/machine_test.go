package gorgonia

import (
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/graph"
)

// TestTapeMachine runs the lowered graphs, gradients among them, on Gorgonia's
// own machine: the operators keep Gorgonia's contract, and the machine here
// plans memory without spoiling a value.
func TestTapeMachine(t *testing.T) {
	for _, op := range graph.Operators() {
		for _, c := range gradientCases[op.Name()] {
			if _, given := op.(graph.Input); given {
				continue
			}
			t.Run(op.Name()+"/"+c.name, func(t *testing.T) {
				g := lossGraph(t, c)
				p, err := compile[float64](g, nil, paramNames(g), false)
				if err != nil {
					t.Fatal(err)
				}
				values := fillParams(t, p, c.positive)
				if err := p.run(); err != nil {
					t.Fatal(err)
				}
				grads := onTapeMachine(t, g, values)
				for i, n := range grads {
					if (n == nil) != (p.grads[i] < 0) {
						t.Fatalf("gradient of %s: a part in the loss for one machine only", p.params[i].name)
					}
					if n == nil {
						continue
					}
					got, err := operandOf[float64](n.Value())
					if err != nil {
						t.Fatal(err)
					}
					for j, want := range p.slots[p.grads[i]].f {
						if got.f[j] != want {
							t.Fatalf("gradient of %s[%d]: %v on Gorgonia's machine, %v on ours", p.params[i].name, j, got.f[j], want)
						}
					}
				}
			})
		}
	}
}

func onTapeMachine(t *testing.T, g *graph.Graph, values [][]float64) G.Nodes {
	t.Helper()
	bound, err := prepared(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := newLowering[float64]()
	for _, n := range bound.Nodes {
		if l.lower(n); l.err != nil {
			t.Fatal(l.err)
		}
	}
	grads := make(G.Nodes, len(g.Params))
	one, err := l.differentiate(bound, g.Params, paramNames(g), grads)
	if err != nil {
		t.Fatal(err)
	}
	let := func(n *G.Node, backing any) {
		if err := G.Let(n, tensor.New(tensor.WithShape(n.Shape().Clone()...), tensor.WithBacking(backing))); err != nil {
			t.Fatal(err)
		}
	}
	let(one, []float64{1})
	for n, v := range l.leafs {
		if _, ok := graph.Is[graph.Param](v); ok {
			for i, p := range g.Params {
				if p.Name == v.Name {
					let(n, slices.Clone(values[i]))
				}
			}
			continue
		}
		if provided(v) {
			t.Fatalf("%s is an input", v.Name)
		}
		x := newOperand[float64](n.Dtype(), n.Shape().TotalSize())
		if err := fillConstant(x, v); err != nil {
			t.Fatal(err)
		}
		switch {
		case x.i != nil:
			let(n, x.i)
		case x.b != nil:
			let(n, x.b)
		default:
			let(n, x.f)
		}
	}
	m := G.NewTapeMachine(l.graph)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return grads
}
