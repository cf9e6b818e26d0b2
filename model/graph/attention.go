package graph

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Attention is softmax(q kᵀ · Scale + mask) v (arXiv:1706.03762) for q
// (B,H,T,D), k (B,G,S,D) and v (B,G,S,E), where H is a multiple of G: each head
// of keys and values serves H/G query heads (arXiv:2305.13245). The result is
// (B,H,T,E).
//
// With Causal the queries are the last T of the S tokens, and each sees the keys
// up to its own position; with Window it sees only the last Window of these. The
// optional fourth argument is a mask that broadcasts to (B,H,T,S): BOOL, where
// true makes a key visible, or numbers that are added to the scores. Its last
// size is S: in ONNX, a shorter mask hides the remaining keys.
type Attention struct {
	Scale  float64
	Causal bool `attr:",omitzero"`
	Window int  `attr:",omitzero"`
}

// Name returns "Attention".
func (Attention) Name() string { return "Attention" }

// Infer returns (B,H,T,E).
func (a Attention) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 3, 4); err != nil {
		return nil, err
	}
	if err := expectFloat(args[:3]...); err != nil {
		return nil, err
	}
	q, k, v := args[0].Shape, args[1].Shape, args[2].Shape
	bad := fmt.Errorf("q %s, k %s, v %s, scale %g, window %d", q, k, v, a.Scale, a.Window)
	if len(q) != 4 || len(k) != 4 || len(v) != 4 || !(a.Scale > 0) || math.IsInf(a.Scale, 0) || a.Window < 0 || a.Window > 0 && !a.Causal ||
		q[0] != k[0] || q[3] != k[3] || !k.with(3, v[3]).Equal(v) {
		return nil, bad
	}
	heads, ok := q[1].Number()
	groups, known := k[1].Number()
	if q[1] != k[1] && (!ok || !known || groups < 1 || heads%groups != 0) {
		return nil, bad
	}
	out := q.with(3, v[3])
	if len(args) == 4 {
		mask := args[3]
		scores := q.with(3, k[2])
		if mask.DType != format.Bool && mask.DType != args[0].DType || (len(mask.Shape) != 2 && len(mask.Shape) != 4) || !mask.Shape.into(scores) || mask.Shape[len(mask.Shape)-1] != k[2] {
			return nil, fmt.Errorf("mask %s for scores %s: expected BOOL or %s of 2 or 4 dimensions, with a number for each key", mask, scores, args[0].DType)
		}
	}
	return one(args[0].DType, out), nil
}

// MaskedScore is added to the score of a masked key. Its softmax is exactly 0
// in float32 and float64. Unlike -Inf it does not produce NaN in a fully masked
// row.
const MaskedScore = -1e9

// Bias records the term that is added to the scores for the operator's
// arguments: (T,S), or the shape of the mask broadcast with it. It returns nil
// if there is none.
func (a Attention) Bias(b *Builder, args []*Value) *Value {
	q, k, mask := args[0], args[1], args[3:]
	var seen *Value // BOOL
	if a.Causal {
		T, S := q.Shape[2], k.Shape[2]
		rows := b.Reshape(b.Name("rows", b.Range(S.Sub(T), S)), T, N(1)) // (T,1): the position of each query
		columns := b.Name("columns", b.Range(N(0), S))                   // (S)
		seen = b.LessOrEqual(columns, rows)                              // (T,S)
		if a.Window > 0 {
			first := b.Sub(rows, b.integer(int64(a.Window-1)))
			seen = b.And(seen, b.GreaterOrEqual(columns, first))
		}
	}
	var bias *Value
	if len(mask) > 0 && mask[0].DType == format.Bool {
		if seen != nil {
			seen = b.And(seen, mask[0])
		} else {
			seen = mask[0]
		}
	} else if len(mask) > 0 {
		bias = mask[0]
	}
	if seen != nil {
		hidden := b.Name("bias", b.Where(seen, b.like(q, 0), b.like(q, MaskedScore)))
		if bias == nil {
			return hidden
		}
		bias = b.Add(bias, hidden)
	}
	return bias
}

