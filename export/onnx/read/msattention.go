package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readMultiHeadAttention reads ONNX Runtime's operator. Queries, keys and values may
// be packed in one tensor or separate.
func readMultiHeadAttention(n *node) []*graph.Value {
	n.pass([]string{"mask_filter_value"}) // matters only with a mask
	heads := n.int("num_heads", 0)
	q, k, v := n.packed(heads)
	a := attention{q: q, k: k, v: v, scale: n.float("scale", 0), causal: n.flag("unidirectional", false)}
	if n.has(6) && n.has(7) {
		past, pastValues := n.arg(6), n.arg(7)
		if n.has(8) {
			n.refuse("a past and present in one buffer")
		}
		a.offset = past.Shape[2]
		a.k, a.v = n.b.Concat(2, past, a.k), n.b.Concat(2, pastValues, a.v)
	}
	if n.has(4) {
		a.bias = n.padding(n.arg(4), a)
	}
	a.bias = n.plus(a.bias, n.optional(5))
	got := n.attend(a, len(n.onnx.Outputs) > 3 && n.onnx.Outputs[3] != "")
	return []*graph.Value{n.joined(got.y), a.k, a.v, got.probs}
}

// packed returns the heads of a MultiHeadAttention, (B,H,T,D) each.
func (n *node) packed(heads int) (q, k, v *graph.Value) {
	b := n.b
	take := func(x *graph.Value, i int) *graph.Value { // of (B,T,H,parts,D)
		part := b.Slice(x, 3, graph.N(i), graph.N(i+1))
		s := x.Shape
		return b.Transpose(b.Reshape(part, s[0], s[1], s[2], s[4]), 0, 2, 1, 3)
	}
	q = n.arg(0)
	var biases [3]*graph.Value
	switch {
	case len(q.Shape) == 5:
		return take(q, 0), take(q, 1), take(q, 2)
	case len(n.arg(1).Shape) == 5:
		k, v = take(n.arg(1), 0), take(n.arg(1), 1)
	default:
		k, v = n.arg(1), n.arg(2)
	}
	if n.has(3) {
		all, at := n.arg(3), graph.N(0)
		width := func(x *graph.Value) graph.Dim {
			if len(x.Shape) == 3 {
				return x.Shape[2]
			}
			return x.Shape[1].Mul(x.Shape[3])
		}
		for i, x := range []*graph.Value{q, k, v} {
			biases[i] = b.Slice(all, 0, at, at.Add(width(x)))
			at = at.Add(width(x))
		}
	}
	for i, x := range []**graph.Value{&q, &k, &v} {
		if biases[i] != nil && len((*x).Shape) == 3 {
			*x = b.Add(*x, biases[i])
		}
		*x = n.heads(*x, heads)
	}
	return q, k, v
}

// padding returns the term that ONNX Runtime adds to the scores for a key mask.
// The mask may contain lengths (B), ends and beginnings (2B), or values (B,S) or
// (B,T,S).
func (n *node) padding(mask *graph.Value, a attention) *graph.Value {
	b, one := n.b, graph.N(1)
	batch, keys := a.q.Shape[0], a.k.Shape[2]
	columns := func() *graph.Value { return b.Range(graph.N(0), keys) }
	column := func(x *graph.Value) *graph.Value { return b.Reshape(n.cast(x, format.Int64), batch, one, one, one) }
	var seen *graph.Value
	switch s := mask.Shape; {
	case len(s) == 1 && s[0] == batch:
		seen = b.Less(columns(), column(mask))
	case len(s) == 1 && s[0] == batch.Mul(graph.N(2)):
		end, start := b.Slice(mask, 0, graph.N(0), batch), b.Slice(mask, 0, batch, s[0])
		seen = b.And(b.Less(columns(), column(end)), b.GreaterOrEqual(columns(), column(start)))
	case len(s) == 2:
		seen = b.Reshape(b.Cast(mask, format.Bool), s[0], one, one, s[1])
	case len(s) == 3:
		seen = b.Reshape(b.Cast(mask, format.Bool), s[0], one, s[1], s[2])
	default:
		n.refuse("a mask of keys %s", s)
	}
	return b.Where(seen, n.like(a.q, 0), n.like(a.q, n.float("mask_filter_value", -10000)))
}

