package graph

// recurrentOps are the operators of recurrent networks that only models of other
// tools use.
var recurrentOps = []Op{RNN{}}

// LSTM is ONNX's operator in one direction, with all inputs present: x (T,B,I), the weights of the
// gates (input, output, forget, cell) W (4·H,I) and R (4·H,H), their biases (8·H), the lengths of the
// texts int64 (B), the states h and c (B,H), and the peepholes of input, output and forget (3·H). Its
// results are h of every step (T,B,H), 0 after the end of a text, and the last h and c (B,H).
//
// Activations are those of the gates, of the cell and of the hidden state. Clip bounds the arguments
// of the gates' and the cell's activations; 0 means no bound. As in ONNX Runtime, the argument of the
// hidden state's activation has no bound. With InputForget the forget gate is one minus the input
// gate. With Reverse a text is read from its end.
//
// With Quantized it is ONNX Runtime's DynamicQuantizeLSTM: before a product, x and h are
// rounded to 8 bits as DynamicQuantizeLinear does, x over all steps of all texts up to the
// longest, h of each text over its own numbers at each step. ONNX Runtime takes the range of h over the
// texts of a thread, so it agrees exactly for one text, or for a thread each.
type LSTM struct {
	Activations string
	Clip        float64 `attr:",omitzero"`
	InputForget bool    `attr:",omitzero"`
	Quantized   bool    `attr:",omitzero"`
	Reverse     bool    `attr:",omitzero"`
}

// GRU is ONNX's operator in one direction, with all inputs present: x (T,B,I), the
// weights of the gates (update, reset, hidden) W (3·H,I) and R (3·H,H), their biases
// (6·H), the lengths of the texts int64 (B), and the state (B,H). Its results are h of
// every step (T,B,H) and the last h (B,H). Activations are those of the gates and of
// the hidden state. With LinearBeforeReset the reset gate is applied after the matrix
// product.
type GRU struct {
	Activations       string
	Clip              float64 `attr:",omitzero"`
	LinearBeforeReset bool    `attr:",omitzero"`
	Reverse           bool    `attr:",omitzero"`
}

// RNN is ONNX's operator in one direction, with all inputs present: x (T,B,I), the
// weights W (H,I) and R (H,H), their biases (2·H), the lengths of the texts int64
// (B), and the state (B,H). Its results are h of every step (T,B,H) and the last h
// (B,H).
type RNN struct {
	Activations string
	Clip        float64 `attr:",omitzero"`
	Reverse     bool    `attr:",omitzero"`
}

// Name returns "LSTM".
func (LSTM) Name() string { return "LSTM" }

// Name returns "GRU".
func (GRU) Name() string { return "GRU" }

// Name returns "RNN".
func (RNN) Name() string { return "RNN" }

func (l LSTM) recurrence() recurrence {
	return recurrence{gates: 4, states: 2, activations: l.Activations, count: 3, clip: l.Clip, reverse: l.Reverse, peepholes: true}
}

func (g GRU) recurrence() recurrence {
	return recurrence{gates: 3, states: 1, activations: g.Activations, count: 2, clip: g.Clip, reverse: g.Reverse}
}

func (r RNN) recurrence() recurrence {
	return recurrence{gates: 1, states: 1, activations: r.Activations, count: 1, clip: r.Clip, reverse: r.Reverse}
}

// Infer returns (T,B,H) and twice (B,H).
func (l LSTM) Infer(args []Type) ([]Type, error) { return l.recurrence().infer(args) }

// Infer returns (T,B,H) and (B,H).
func (g GRU) Infer(args []Type) ([]Type, error) { return g.recurrence().infer(args) }

// Infer returns (T,B,H) and (B,H).
func (r RNN) Infer(args []Type) ([]Type, error) { return r.recurrence().infer(args) }

func (LSTM) required() int { return 1 }
func (GRU) required() int  { return 1 }
func (RNN) required() int  { return 1 }

// Decomposes implements Unrolled: the number of steps must be known.
func (LSTM) Decomposes(args []*Value) bool { return unrolls(args) }

// Decomposes implements Unrolled: the number of steps must be known.
func (GRU) Decomposes(args []*Value) bool { return unrolls(args) }

// Decomposes implements Unrolled: the number of steps must be known.
func (RNN) Decomposes(args []*Value) bool { return unrolls(args) }

