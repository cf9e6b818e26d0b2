package gorgonia

import (
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// TestTies: elements that share an extreme share its gradient evenly, as in
// PyTorch's amax and maximum, and a kink has the slope 0.
func TestTies(t *testing.T) {
	for _, c := range []struct {
		name  string
		x     []float32
		build func(b *graph.Builder, x *graph.Value) *graph.Value
		want  []float64
	}{
		{"ReduceMax", []float32{2, 1, 2, 2}, func(b *graph.Builder, x *graph.Value) *graph.Value { return b.ReduceMax(x, false, 0) }, []float64{1. / 3, 0, 1. / 3, 1. / 3}},
		{"ReduceMin", []float32{2, 1, 1, 2}, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Apply(graph.Reduce{Kind: graph.ReduceMin, Axes: []int{0}}, 1, x)[0]
		}, []float64{0, 0.5, 0.5, 0}},
		// The pairs are (2,3), (3,1), (1,1) and (1,2).
		{"Max", []float32{2, 3, 1, 1}, func(b *graph.Builder, x *graph.Value) *graph.Value { return neighbours(b, graph.Max, x) }, []float64{1, 2, 0.5, 0.5}},
		{"Min", []float32{2, 3, 1, 1}, func(b *graph.Builder, x *graph.Value) *graph.Value { return neighbours(b, graph.Min, x) }, []float64{1, 0, 1.5, 1.5}},
		{"Relu", []float32{-1, 0, 1}, func(b *graph.Builder, x *graph.Value) *graph.Value { return b.ReduceSum(b.Relu(x), false, 0) }, []float64{0, 0, 1}},
		{"Abs", []float32{-1, 0, 1}, func(b *graph.Builder, x *graph.Value) *graph.Value { return b.ReduceSum(b.Abs(x), false, 0) }, []float64{-1, 0, 1}},
	} {
		b := graph.NewBuilder()
		b.Output("loss", c.build(b, b.Param("x", graph.Constant(0), len(c.x))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		p, err := compile[float64](g, nil, paramNames(g), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.set(p.params[0], format.FromFloat32s("x", []int{len(c.x)}, c.x)); err != nil {
			t.Fatal(err)
		}
		if err := p.run(); err != nil {
			t.Fatal(err)
		}
		if got := p.slots[p.grads[0]].f; !slices.Equal(got, c.want) {
			t.Errorf("%s of %v: gradient %v, want %v", c.name, c.x, got, c.want)
		}
	}
}

// neighbours sums op over all pairs of neighbours, the last beside the first.
func neighbours(b *graph.Builder, op graph.Op, x *graph.Value) *graph.Value {
	n, _ := x.Shape[0].Number()
	next := b.Concat(0, b.Slice(x, 0, graph.N(1), graph.N(n)), b.Slice(x, 0, graph.N(0), graph.N(1)))
	return b.ReduceSum(b.Apply(op, 1, x, next)[0], false, 0)
}

// TestNotANumber: what is not a number has no order, and the extreme of numbers
// and what is none is none.
func TestNotANumber(t *testing.T) {
	nan := float32(math.NaN())
	x, y := []float32{nan, nan, 1, 1}, []float32{1, nan, nan, 1}
	for _, op := range []graph.Binary{graph.Equal, graph.Less, graph.LessOrEqual, graph.Greater, graph.GreaterOrEqual} {
		holds := op == graph.Equal || op == graph.LessOrEqual || op == graph.GreaterOrEqual
		if got := outputOf(t, op, x, y).b; !slices.Equal(got, []bool{false, false, false, holds}) {
			t.Errorf("%s of %v and %v: %v", op.Name(), x, y, got)
		}
	}
	for _, op := range []graph.Op{graph.Max, graph.Min} {
		if got := outputOf(t, op, x, y).f; !isNaN(got[0]) || !isNaN(got[1]) || !isNaN(got[2]) || got[3] != 1 {
			t.Errorf("%s of %v and %v: %v", op.Name(), x, y, got)
		}
	}
	for _, kind := range []graph.ReduceKind{graph.ReduceMax, graph.ReduceMin} {
		for place := range 3 {
			x := []float32{1, 2, 3}
			x[place] = nan
			op := graph.Reduce{Kind: kind, Axes: []int{0}}
			if got := outputOf(t, op, x).f; !isNaN(got[0]) {
				t.Errorf("%s of %v: %v", op.Name(), x, got)
			}
		}
	}
}

func isNaN(x float32) bool { return x != x }

// outputOf computes an operator of vectors.
func outputOf(t *testing.T, op graph.Op, args ...[]float32) operand[float32] {
	t.Helper()
	b := graph.NewBuilder()
	var in []*graph.Value
	for _, name := range []string{"x", "y"}[:len(args)] {
		in = append(in, b.Input(name, format.Float32, graph.N(len(args[0]))))
	}
	b.Output("out", b.Apply(op, 1, in...)[0])
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	p, err := compile[float32](g, nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, given := range p.inputs {
		if err := p.set(given, format.FromFloat32s(given.name, given.shape, args[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	return p.slots[p.outputs[0].slot]
}
