package read

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// attention is softmax(cap(q kᵀ · scale) + bias) v, the common form of the attention
// operators of all domains. A query without any visible key has the result 0, as in
// ONNX.
type attention struct {
	q, k, v *graph.Value // (B,H,T,D), (B,G,S,D), (B,G,S,E)
	scale   float64      // 0 for 1/√D
	softcap float64      // 0 for none
	causal  bool         // query t sees the keys up to position offset+t
	offset  graph.Dim
	seen    *graph.Value // BOOL, broadcast to (B,H,T,S): false hides a key; nil: all are visible
	bias    *graph.Value // added to the scores, broadcast likewise; nil: nothing
	sink    *graph.Value // an additional score for each row, broadcast to (B,H,T,1); nil: none
	whole   bool         // every query sees at least one key
}

// attended holds the results of an attention: the result (B,H,T,E), and the
// scores and probabilities (B,H,T,S).
type attended struct{ y, scores, capped, biased, probs *graph.Value }

// heads reshapes x (B,T,H·D) to (B,H,T,D). It returns x unchanged if it has
// four dimensions.
func (n *node) heads(x *graph.Value, count int) *graph.Value {
	if len(x.Shape) == 4 {
		return x
	}
	if len(x.Shape) != 3 || count < 1 {
		n.invalid("%s with %d heads: expected 3 or 4 dimensions and one head or more", x.Shape, count)
	}
	width, ok := x.Shape[2].Quotient(graph.N(count))
	if !ok {
		n.invalid("%s has not the width of %d heads", x.Shape, count)
	}
	return n.b.Transpose(n.b.Reshape(x, x.Shape[0], x.Shape[1], graph.N(count), width), 0, 2, 1, 3)
}

// joined reshapes x (B,H,T,D) to (B,T,H·D).
func (n *node) joined(x *graph.Value) *graph.Value {
	s := x.Shape
	return n.b.Reshape(n.b.Transpose(x, 0, 2, 1, 3), s[0], s[2], s[1].Mul(s[3]))
}

// repeated repeats each of the G heads of x (B,G,S,D), so that there are H.
func (n *node) repeated(x *graph.Value, heads graph.Dim) *graph.Value {
	s := x.Shape
	if s[1] == heads {
		return x
	}
	each, ok := heads.Quotient(s[1])
	if !ok {
		n.invalid("%s heads of queries for %s of keys", heads, s[1])
	}
	wide := n.b.Expand(n.b.Reshape(x, s[0], s[1], graph.N(1), s[2], s[3]), s[0], s[1], each, s[2], s[3])
	return n.b.Reshape(wide, s[0], heads, s[2], s[3])
}

// size records a size as an int64 scalar.
func (n *node) size(d graph.Dim) *graph.Value {
	v, err := n.r.record(&value{name: n.name() + ".size", scope: n.scope, elements: integerElements(d).reshaped([]int{})})
	if err != nil {
		panic(refusal{err})
	}
	return v
}

// rowsAndColumns returns the positions of queries (T,1), counted from offset, and of
// keys (S).
func (n *node) rowsAndColumns(T, S, offset graph.Dim) (rows, columns *graph.Value) {
	return n.b.Reshape(n.b.Range(offset, offset.Add(T)), T, graph.N(1)), n.b.Range(graph.N(0), S)
}

// and returns where both hold; nil means everywhere.
func (n *node) and(x, y *graph.Value) *graph.Value {
	switch {
	case x == nil:
		return y
	case y == nil:
		return x
	}
	return n.b.And(x, y)
}

// plus returns the sum; nil means zero.
func (n *node) plus(x, y *graph.Value) *graph.Value {
	switch {
	case x == nil:
		return y
	case y == nil:
		return x
	}
	return n.b.Add(x, y)
}