// readMicrosoftAttention reads ONNX Runtime's operator with a built-in projection.
func readMicrosoftAttention(n *node) []*graph.Value {
	all := n.b.MatMul(n.arg(0), n.arg(1))
	if n.has(2) {
		all = n.b.Add(all, n.arg(2))
	}
	if n.has(6) {
		n.refuse("a past and present in one buffer")
	}
	return n.attendProjected(all, 3, 4, 5)
}

// readQAttention is Attention with a projection of integers.
func readQAttention(n *node) []*graph.Value {
	x, w := n.centered(n.arg(0), n.optional(6)), n.centered(n.arg(1), n.single(n.optional(7)))
	return n.attendProjected(n.scaledProduct(x, w, n.arg(3), n.single(n.arg(4)), n.arg(2)), 5, 8, len(n.args))
}

// attendProjected attends with queries, keys and values side by side (B,T,widths). The
// mask, the past and the term for the scores are the inputs with the given numbers.
func (n *node) attendProjected(all *graph.Value, mask, before, term int) []*graph.Value {
	b, heads := n.b, n.int("num_heads", 0)
	n.pass([]string{"mask_filter_value"})
	if n.flag("do_rotary", false) || n.flag("past_present_share_buffer", false) {
		n.refuse("rotary embeddings inside, or a past and present in one buffer")
	}
	sizes := n.ints("qkv_hidden_sizes")
	if sizes == nil {
		width, ok := all.Shape[2].Number()
		if !ok || width%3 != 0 {
			n.invalid("a projection of width %s, expected three parts", all.Shape[2])
		}
		sizes = []int{width / 3, width / 3, width / 3}
	}
	if len(sizes) != 3 {
		n.invalid("qkv_hidden_sizes %v, expected three", sizes)
	}
	parts := b.Split(all, 2, sizes...)
	a := attention{
		q: n.heads(parts[0], heads), k: n.heads(parts[1], heads), v: n.heads(parts[2], heads),
		scale: n.float("scale", 0), causal: n.flag("unidirectional", false),
	}
	if n.has(before) {
		past := n.arg(before) // (2,B,H,P,D)
		part := func(i int) *graph.Value {
			return b.Reshape(b.Slice(past, 0, graph.N(i), graph.N(i+1)), past.Shape[1:]...)
		}
		a.offset = past.Shape[3]
		a.k, a.v = b.Concat(2, part(0), a.k), b.Concat(2, part(1), a.v)
	}
	if n.has(mask) {
		a.bias = n.padding(n.arg(mask), a)
	}
	a.bias = n.plus(a.bias, n.optional(term))
	out := []*graph.Value{n.joined(n.attend(a, false).y)}
	if len(n.onnx.Outputs) > 1 {
		up := func(x *graph.Value) *graph.Value { return b.Reshape(x, append(graph.Shape{graph.N(1)}, x.Shape...)...) }
		out = append(out, b.Concat(0, up(a.k), up(a.v)))
	}
	return out
}

