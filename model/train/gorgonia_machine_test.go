package train

import (
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// TestTapeMachine runs the lowered graphs, gradients among them, on Gorgonia's
// own machine: the operators keep Gorgonia's contract, and the machine here
// plans memory without spoiling a value.
func TestTapeMachine(t *testing.T) {
	for _, op := range graph.Operators() {
		for _, c := range gradientCases[op.Name()] {
			if _, in := op.(graph.Input); in {
				continue
			}
			t.Run(op.Name()+"/"+c.name, func(t *testing.T) {
				g := lossGraph(t, c)
				p, err := compile[float64](g, nil, true)
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
	for _, v := range bound.Nodes {
		if l.lower(v); l.err != nil {
			t.Fatal(l.err)
		}
	}
	grads := make(G.Nodes, len(g.Params))
	one, err := l.differentiate(bound, g.Params, grads)
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
		switch {
		case isParam(v):
			for i, p := range g.Params {
				if p.Name == v.Name {
					let(n, append([]float64(nil), values[i]...))
				}
			}
		case n.Dtype() == tensor.Bool:
			x := []bool{}
			for _, b := range constantOf(t, v).Data {
				x = append(x, b != 0)
			}
			let(n, x)
		case n.Dtype() == tensor.Int64:
			x, err := constantOf(t, v).Int64s()
			if err != nil {
				t.Fatal(err)
			}
			let(n, append([]int64(nil), x...))
		default:
			x, err := constantOf(t, v).AsFloat64s()
			if err != nil {
				t.Fatal(err)
			}
			let(n, x)
		}
	}
	m := G.NewTapeMachine(l.graph)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return grads
}

func isParam(v *graph.Value) bool {
	_, ok := graph.Is[graph.Param](v)
	return ok
}

func constantOf(t *testing.T, v *graph.Value) format.Tensor {
	t.Helper()
	c, ok := v.Constant()
	if !ok {
		t.Fatalf("%s is no constant", v.Name)
	}
	return c
}
