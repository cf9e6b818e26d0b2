package graph_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// After Slopeless a graph has the derivatives that GradBy has: none through the integers,
// and those of a scale that depends on the numbers. Without it they pass the integers.
func TestSlopeless(t *testing.T) {
	for name, dynamic := range map[string]bool{"QuantizeLinear": false, "DynamicQuantizeLinear": true} {
		b := graph.NewBuilder()
		x := b.Param("x", graph.Init{}, 4)
		args := []*graph.Value{}
		if dynamic {
			args = b.Apply(graph.DynamicQuantizeLinear{}, 3, x)
		} else {
			scale, zero := b.Scalar(0.1), b.Const(format.Tensor{DType: format.Uint8, Data: []byte{128}})
			args = append(args, b.Apply(graph.QuantizeLinear{To: format.Uint8, Precision: format.Float32}, 1, x, scale, zero)[0], scale, zero)
		}
		b.Output("loss", b.ReduceSum(b.Apply(graph.DequantizeLinear{To: format.Float32}, 1, args...)[0], false, 0))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		ops := func(passes ...graph.Pass) (n int) {
			out, err := graph.Apply(g, append(passes, graph.Fold, graph.Merge)...)
			if err != nil {
				t.Fatal(err)
			}
			return len(out.Nodes)
		}
		old, passed, new := ops(graph.Grad("loss")), ops(graph.Slopeless, graph.GradThrough("loss", nil)), ops(graph.GradThrough("loss", nil))
		if old != passed || old == new {
			t.Errorf("%s: %d nodes differentiate, %d after Slopeless, %d straight through", name, old, passed, new)
		}
	}
}

// A table of integers that is looked up too is no factor of products alone.
func TestLookedUpIntegers(t *testing.T) {
	for _, lookedUp := range []bool{false, true} {
		b := graph.NewBuilder()
		w := b.Weight("w", format.Int8, 8, 4)
		x := b.Input("x", format.Float32, graph.N(3), graph.N(8))
		q := b.Apply(graph.DynamicQuantizeLinear{}, 3, x)
		wide := func(v *graph.Value) *graph.Value { return b.Cast(b.Cast(v, format.Int32), format.Float64) }
		first := b.Cast(b.Sub(b.Cast(q[0], format.Int32), b.Cast(q[2], format.Int32)), format.Float64)
		sum := b.Cast(b.Cast(b.MatMul(first, wide(w)), format.Int32), format.Float32)
		b.Output("y", b.Mul(sum, b.Mul(q[1], b.Scalar(0.5))))
		if lookedUp {
			b.Output("z", b.Gather(w, b.Input("ids", format.Int64, graph.N(2))))
		}
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(graph.Factors(g)); (n == 1) == lookedUp {
			t.Errorf("looked up %v: %d factors", lookedUp, n)
		}
	}
}
