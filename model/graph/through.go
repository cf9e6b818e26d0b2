package graph

import "github.com/attnx/attnx/format"

// markThrough finds the integers that GradThrough differentiates by.
func (d *differentiation) markThrough(n *Node) {
	if _, ok := n.Op.(DynamicQuantizeLinear); ok {
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
		return v.Index == 0
	case Cast:
		return integral(v.Args()[0])
	case Binary:
		return op == Add || op == Sub
	case QuantizeLinear, Requantize, Reshape, Transpose, Slice, Concat, Split, Expand, Gather, Where:
		return true
	}
	return false
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