// Decompose implements Composite: one step after the other.
func (l LSTM) Decompose(b *Builder, args []*Value) []*Value {
	round := func(h *Value) *Value { return h }
	if l.Quantized {
		round = func(h *Value) *Value { return b.apply(RoundTo8Bits{Axis: 1}, h) }
		args = append([]*Value{b.roundedTexts(args[0], args[4])}, args[1:]...)
	}
	act, _ := Activations(l.Activations, 3)
	biases, peepholes := b.parts(args[3], 2), b.parts(args[7], 3)
	bias, back := b.Add(biases[0], biases[1]), b.Transpose(args[2], 1, 0)
	return l.recurrence().unroll(b, args, func(x *Value, states []*Value) []*Value {
		h, c := states[0], states[1]
		gates := b.parts(b.Add(b.Add(x, b.MatMul(round(h), back)), bias), 4)
		in := b.activate(act[0], b.Add(gates[0], b.Mul(peepholes[0], c)), l.Clip)
		forget := b.Sub(b.like(x, 1), in)
		if !l.InputForget {
			forget = b.activate(act[0], b.Add(gates[2], b.Mul(peepholes[2], c)), l.Clip)
		}
		c = b.Add(b.Mul(forget, c), b.Mul(in, b.activate(act[1], gates[3], l.Clip)))
		out := b.activate(act[0], b.Add(gates[1], b.Mul(peepholes[1], c)), l.Clip)
		return []*Value{b.Mul(out, b.activate(act[2], c, 0)), c}
	})
}

// roundedTexts rounds x (T,B,I) over the range of its steps up to the longest text; what is
// after it becomes 0, which every range has.
func (b *Builder) roundedTexts(x, lengths *Value) *Value {
	steps := b.Reshape(b.Range(N(0), x.Shape[0]), x.Shape[0], N(1), N(1))
	used := b.Less(steps, b.ReduceMax(lengths, true, 0))
	return b.apply(RoundTo8Bits{Axis: 0}, b.Where(used, x, b.like(x, 0)))
}

// Decompose implements Composite: one step after the other.
func (g GRU) Decompose(b *Builder, args []*Value) []*Value {
	act, _ := Activations(g.Activations, 2)
	biases := b.parts(args[3], 6)
	whole := b.Transpose(args[2], 1, 0) // (H,3·H)
	if g.LinearBeforeReset {            // one product for all gates
		outer := b.Add(b.Concat(0, biases[0], biases[1], biases[2]), b.Concat(0, biases[3], biases[4], b.Expand(b.like(biases[5], 0), biases[5].Shape...)))
		return g.recurrence().unroll(b, args, func(x *Value, states []*Value) []*Value {
			h, in, past := states[0], b.parts(b.Add(x, outer), 3), b.parts(b.MatMul(states[0], whole), 3)
			update := b.activate(act[0], b.Add(in[0], past[0]), g.Clip)
			reset := b.activate(act[0], b.Add(in[1], past[1]), g.Clip)
			next := b.activate(act[1], b.Add(in[2], b.Mul(reset, b.Add(past[2], biases[5]))), g.Clip)
			return []*Value{b.Add(next, b.Mul(update, b.Sub(h, next)))}
		})
	}
	back := b.parts(whole, 3) // (H,H) each
	return g.recurrence().unroll(b, args, func(x *Value, states []*Value) []*Value {
		h, in := states[0], b.parts(x, 3)
		gate := func(i int) *Value {
			bias := b.Add(biases[i], biases[3+i])
			return b.activate(act[0], b.Add(b.Add(in[i], b.MatMul(h, back[i])), bias), g.Clip)
		}
		update, reset := gate(0), gate(1)
		past := b.Add(b.MatMul(b.Mul(reset, h), back[2]), biases[5])
		next := b.activate(act[1], b.Add(b.Add(in[2], biases[2]), past), g.Clip)
		return []*Value{b.Add(b.Mul(b.Sub(b.like(x, 1), update), next), b.Mul(update, h))}
	})
}

// Decompose implements Composite: one step after the other.
func (r RNN) Decompose(b *Builder, args []*Value) []*Value {
	act, _ := Activations(r.Activations, 1)
	biases := b.parts(args[3], 2)
	bias, back := b.Add(biases[0], biases[1]), b.Transpose(args[2], 1, 0)
	return r.recurrence().unroll(b, args, func(x *Value, states []*Value) []*Value {
		return []*Value{b.activate(act[0], b.Add(b.Add(x, b.MatMul(states[0], back)), bias), r.Clip)}
	})
}
