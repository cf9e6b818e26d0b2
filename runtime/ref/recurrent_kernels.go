package ref

import (
	"math"
	"slices"

	"github.com/attnx/attnx/model/graph"
)

// recurrentKernels compute recurrent networks.
var recurrentKernels = []kernel{
	several(func(op graph.LSTM, c call) ([]array, error) {
		act, err := graph.Activations(op.Activations, 3)
		return recurrent(c, 4, 2, op.Reverse, op.Quantized, lstmStep(op, act, c.args)), err
	}),
	several(func(op graph.GRU, c call) ([]array, error) {
		act, err := graph.Activations(op.Activations, 2)
		return recurrent(c, 3, 1, op.Reverse, false, gruStep(op, act, c.args)), err
	}),
	several(func(op graph.RNN, c call) ([]array, error) {
		act, err := graph.Activations(op.Activations, 1)
		return recurrent(c, 1, 1, op.Reverse, false, func(x, back, _ []float64, states [][]float64) {
			for i := range states[0] {
				states[0][i] = activate(act[0], x[i]+back[i], op.Clip)
			}
		}), err
	}),
}

// activate applies an activation to x, which is clamped to -clip to clip if clip
// is not 0.
func activate(a graph.Activation, x, clip float64) float64 {
	if clip != 0 {
		x = min(max(x, -clip), clip)
	}
	switch a.Name {
	case "Sigmoid":
		return 1 / (1 + math.Exp(-x))
	case "Tanh":
		return math.Tanh(x)
	case "Relu":
		return max(x, 0)
	case "Softplus":
		return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	case "Softsign":
		return x / (1 + math.Abs(x))
	case "Affine":
		return a.Alpha*x + a.Beta
	case "ScaledTanh":
		return a.Alpha * math.Tanh(a.Beta*x)
	case "HardSigmoid":
		return max(min(a.Alpha*x+a.Beta, 1), 0)
	}
	switch {
	case a.Name == "LeakyRelu" && x < 0:
		return a.Alpha * x
	case a.Name == "Elu" && x < 0:
		return a.Alpha * (math.Exp(x) - 1)
	case a.Name == "ThresholdedRelu" && x <= a.Alpha:
		return 0
	}
	return x
}

// lstmStep returns the step for one text. It maps the input's and h's parts of the
// gates to the next h and c.
func lstmStep(op graph.LSTM, act []graph.Activation, args []array) func(x, back, r []float64, states [][]float64) {
	p := args[7].f
	return func(x, back, _ []float64, states [][]float64) {
		h, c := states[0], states[1]
		n := len(h)
		gate := func(i, j int) float64 { return x[i*n+j] + back[i*n+j] } // input, output, forget, cell
		for j := range h {
			in := activate(act[0], gate(0, j)+p[j]*c[j], op.Clip)
			forget := 1 - in
			if !op.InputForget {
				forget = activate(act[0], gate(2, j)+p[2*n+j]*c[j], op.Clip)
			}
			c[j] = forget*c[j] + in*activate(act[1], gate(3, j), op.Clip)
			out := activate(act[0], gate(1, j)+p[n+j]*c[j], op.Clip)
			h[j] = out * activate(act[2], c[j], 0)
		}
	}
}

// gruStep is lstmStep for a GRU, where r is the weights of h.
func gruStep(op graph.GRU, act []graph.Activation, args []array) func(x, back, r []float64, states [][]float64) {
	biases := args[3].f
	return func(x, back, r []float64, states [][]float64) {
		h := states[0]
		n := len(h)
		reset := make([]float64, n)
		for j := range h {
			reset[j] = activate(act[0], x[n+j]+back[n+j], op.Clip)
		}
		next := make([]float64, n)
		for j := range h {
			bias := biases[5*n+j] // of the recurrence; back includes it
			past := reset[j] * back[2*n+j]
			if !op.LinearBeforeReset {
				past = bias
				for i, v := range h {
					past += r[(2*n+j)*n+i] * reset[i] * v
				}
			}
			next[j] = activate(act[1], x[2*n+j]+past, op.Clip)
		}
		for j := range h {
			update := activate(act[0], x[j]+back[j], op.Clip)
			h[j] = (1-update)*next[j] + update*h[j]
		}
	}
}

// recurrent runs step over every text. It passes the input's and the state's parts
// of the gates, each with its biases. If quantized is set, the products round x and the
// state to 8 bits.
func recurrent(c call, gates, states int, reverse, quantized bool, step func(x, back, r []float64, states [][]float64)) []array {
	x, w, r, biases, lengths := c.args[0], c.args[1], c.args[2], c.args[3].f, c.args[4].i
	count, batch, hidden := x.shape[0], x.shape[1], r.shape[1]
	width := gates * hidden
	if quantized {
		x = in8Bits(x, lengths)
	}
	inputs := matMul(x, transposed(w, true), []int{count, batch, width})
	results := []array{newArray(floats, []int{count, batch, hidden})}
	for i := range states {
		results = append(results, array{shape: c.args[5+i].shape, kind: floats, f: slices.Clone(c.args[5+i].f)})
	}
	parallel(batch, func(b int) {
		state := make([][]float64, states)
		for i := range state {
			state[i] = results[1+i].f[b*hidden : (b+1)*hidden]
		}
		in, back := make([]float64, width), make([]float64, width)
		for i := range count {
			t := i
			if reverse {
				t = count - 1 - i
			}
			if int64(t) >= lengths[b] {
				continue
			}
			past := state[0]
			if quantized {
				past = roundedTo8Bits(past)
			}
			for j := range width {
				in[j] = inputs.f[(t*batch+b)*width+j] + biases[j]
				back[j] = biases[width+j]
				for k, v := range past {
					back[j] += r.f[j*hidden+k] * v
				}
			}
			step(in, back, r.f, state)
			copy(results[0].f[(t*batch+b)*hidden:], state[0])
		}
	})
	return results[:len(c.shapes)]
}

// in8Bits rounds x (T,B,I) to 8 bits over the range of its steps up to the longest text.
func in8Bits(x array, lengths []int64) array {
	used := 0
	for _, n := range lengths {
		used = max(used, min(int(n), x.shape[0]))
	}
	if x.shape[0] > 0 {
		used = used * len(x.f) / x.shape[0]
	}
	out := array{shape: x.shape, kind: floats, f: slices.Clone(x.f)}
	copy(out.f, roundedTo8Bits(x.f[:used]))
	return out
}

// roundedTo8Bits returns the numbers that 8 bits over their range stand for, as
// DynamicQuantizeLinear has it.
func roundedTo8Bits(x []float64) []float64 {
	q := quantizeDynamically(array{shape: []int{len(x)}, kind: floats, f: x})
	out := make([]float64, len(x))
	for i, v := range q[0].i {
		out[i] = float64(v-q[2].i[0]) * q[1].f[0]
	}
	return out
}
