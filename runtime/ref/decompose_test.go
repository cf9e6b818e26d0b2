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
// (epsilon, scale and alpha are chosen so) only the order of a few dozen float64
// operations differs, 1e-12 of sums of at most 100; the two forms of GELU have
// constants that float32 rounds by 6e-8, and their sum of effects is largest,
// about 1e-7 of x, where the gate is half open.
func TestCompositesEqualTheirDecomposition(t *testing.T) {
	type draw func(r *rapid.T) (op graph.Op, args []given)
	composites := map[string]bool{}
	for _, c := range []struct {
		name   string
		bound  float64
		random draw
	}{
		{"LayerNormalization", 1e-12, func(r *rapid.T) (graph.Op, []given) {
			rows, c := size(r, "rows"), size(r, "C")
			args := []given{random(r, rows, c), random(r, c), random(r, c)}
			return graph.LayerNormalization{Epsilon: 1.0 / 64}, args[:rapid.IntRange(2, 3).Draw(r, "arguments")]
		}},
		{"RMSNormalization", 1e-12, func(r *rapid.T) (graph.Op, []given) {
			rows, c := size(r, "rows"), size(r, "C")
			return graph.RMSNormalization{Epsilon: 1.0 / 64}, []given{random(r, rows, c), random(r, c)}
		}},
		{"Gelu", 2e-7, func(r *rapid.T) (graph.Op, []given) {
			return graph.Gelu{Approximate: rapid.SampledFrom([]string{"none", "tanh"}).Draw(r, "form")}, []given{random(r, size(r, "n"))}
		}},
		{"Swish", 1e-12, func(r *rapid.T) (graph.Op, []given) {
			return graph.Swish{Alpha: rapid.SampledFrom([]float64{1, 1.75, -0.5}).Draw(r, "alpha")}, []given{random(r, size(r, "n"))}
		}},
		{"Attention", 1e-12, attentions},
		{"RotaryEmbedding", 1e-12, func(r *rapid.T) (graph.Op, []given) {
			B, H, T, half := size(r, "B"), size(r, "H"), size(r, "T"), size(r, "R/2")
			places := []int{T}
			if rapid.Bool().Draw(r, "places of each text") {
				places = []int{B, T}
			}
			n, _ := format.Elements(places)
			numbers := make([]float64, n)
			for i := range numbers {
				numbers[i] = float64(rapid.IntRange(0, 9).Draw(r, "place"))
			}
			return graph.RotaryEmbedding{Interleaved: rapid.Bool().Draw(r, "interleaved"), Scale: rapid.SampledFrom([]float64{1, 0.5}).Draw(r, "scale")},
				[]given{random(r, B, H, T, 2*half+rapid.IntRange(0, 3).Draw(r, "rest")), i64(places, numbers...), random(r, half)}
		}},
		{"Gemm", 1e-12, func(r *rapid.T) (graph.Op, []given) {
			M, K, N := size(r, "M"), size(r, "K"), size(r, "N")
			op := graph.Gemm{TransA: rapid.Bool().Draw(r, "transA"), TransB: rapid.Bool().Draw(r, "transB")}
			a, b := []int{M, K}, []int{K, N}
			if op.TransA {
				a = []int{K, M}
			}
			if op.TransB {
				b = []int{N, K}
			}
			args := []given{random(r, a...), random(r, b...)}
			if c := rapid.SampledFrom([][]int{nil, {N}, {M, 1}, {M, N}}).Draw(r, "c"); c != nil {
				args = append(args, random(r, c...))
			}
			return op, args
		}},
		{"OneHot", 0, func(r *rapid.T) (graph.Op, []given) {
			op, n := graph.OneHot{Depth: size(r, "depth")}, size(r, "n")
			ids := make([]float64, n)
			for i := range ids {
				ids[i] = float64(rapid.IntRange(0, op.Depth-1).Draw(r, "id"))
			}
			return op, []given{i64([]int{n}, ids...)}
		}},
		{"Positions", 0, func(r *rapid.T) (graph.Op, []given) {
			B, T := size(r, "B"), size(r, "T")
			return graph.Positions{}, []given{i64([]int{B, T}, make([]float64, B*T)...)}
		}},
		{"RelativePositionBias", 0, func(r *rapid.T) (graph.Op, []given) {
			T := size(r, "T")
			return graph.RelativePositionBias{Queries: graph.N(T), Keys: graph.N(T + rapid.IntRange(0, 9).Draw(r, "P")), MaxDistance: 6, Bidirectional: rapid.Bool().Draw(r, "both sides")},
				[]given{random(r, 8, size(r, "H"))}
		}},
		{"LSTM", 1e-7, recurrents("LSTM")}, // numbers of activations are float32
		{"GRU", 1e-7, recurrents("GRU")},
		{"RNN", 1e-7, recurrents("RNN")},
		{"SoftmaxCrossEntropyLoss", 1e-12, func(r *rapid.T) (graph.Op, []given) {
			B, V, T := size(r, "B"), size(r, "V"), size(r, "T")
			labels := make([]float64, B*T)
			for i := range labels {
				labels[i] = float64(rapid.IntRange(-1, V-1).Draw(r, "label"))
			}
			labels[0] = 0 // a mean of nothing is NaN
			return graph.SoftmaxCrossEntropyLoss{IgnoreIndex: -1}, []given{random(r, B, V, T), i64([]int{B, T}, labels...)}
		}},
	} {
		composites[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				op, in := c.random(r)
				b := graph.NewBuilder()
				inputs := map[string]format.Tensor{}
				x := make([]*graph.Value, len(in))
				for i, g := range in {
					x[i] = b.Input(string(rune('a'+i)), g.dtype, graph.Numbers(g.shape...)...)
					inputs[x[i].Name] = tensorOf(x[i], g.shape, g.numbers...)
				}
				for _, y := range b.Apply(op, 0, x...) {
					b.Output(y.Name, y)
				}
				g, err := b.Graph()
				if err != nil {
					r.Fatal(err)
				}
				plain, err := graph.DecomposeAll(g)
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
				for name := range want {
					w, err := want[name].AsFloat64s()
					if err != nil {
						r.Fatal(err)
					}
					have, err := got[name].AsFloat64s()
					if err != nil || len(have) != len(w) {
						r.Fatalf("%s has %d elements, its decomposition %d (%v)", name, len(have), len(w), err)
					}
					for i, x := range have {
						if !(math.Abs(x-w[i]) <= c.bound*max(1, math.Abs(w[i]))) {
							r.Fatalf("%s: element %d is %.17g, its decomposition gives %.17g", name, i, x, w[i])
						}
					}
				}
			})
		})
	}
	for _, op := range graph.Operators() {
		if _, composite := op.(graph.Composite); composite && !composites[op.Name()] {
			t.Errorf("%s is not compared with its decomposition", op.Name())
		}
	}
}

