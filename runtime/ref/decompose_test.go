package ref_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// A composite and what Decompose makes of it are the same function. Constants
// of a decomposition are float32, as in an ONNX file: where they are exact
// (epsilon and scale are chosen so) only the order of a few dozen float64
// operations differs, 1e-12 of sums of at most 100; the tanh form of GELU has
// two constants that float32 rounds by 6e-8, and their sum of effects is
// largest, about 1e-7 of x, where the gate is half open.
func TestCompositesEqualTheirDecomposition(t *testing.T) {
	composites := map[graph.Op]bool{}
	for _, c := range []struct {
		op     graph.Op
		bound  float64
		random func(r *rapid.T) ([]given, func(b *graph.Builder, x []*graph.Value) *graph.Value)
	}{
		{graph.LayerNormalization, 1e-12, func(r *rapid.T) ([]given, func(b *graph.Builder, x []*graph.Value) *graph.Value) {
			rows, c := size(r, "rows"), size(r, "C")
			return []given{random(r, rows, c), random(r, c), random(r, c)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.LayerNormalization(x[0], x[1], x[2], 1.0/64)
			}
		}},
		{graph.Gelu, 2e-7, func(r *rapid.T) ([]given, func(b *graph.Builder, x []*graph.Value) *graph.Value) {
			return []given{random(r, size(r, "n"))}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Gelu(x[0]) }
		}},
		{graph.Attention, 1e-12, func(r *rapid.T) ([]given, func(b *graph.Builder, x []*graph.Value) *graph.Value) {
			B, H, T, S, D := size(r, "B"), size(r, "H"), size(r, "T"), size(r, "S"), size(r, "D")
			mask := random(r, T, S)
			for i := range mask.numbers { // an additive bias, or out of sight
				if rapid.Bool().Draw(r, "masked") {
					mask.numbers[i] = -1e9
				}
			}
			return []given{random(r, B, H, T, D), random(r, B, H, S, D), random(r, B, H, S, D), mask},
				func(b *graph.Builder, x []*graph.Value) *graph.Value {
					return b.Attention(x[0], x[1], x[2], x[3], 0.25)
				}
		}},
		{graph.SoftmaxCrossEntropyLoss, 1e-12, func(r *rapid.T) ([]given, func(b *graph.Builder, x []*graph.Value) *graph.Value) {
			B, V, T := size(r, "B"), size(r, "V"), size(r, "T")
			labels := make([]float64, B*T)
			for i := range labels {
				labels[i] = float64(rapid.IntRange(-1, V-1).Draw(r, "label"))
			}
			labels[0] = 0 // a mean of nothing is NaN
			return []given{random(r, B, V, T), i64([]int{B, T}, labels...)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.SoftmaxCrossEntropyLoss(x[0], x[1], -1)
			}
		}},
	} {
		composites[c.op] = true
		t.Run(c.op.String(), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				in, build := c.random(r)
				b := graph.NewBuilder()
				inputs := map[string]format.Tensor{}
				x := make([]*graph.Value, len(in))
				for i, g := range in {
					x[i] = b.Input(string(rune('a'+i)), g.dtype, graph.Numbers(g.shape...)...)
					inputs[x[i].Name] = tensorOf(x[i], g.shape, g.numbers...)
				}
				b.Output("y", build(b, x))
				g, err := b.Graph()
				if err != nil {
					r.Fatal(err)
				}
				plain, err := graph.Decompose()(g)
				if err != nil {
					r.Fatal(err)
				}
				want, err := mustOpen(t, plain).Run(inputs)
				if err != nil {
					r.Fatal(err)
				}
				got, err := mustOpen(t, g).Run(inputs)
				if err != nil {
					r.Fatal(err)
				}
				w := floats(t, want["y"])
				for i, x := range floats(t, got["y"]) {
					if !(math.Abs(x-w[i]) <= c.bound*max(1, math.Abs(w[i]))) {
						r.Fatalf("element %d is %.17g, its decomposition gives %.17g", i, x, w[i])
					}
				}
			})
		})
	}
	for _, info := range graph.Ops() {
		if info.Composite && !composites[info.Op] {
			t.Errorf("%s is not compared with its decomposition", info.Name)
		}
	}
}

func size(r *rapid.T, name string) int { return rapid.IntRange(1, 5).Draw(r, name) }

// random draws a float input of the given sizes.
func random(r *rapid.T, shape ...int) given {
	n, _ := format.Elements(shape)
	numbers := make([]float64, n)
	for i := range numbers {
		numbers[i] = float64(rapid.IntRange(-1024, 1024).Draw(r, "x")) / 256
	}
	return f64(shape, numbers...)
}
