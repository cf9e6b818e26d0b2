package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// markThrough finds the integers that GradThrough differentiates by.
func (d *differentiation) markThrough(n *Node) {
	if op, ok := n.Op.(DynamicQuantizeLinear); ok && !op.Slopeless {
		d.learned[n.Results[1]] = false // the scale is a constant
	}
	for _, v := range n.Results {
		d.learned[v] = d.learned[v] || Through(v)
	}
}

// Through reports whether v is integers by which GradThrough differentiates if an argument
// depends on a parameter: numbers are rounded to them, or they are computed from such.
func Through(v *Value) bool {
	if !ofIntegers(v) {
		return false
	}
	switch op := v.Op().(type) {
	case DynamicQuantizeLinear:
		return v.Index == 0 && !op.Slopeless
	case Cast:
		return integral(v.Args()[0])
	case Binary:
		return op == Add || op == Sub
	case QuantizeLinear:
		return !op.Slopeless
	case Requantize, Reshape, Transpose, Slice, Concat, Split, Expand, Gather, Where:
		return true
	}
	return false
}

// Slopeless is the pass after which GradThrough has the derivatives of Grad for roundings to
// integers: none but those of a scale that depends on the numbers, as that of
// DynamicQuantizeLinear does.
func Slopeless(g *Graph) (*Graph, error) {
	rounds := slices.ContainsFunc(g.Nodes, func(n *Node) bool { return slopeless(n.Op) != nil })
	if !rounds {
		return g, nil
	}
	return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		if op := slopeless(n.Op); op != nil {
			return b.Apply(op, len(n.Results), args...)
		}
		return nil
	})
}

// slopeless returns an operator that rounds to integers, without a slope; nil for others.
func slopeless(op Op) Op {
	switch q := op.(type) {
	case QuantizeLinear:
		q.Slopeless = true
		return q
	case DynamicQuantizeLinear:
		q.Slopeless = true
		return q
	}
	return nil
}

// ofIntegers reports whether the type of v is one of integers.
func ofIntegers(v *Value) bool {
	bits, _ := v.DType.Integer()
	return bits > 0
}

// integral reports whether v is integers, or sums of products of them, computed in
// another type: converted to integers they are the same numbers.
func integral(v *Value) bool {
	if ofIntegers(v) {
		return true
	}
	switch v.Op().(type) {
	case Cast, MatMul, Gemm, Conv, Reshape, Transpose, Pad, Slice:
		for _, a := range v.Args() {
			if !integral(a) {
				return false
			}
		}
		return true
	}
	return false
}

// straight records the derivative by x of integers that x is rounded to, with a scale in the
// shape of x or one that broadcasts to it. Where outside holds, they are clamped.
func (b *Builder) straight(x, scale, dy, outside *Value) *Value {
	dx := b.Div(b.Cast(dy, x.DType), b.Cast(scale, x.DType))
	if outside == nil {
		return dx
	}
	return b.Where(outside, b.like(dx, 0), dx)
}

// clamped reports where x, divided by a scale and rounded, plus a zero point, is outside the
// range of an integer type; nil for a type of floating-point numbers.
func (b *Builder) clamped(x, scale, zero *Value, t format.DType) *Value {
	bits, signed := t.Integer()
	if bits == 0 {
		return nil
	}
	least, most := 0, 1<<bits-1
	if signed {
		least, most = -1<<(bits-1), 1<<(bits-1)-1
	}
	q := b.apply(Round, b.Div(x, b.Cast(scale, x.DType)))
	if zero != nil {
		q = b.Add(q, b.Cast(zero, x.DType))
	}
	return b.Or(b.Less(q, b.like(q, float64(least))), b.Less(b.like(q, float64(most)), q))
}