// attentionParts holds the values that both attention and its gradient need. If
// heads share keys, queries have an extra dimension: (B,G,R,T,D) with R = H/G.
type attentionParts struct {
	scaled *Value // queries times scale, (B,H,T,D) or (B,G,R,T,D)
	keys   *Value // (B,G,S,D) or (B,G,1,S,D)
	values *Value // (B,G,S,E) or (B,G,1,S,E)
	probs  *Value // (B,H,T,S) or (B,G,R,T,S)
}

// parts records the probabilities. It scales q, which has fewer elements than
// the scores.
func (a Attention) parts(b *Builder, args []*Value) attentionParts {
	q, k, v := args[0], args[1], args[2]
	bias := a.Bias(b, args)
	p := attentionParts{scaled: q, keys: k, values: v}
	if q.Shape[1] != k.Shape[1] {
		heads, _ := q.Shape[1].Number()
		groups, _ := k.Shape[1].Number()
		p.scaled = b.grouped(q, groups, heads/groups)
		p.keys, p.values = b.grouped(k, groups, 1), b.grouped(v, groups, 1)
		if bias != nil && len(bias.Shape) == 4 {
			if bias.Shape[1].Is(1) {
				bias = b.grouped(bias, 1, 1)
			} else {
				bias = b.grouped(bias, groups, heads/groups)
			}
		}
	}
	p.scaled = b.Mul(p.scaled, b.like(q, a.Scale))
	scores := b.Name("scores", b.MatMul(p.scaled, b.Name("k_transposed", b.swapped(p.keys))))
	if bias != nil {
		scores = b.Name("masked", b.Add(scores, bias))
	}
	p.probs = b.Name("probabilities", b.Softmax(scores, -1))
	return p
}

// grouped returns x (B,G·R,...) as (B,G,R,...).
func (b *Builder) grouped(x *Value, groups, each int) *Value {
	return b.Reshape(x, x.Shape[0], N(groups), N(each), x.Shape[2], x.Shape[3])
}

// Probabilities records the softmax of the scores for the arguments of the
// operator, (B,H,T,S).
func (a Attention) Probabilities(b *Builder, args []*Value) *Value {
	return b.reshapeTo(a.parts(b, args).probs, args[0].Shape.with(3, args[1].Shape[2]))
}

// Decompose implements Composite.
func (a Attention) Decompose(b *Builder, args []*Value) []*Value {
	return a.output(b, a.parts(b, args), args)
}

// output records the product with the values.
func (a Attention) output(b *Builder, p attentionParts, args []*Value) []*Value {
	y := b.MatMul(p.probs, p.values)
	if len(y.Shape) == 5 {
		y = b.Reshape(y, args[0].Shape.with(3, args[2].Shape[3])...)
	}
	return []*Value{y}
}

// Grad implements Differentiable: of o = p v, p = softmax(s), s = (q·scale) kᵀ +
// mask. The row sums Σ dp·p that softmax needs are Σ do·o, over E numbers a
// row instead of S (FlashAttention, arXiv:2205.14135, appendix B.4).
func (a Attention) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	p := a.parts(b, n.Args)
	q, o, do := n.Args[0], n.Results[0], dy[0]
	sum := b.ReduceSum(b.Mul(do, o), true, -1) // (B,H,T,1)
	if len(p.probs.Shape) == 5 {
		groups, _ := p.probs.Shape[1].Number()
		each, _ := p.probs.Shape[2].Number()
		do, sum = b.grouped(do, groups, each), b.grouped(sum, groups, each)
	}
	dv := b.reduceTo(b.MatMul(b.swapped(p.probs), do), p.values.Shape)
	dp := b.MatMul(do, b.swapped(p.values))
	ds := b.Mul(p.probs, b.Sub(dp, sum))
	dq := b.Mul(b.MatMul(ds, p.keys), b.like(q, a.Scale))
	dk := b.reduceTo(b.MatMul(b.swapped(ds), p.scaled), p.keys.Shape)
	out := []*Value{b.reshapeTo(dq, q.Shape), b.reshapeTo(dk, n.Args[1].Shape), b.reshapeTo(dv, n.Args[2].Shape)}
	if len(n.Args) == 4 {
		var dmask *Value
		if n.Args[3].DType.Float() {
			dmask = b.reduceTo(b.reshapeTo(ds, q.Shape.with(3, n.Args[1].Shape[2])), n.Args[3].Shape)
		}
		out = append(out, dmask)
	}
	return out
}

