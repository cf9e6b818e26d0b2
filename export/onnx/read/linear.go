package read

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// readLinearAttention unrolls the recurrence of a linear attention over the tokens:
// the state S (B,G,D,E) becomes S·exp(decay) + k ⊗ v, and a result is q S.
func readLinearAttention(n *node) []*graph.Value {
	n.pass([]string{"chunk_size"}) // affects only how it is computed
	b, rule := n.b, n.text("update_rule", "gated_delta")
	heads, groups := n.int("q_num_heads", 0), n.int("kv_num_heads", 0)
	q, k, v := n.heads(n.arg(0), heads), n.heads(n.arg(1), groups), n.heads(n.arg(2), groups)
	length, known := q.Shape[2].Number()
	width, fixed := q.Shape[3].Number()
	if !known || !fixed {
		n.open("%s tokens with heads of %s", q.Shape[2], q.Shape[3])
	}
	gated, delta := rule == "gated" || rule == "gated_delta", rule == "delta" || rule == "gated_delta"
	if !gated && !delta && rule != "linear" {
		n.invalid("update_rule %.80q", rule)
	}
	var decay, beta *graph.Value
	if gated { // (B,G,T,1) or (B,G,T,D)
		decay = n.heads(n.arg(4), groups)
	}
	if delta { // (B,1,T,1) or (B,G,T,1)
		rate := n.arg(5)
		beta = b.Reshape(b.Transpose(rate, 0, 2, 1), rate.Shape[0], rate.Shape[2], rate.Shape[1], graph.N(1))
	}
	state := n.optional(3)
	if state == nil {
		state = b.Expand(n.like(q, 0), k.Shape[0], k.Shape[1], k.Shape[3], v.Shape[3])
	}
	dtype := state.DType
	state = n.cast(state, q.DType)
	scale := n.float("scale", 0)
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(width))
	}
	at := func(x *graph.Value, t int) *graph.Value { return b.Slice(x, 2, graph.N(t), graph.N(t+1)) } // (B,G,1,D)
	rows := make([]*graph.Value, length)
	for t := range rows {
		if gated {
			state = b.Mul(state, b.Transpose(b.Exp(at(decay, t)), 0, 1, 3, 2))
		}
		key, values := at(k, t), at(v, t)
		if delta {
			values = b.Mul(at(beta, t), b.Sub(values, b.MatMul(key, state)))
		}
		state = b.Add(state, b.MatMul(b.Transpose(key, 0, 1, 3, 2), values))
		rows[t] = b.MatMul(n.scaled(at(q, t), scale), n.repeated(state, q.Shape[1]))
	}
	if length == 0 {
		n.refuse("no tokens")
	}
	return []*graph.Value{n.joined(b.Concat(2, rows...)), n.cast(state, dtype)}
}
