package ref_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// step records one operator on values drawn from those that are there.
type step func(b *graph.Builder, pool []*graph.Value) *graph.Value

// steps are the operators of a random graph; n draws a number below its argument.
func steps(n func(int) int) []step {
	x, y, z := n(1<<16), n(1<<16), n(1<<16)
	at := func(pool []*graph.Value, i int) *graph.Value { return pool[i%len(pool)] }
	axis, keep, k := n(4), n(2) == 0, graph.N(n(5)-2)
	size := []graph.Dim{graph.Sym("B"), graph.Sym("T"), graph.N(2), graph.Sym("B").Add(graph.Sym("T"))}[n(4)]
	type B = *graph.Builder
	type P = []*graph.Value
	type V = *graph.Value
	one := func(f func(B, V) V) step { return func(b B, p P) V { return f(b, at(p, x)) } }
	two := func(f func(B, V, V) V) step { return func(b B, p P) V { return f(b, at(p, x), at(p, y)) } }
	perm := [][]int{{1, 0}, {0, 2, 1}, {2, 0, 1}, {0, 1, 3, 2}}[n(4)]
	return []step{
		two(B.Gather), two(B.MatMul), two(B.Add), two(B.Sub), two(B.Mul), two(B.Div), two(B.Equal),
		one(B.Neg), one(B.Exp), one(B.Log), one(B.Sqrt), one(B.Tanh), one(B.Relu), one(B.Gelu), one(B.Identity),
		func(b B, p P) V { return b.Softmax(at(p, x), axis) },
		func(b B, p P) V { return b.LogSoftmax(at(p, x), axis) },
		func(b B, p P) V { return b.ReduceSum(at(p, x), keep, axis) },
		func(b B, p P) V { return b.ReduceMean(at(p, x), keep, axis) },
		func(b B, p P) V { return b.Reshape(at(p, x), append([]graph.Dim{graph.N(1)}, at(p, x).Shape...)...) },
		func(b B, p P) V { return b.Transpose(at(p, x), perm...) },
		func(b B, p P) V { return b.Concat(axis, at(p, x), at(p, y)) },
		func(b B, p P) V { return b.Split(at(p, x), axis, 1, 1)[1] },
		func(b B, p P) V { return b.Slice(at(p, x), axis, graph.N(0), size) },
		func(b B, p P) V {
			return b.Cast(at(p, x), []format.DType{format.Float32, format.Int64, format.Bool}[axis%3])
		},
		func(b B, p P) V { return b.Where(at(p, x), at(p, y), at(p, z)) },
		func(b B, p P) V { return b.GatherElements(at(p, x), at(p, y), axis) },
		func(b B, _ P) V { return b.Range(graph.Sym("T"), graph.Sym("T").Add(size)) },
		func(b B, _ P) V { return b.ConstantOfShape(0.5, size, graph.Sym("T")) },
		func(b B, p P) V { return b.TriluUpper(at(p, x), k) },
		func(b B, p P) V { return b.LayerNormalization(at(p, x), at(p, y), at(p, z), 0.25) },
		func(b B, p P) V {
			return b.Attention(graph.Attention{Scale: 0.5, Causal: axis == 0}, at(p, x), at(p, x), at(p, x), at(p, y))
		},
		func(b B, p P) V { return b.RMSNormalization(at(p, x), at(p, y), 0.25) },
		func(b B, p P) V { return b.Apply(graph.CumSum{Axis: axis}, 1, at(p, x))[0] },
		func(b B, p P) V { return b.Apply(graph.ArgMax{Axis: axis}, 1, at(p, x))[0] },
		func(b B, p P) V { return b.Positions(at(p, x)) },
		func(b B, p P) V { return b.LessOrEqual(at(p, x), at(p, y)) },
		func(b B, p P) V { return b.SoftmaxCrossEntropyLoss(at(p, x), at(p, y), -1) },
	}
}

// randomGraph builds a graph of the steps that are legal where they are:
// each is tried on a recording of those before it.
func randomGraph(r *rapid.T) *graph.Graph {
	record := func(list []step) (*graph.Graph, error) {
		b := graph.NewBuilder()
		B, T := graph.Sym("B"), graph.Sym("T")
		pool := []*graph.Value{
			b.Input("x", format.Float32, B, T, graph.N(2)),
			b.Input("ids", format.Int64, B, T),
			b.Param("w", graph.Constant(0), 2, 2),
			b.Param("v", graph.Constant(0), 2),
		}
		for _, s := range list {
			pool = append(pool, s(b, pool))
		}
		b.Output("last", pool[len(pool)-1])
		b.Output("other", pool[len(pool)/2])
		return b.Graph()
	}
	n := func(limit int) int { return rapid.IntRange(0, limit-1).Draw(r, "n") }
	var legal []step
	for range 12 {
		all := steps(n)
		with := append(slices.Clip(legal), all[n(len(all))])
		if _, err := record(with); err == nil {
			legal = with
		}
	}
	g, err := record(legal)
	if err != nil {
		r.Fatal(err)
	}
	return g
}

// Whatever graph is legal, the oracle runs it or says why not, gives every
// value the shape that the graph says, and passes that change no meaning
// change no bit.
func TestPassesKeepTheMeaningOfRandomGraphs(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		g := randomGraph(r)
		batch, length := rapid.IntRange(0, 3).Draw(r, "B"), rapid.IntRange(0, 3).Draw(r, "T")
		x, in := random(r, batch, length, 2), map[string]format.Tensor{}
		in["x"] = format.FromFloat64s("x", x.shape, x.numbers)
		labels := make([]int64, batch*length)
		for i := range labels {
			labels[i] = int64(rapid.IntRange(0, 2).Draw(r, "id"))
		}
		in["ids"] = format.FromInt64s("ids", []int{batch, length}, labels)
		run := func(g *graph.Graph) (map[string]format.Tensor, error) {
			all := map[string]format.Tensor{
				"w": format.FromFloat32s("w", []int{2, 2}, []float32{1, -2, 0.5, 3}),
				"v": format.FromFloat32s("v", []int{2}, []float32{-1, 2}),
			}
			var weights []format.Tensor
			for _, p := range g.Params {
				weights = append(weights, all[p.Name])
			}
			o, err := ref.New(g, weights)
			if err != nil {
				r.Fatal(err)
			}
			return o.Run(in)
		}
		sizes := map[string]int{"B": batch, "T": length}
		want, wantErr := run(g)
		for name, passes := range map[string][]graph.Pass{
			"Prune": {graph.Prune}, "Prune, MarkOutputs": {graph.Prune, graph.MarkOutputs}, "Prune, Bind": {graph.Prune, graph.Bind(sizes)},
		} {
			var got map[string]format.Tensor
			h, err := graph.Apply(g, passes...) // Bind may refuse sizes that Run refuses too
			if err == nil {
				got, err = run(h)
			}
			if (err == nil) != (wantErr == nil) {
				r.Fatalf("after %s the error is %v, before %v", name, err, wantErr)
			}
			for out, w := range want {
				if !slices.Equal(got[out].Shape, w.Shape) || !bytes.Equal(got[out].Data, w.Data) {
					r.Fatalf("after %s %s is %v, before %v", name, out, got[out], w)
				}
			}
		}
		for _, o := range g.Outputs {
			if shape, err := o.Value.Shape.Eval(sizes); wantErr == nil && (err != nil || !slices.Equal(want[o.Name].Shape, shape)) {
				r.Fatalf("%s has shape %v, the graph says %v", o.Name, want[o.Name].Shape, shape)
			}
		}
	})
}