// attend records an attention. With scores it also records its steps, which take
// more memory.
func (n *node) attend(a attention, scores bool) attended {
	q, k := a.q.Shape, a.k.Shape
	if len(q) != 4 || len(k) != 4 || len(a.v.Shape) != 4 {
		n.invalid("queries %s, keys %s and values %s: expected 4 dimensions", q, k, a.v.Shape)
	}
	if a.scale == 0 {
		d, ok := q[3].Number()
		if !ok {
			n.open("the width of a head is %s", q[3])
		}
		a.scale = 1 / math.Sqrt(float64(d))
	}
	plain := !scores && a.softcap == 0 && a.sink == nil
	if plain && a.seen == nil && a.bias == nil && (!a.causal || a.offset == k[2].Sub(q[2])) {
		return attended{y: n.apply(graph.Attention{Scale: a.scale, Causal: a.causal}, a.q, a.k, a.v)}
	}
	if a.causal {
		rows, columns := n.rowsAndColumns(q[2], k[2], a.offset)
		a.seen = n.and(a.seen, n.b.LessOrEqual(columns, rows))
	}
	if a.bias != nil && a.seen != nil {
		hidden := n.b.Where(a.seen, n.like(a.q, 0), n.like(a.q, math.Inf(-1)))
		a.bias, a.seen = n.b.Add(a.bias, hidden), nil
	}
	blind := n.blind(a)
	if plain {
		y := n.apply(graph.Attention{Scale: a.scale}, a.q, a.k, a.v, n.mask(a))
		return attended{y: n.without(blind, y)}
	}
	return n.attendInSteps(a, blind)
}

// attendInSteps records each step of an attention.
func (n *node) attendInSteps(a attention, blind *graph.Value) attended {
	b, heads := n.b, a.q.Shape[1]
	keys, values := n.repeated(a.k, heads), n.repeated(a.v, heads)
	out := attended{scores: b.MatMul(b.Mul(a.q, n.like(a.q, a.scale)), b.Transpose(keys, 0, 1, 3, 2))}
	out.capped = out.scores
	if a.softcap != 0 {
		limit := n.like(a.q, a.softcap)
		out.capped = b.Mul(b.Tanh(b.Div(out.scores, limit)), limit)
	}
	if a.seen != nil {
		a.bias = b.Where(a.seen, n.like(a.q, 0), n.like(a.q, math.Inf(-1)))
	}
	out.biased = n.plus(out.capped, a.bias)
	if a.sink == nil {
		out.probs = b.Softmax(out.biased, -1)
	} else {
		s := out.biased.Shape
		all := b.Softmax(b.Concat(3, out.biased, b.Expand(a.sink, s[0], s[1], s[2], graph.N(1))), -1)
		out.probs = b.Slice(all, 3, graph.N(0), s[3])
	}
	out.probs = n.without(blind, out.probs)
	out.y = b.MatMul(out.probs, values)
	return out
}

// blind returns which queries see no key at all, BOOL (...,T,1); nil if every query
// sees one.
func (n *node) blind(a attention) *graph.Value {
	switch {
	case a.whole:
	case a.bias != nil:
		return n.b.Equal(n.b.ReduceMax(a.bias, true, -1), n.like(a.bias, math.Inf(-1)))
	case a.seen != nil:
		any := n.b.ReduceMax(n.b.Cast(a.seen, format.Uint8), true, -1)
		return n.b.Not(n.b.Cast(any, format.Bool))
	}
	return nil
}

// without returns x with 0 in the rows of blind queries.
func (n *node) without(blind, x *graph.Value) *graph.Value {
	if blind == nil {
		return x
	}
	return n.b.Where(blind, n.like(x, 0), x)
}

// mask returns the mask of the attention, boolean or added, in the form of the
// graph's Attention.
func (n *node) mask(a attention) *graph.Value {
	m := a.bias
	if m == nil {
		m = a.seen
	}
	s := append(graph.Shape{}, m.Shape...)
	for len(s) < 4 {
		s = append(graph.Shape{graph.N(1)}, s...)
	}
	m = n.reshape(m, s)
	if last := a.k.Shape[2]; s[3] != last {
		s = append(append(graph.Shape{}, s[:3]...), last)
		m = n.b.Expand(m, s...)
	}
	return m
}

// padded extends x with fill along its last axis, or cuts it, to the given size.
func (n *node) padded(x *graph.Value, size graph.Dim, fill *graph.Value) *graph.Value {
	last := len(x.Shape) - 1
	missing := size.Sub(x.Shape[last])
	if missing.Is(0) {
		return x
	}
	if m, ok := missing.Number(); ok && m < 0 {
		return n.b.Slice(x, last, graph.N(0), size)
	}
	s := append(append(graph.Shape{}, x.Shape[:last]...), missing)
	return n.b.Concat(last, x, n.b.Expand(fill, s...))
}