// attentions draws every kind of attention: grouped, causal, with a window, a
// mask of numbers or of truth values, of the scores' shape or broadcast to it.
func attentions(r *rapid.T) (graph.Op, []given) {
	B, G, T, D, E := size(r, "B"), rapid.IntRange(1, 3).Draw(r, "G"), size(r, "T"), size(r, "D"), size(r, "E")
	H, S := G*rapid.IntRange(1, 3).Draw(r, "H/G"), T+rapid.IntRange(0, 3).Draw(r, "P")
	op := graph.Attention{Scale: 0.25, Causal: rapid.Bool().Draw(r, "causal")}
	if op.Causal {
		op.Window = rapid.IntRange(0, 3).Draw(r, "window")
	}
	args := []given{random(r, B, H, T, D), random(r, B, G, S, D), random(r, B, G, S, E)}
	shapes := [][]int{nil, {T, S}, {1, S}, {B, 1, 1, S}, {B, H, T, S}, {1, H, 1, S}}
	shape := rapid.SampledFrom(shapes).Draw(r, "mask")
	if shape == nil {
		return op, args
	}
	mask := random(r, shape...)
	truth := rapid.Bool().Draw(r, "truth values")
	for i := range mask.numbers { // an additive bias, or out of sight
		hidden := rapid.Bool().Draw(r, "masked")
		switch {
		case truth && hidden:
			mask.numbers[i] = 0
		case truth:
			mask.numbers[i] = 1
		case hidden:
			mask.numbers[i] = -1e9
		}
	}
	if truth {
		mask.dtype = format.Bool
	}
	return op, append(args, mask)
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