func (b *Builder) reshapeTo(x *Value, s Shape) *Value {
	if x.Shape.Equal(s) {
		return x
	}
	return b.Reshape(x, s...)
}

// RotaryEmbedding rotates pairs of elements of its first argument, (B,H,T,D), by
// angles proportional to the token's position (arXiv:2104.09864). The positions
// are the second argument, int64 (T) or (B,T). The angle of pair i at position 1
// is element i of the third argument, (R/2). R is D, or less, and the last D-R
// elements then stay unchanged. A pair is elements i and i+R/2, or with
// Interleaved 2i and 2i+1. Scale multiplies sine and cosine (arXiv:2309.00071).
type RotaryEmbedding struct {
	Interleaved bool `attr:",omitzero"`
	Scale       float64
}

// Name returns "RotaryEmbedding".
func (RotaryEmbedding) Name() string { return "RotaryEmbedding" }

// Infer returns the first argument's type.
func (r RotaryEmbedding) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 3); err != nil {
		return nil, err
	}
	x, places, angles := args[0], args[1], args[2]
	if err := expectFloat(x, angles); err != nil {
		return nil, err
	}
	if len(x.Shape) != 4 || len(angles.Shape) != 1 || places.DType != format.Int64 ||
		!places.Shape.Equal(x.Shape[2:3]) && !places.Shape.Equal(Shape{x.Shape[0], x.Shape[2]}) || math.IsInf(r.Scale, 0) {
		return nil, fmt.Errorf("x %s, places %s, angles %s, scale %g", x, places, angles, r.Scale)
	}
	d, ok := x.Shape[3].Number()
	half, known := angles.Shape[0].Number()
	if !ok || !known || half < 1 || 2*half > d {
		return nil, fmt.Errorf("%s angles for %s elements: expected half as many or fewer", angles.Shape[0], x.Shape[3])
	}
	return []Type{x}, nil
}

// Decompose implements Composite: (x₁·cos - x₂·sin, x₂·cos + x₁·sin).
func (r RotaryEmbedding) Decompose(b *Builder, args []*Value) []*Value {
	x, places, angles := args[0], args[1], args[2]
	half, _ := angles.Shape[0].Number()
	d, _ := x.Shape[3].Number()
	T := x.Shape[2]
	column := Shape{T, N(1)}
	if len(places.Shape) == 2 {
		column = Shape{x.Shape[0], N(1), T, N(1)}
	}
	angle := b.Name("angles", b.Mul(b.Reshape(b.Cast(places, x.DType), column...), angles)) // (T,R/2) or (B,1,T,R/2)
	cos, sin := b.Cos(angle), b.Sin(angle)
	if r.Scale != 1 {
		cos, sin = b.Mul(cos, b.like(x, r.Scale)), b.Mul(sin, b.like(x, r.Scale))
	}
	var rest []*Value
	if 2*half < d {
		parts := b.Split(x, -1, 2*half, d-2*half)
		x, rest = parts[0], parts[1:]
	}
	turn := func(x1, x2 *Value) (*Value, *Value) {
		return b.Sub(b.Mul(x1, cos), b.Mul(x2, sin)), b.Add(b.Mul(x2, cos), b.Mul(x1, sin))
	}
	if !r.Interleaved {
		parts := b.Split(x, -1, half, half)
		y1, y2 := turn(parts[0], parts[1])
		return []*Value{b.Concat(-1, append([]*Value{y1, y2}, rest...)...)}
	}
	single := x.Shape.with(3, N(half))                                      // (B,H,T,R/2)
	pairs := b.Split(b.Reshape(x, append(single[:4:4], N(2))...), -1, 1, 1) // 2 × (B,H,T,R/2,1)
	y1, y2 := turn(b.Reshape(pairs[0], single...), b.Reshape(pairs[1], single...))
	column5 := append(single[:4:4], N(1))
	y := b.Reshape(b.Concat(-1, b.Reshape(y1, column5...), b.Reshape(y2, column5...)), x.Shape...)
	if rest != nil {
		y = b.Concat(-1, append([]*Value{y}, rest...)...)
	}
	return []*Value{y}
}
