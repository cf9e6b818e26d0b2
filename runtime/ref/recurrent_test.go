package ref_test

import (
	"strings"

	"pgregory.net/rapid"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// recurrents draws every kind of a recurrent operator: its activations, a bound of
// what they are applied to, both directions, and texts of different lengths.
func recurrents(name string) func(r *rapid.T) (graph.Op, []given) {
	return func(r *rapid.T) (graph.Op, []given) {
		T, B, I, H := size(r, "T"), size(r, "B"), size(r, "I"), size(r, "H")
		clip, reverse := rapid.SampledFrom([]float64{0, 0.5}).Draw(r, "clip"), rapid.Bool().Draw(r, "reverse")
		activations := func(n int) string {
			words := make([]string, n)
			for i := range words {
				words[i] = rapid.SampledFrom([]string{"Sigmoid", "Tanh", "Relu", "Softplus", "Softsign", "LeakyRelu(0.25,0)", "ThresholdedRelu(0.5,0)",
					"Elu(0.5,0)", "Affine(0.5,0.25)", "ScaledTanh(0.5,2)", "HardSigmoid(0.25,0.5)"}).Draw(r, "activation")
			}
			return strings.Join(words, " ")
		}
		gates, states := 1, 1
		op := graph.Op(graph.RNN{Activations: activations(1), Clip: clip, Reverse: reverse})
		switch name {
		case "LSTM":
			gates, states = 4, 2
			op = graph.LSTM{Activations: activations(3), Clip: clip, Reverse: reverse, InputForget: rapid.Bool().Draw(r, "input forget")}
		case "GRU":
			gates = 3
			op = graph.GRU{Activations: activations(2), Clip: clip, Reverse: reverse, LinearBeforeReset: rapid.Bool().Draw(r, "linear before reset")}
		}
		lengths := make([]float64, B)
		for i := range lengths {
			lengths[i] = float64(rapid.IntRange(0, T).Draw(r, "length"))
		}
		args := []given{small(r, T, B, I), small(r, gates*H, I), small(r, gates*H, H), small(r, 2*gates*H), i64([]int{B}, lengths...)}
		for range states {
			args = append(args, small(r, B, H))
		}
		if name == "LSTM" {
			args = append(args, small(r, 3*H))
		}
		return op, args
	}
}

// small draws numbers of at most 1/2: an LSTM's cell grows with the steps.
func small(r *rapid.T, shape ...int) given {
	x := random(r, shape...)
	for i := range x.numbers {
		x.numbers[i] /= 8
	}
	return x
}

// recurrentGradients are a forward and a reverse network of two texts, one of them
// shorter.
func recurrentGradients(op graph.Op, gates, states int) []gradCase {
	const T, B, I, H = 3, 2, 2, 2
	return []gradCase{{"a shorter text", false, func(b *graph.Builder) *graph.Value {
		args := []*graph.Value{param(b, "x", T, B, I), param(b, "w", gates*H, I), param(b, "r", gates*H, H), param(b, "bias", 2*gates*H),
			b.Const(format.FromInt64s("lengths", []int{B}, []int64{3, 2})), param(b, "h", B, H)}
		if states == 2 {
			args = append(args, param(b, "c", B, H), param(b, "peepholes", 3*H))
		}
		out := b.Apply(op, 0, args...)
		y := b.ReduceSum(out[0], false, 0) // (B,H)
		for i, s := range out[1:] {
			y = b.Add(y, b.Mul(s, b.Scalar(float64(i+2))))
		}
		return y
	}}}
}