// readGroupQueryAttention reads ONNX Runtime's operator with a cache. Row b of the
// batch has lengths[b]+1 tokens, including the new ones, which follow the old
// ones.
func readGroupQueryAttention(n *node) []*graph.Value {
	b, heads, groups := n.b, n.int("num_heads", 0), n.int("kv_num_heads", 0)
	if n.flag("sliding_window_cache", false) || n.int("kv_cache_bit_width", 0) != 0 || n.text("k_quant_type", "NONE") != "NONE" || n.text("v_quant_type", "NONE") != "NONE" {
		n.refuse("a cache of integers, or one that slides")
	}
	q, k, v := n.grouped(heads, groups)
	T := q.Shape[2]
	lengths := b.Add(n.cast(b.Reshape(n.arg(5), q.Shape[0]), format.Int64), n.constant(1, format.Int64)) // (B)
	total := n.dims(6)[0]
	before := b.Sub(lengths, n.size(T)) // tokens in the cache
	if total == T {
		before = b.Expand(n.constant(0, format.Int64), q.Shape[0]) // a prompt, which may be padded
	}
	if n.flag("do_rotary", false) {
		places := n.optional(9)
		if places == nil {
			places = b.Add(b.Reshape(before, q.Shape[0], graph.N(1)), b.Range(graph.N(0), T))
		}
		cos, sin := n.angles(n.arg(7), n.cast(places, format.Int64)), n.angles(n.arg(8), n.cast(places, format.Int64))
		interleaved := n.flag("rotary_interleaved", false)
		q, k = n.rotate(q, cos, sin, interleaved), n.rotate(k, cos, sin, interleaved)
	} else {
		n.pass([]string{"rotary_interleaved"}, 7, 8, 9)
	}
	a := attention{q: q, scale: n.float("scale", 0), softcap: n.float("softcap", 0), whole: true}
	a.k, a.v = n.cached(3, k, before, total), n.cached(4, v, before, total)
	rows, columns := n.rowsAndColumns(T, a.k.Shape[2], graph.N(0))
	rows = b.Add(b.Reshape(before, q.Shape[0], graph.N(1), graph.N(1), graph.N(1)), rows) // (B,1,T,1)
	if n.flag("causal", true) {
		a.seen = b.LessOrEqual(columns, rows)
	} else {
		a.seen = b.Less(columns, b.Reshape(lengths, q.Shape[0], graph.N(1), graph.N(1), graph.N(1)))
	}
	if w := n.int("local_window_size", -1); w >= 0 {
		n.window(&a, rows, columns, w-1, -1)
	}
	if n.has(10) {
		a.bias = n.padded(n.arg(10), a.k.Shape[2], n.like(q, 0))
	}
	if n.has(11) {
		a.sink = b.Reshape(n.arg(11), graph.N(1), graph.N(heads), graph.N(1), graph.N(1))
	} else if n.int("smooth_softmax", -1) > 0 {
		a.sink = b.Reshape(n.like(q, 0), graph.N(1), graph.N(1), graph.N(1), graph.N(1))
	}
	mode := n.int("qk_output", 0)
	got := n.attend(a, mode != 0 && len(n.onnx.Outputs) > 3)
	out := []*graph.Value{n.joined(got.y), a.k, a.v}
	if mode != 0 {
		out = append(out, []*graph.Value{got.biased, got.probs}[min(max(mode, 1), 2)-1])
	}
	return out
}

// grouped returns the heads of a GroupQueryAttention, (B,H,T,D) and twice (B,G,T,D).
func (n *node) grouped(heads, groups int) (q, k, v *graph.Value) {
	q = n.arg(0)
	if n.has(1) && n.has(2) {
		q, k, v = n.heads(q, heads), n.heads(n.arg(1), groups), n.heads(n.arg(2), groups)
	} else {
		width, ok := q.Shape[2].Number()
		if !ok || groups < 1 || width%(heads+2*groups) != 0 {
			n.invalid("%s for %d heads and twice %d", q.Shape, heads, groups)
		}
		d := width / (heads + 2*groups)
		parts := n.b.Split(q, 2, heads*d, groups*d, groups*d)
		q, k, v = n.heads(parts[0], heads), n.heads(parts[1], groups), n.heads(parts[2], groups)
	}
	if n.has(14) && n.has(15) {
		epsilon := n.float("qk_norm_epsilon", float64(float32(1e-6)))
		q = n.b.RMSNormalization(q, n.arg(14), n.float("q_norm_epsilon", epsilon))
		k = n.b.RMSNormalization(k, n.arg(15), n.float("k_norm_epsilon", epsilon))
	}
	return q, k, v
}

// cached returns the cache in argument i, with the new keys or values from
// position before[b] on. It has the cache's length, or the total length if that is
// larger.
func (n *node) cached(i int, update, before *graph.Value, total graph.Dim) *graph.Value {
	s := append(graph.Shape{}, update.Shape...)
	if !n.has(i) {
		s[2] = total
		return n.written(n.b.Expand(n.like(update, 0), s...), update, before, 2, false)
	}
	past := n.arg(i)
	missing := total.Sub(past.Shape[2])
	if number, ok := missing.Number(); ok && number <= 0 {
		return n.written(past, update, before, 2, false)
	}
	if !missing.NonNegative() {
		n.open("whether a cache of %s holds %s tokens", past.Shape[2], total)
	}
	s[2] = missing
	return n.written(n.b.Concat(2, past, n.b.Expand(n.like(update, 0), s...)), update, before, 2, false)
}
