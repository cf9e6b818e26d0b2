package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// The derivatives of operators that read between the elements of an image are those
// of the same sum, written with Floor, products and GatherElements. The operators
// here are these forms. They need the sizes of the image as numbers.

// tap is an element of an axis that contributes to a point: its position, a whole
// number, and its weight, which is 0 for a position outside. Both have the shape of
// the points and their type.
type tap struct{ at, weight *Value }

// within sets the weight to 0 and the position to 0 outside an axis of n elements.
func (b *Builder) within(t tap, n int) tap {
	inside := b.And(b.GreaterOrEqual(t.at, b.like(t.at, 0)), b.Less(t.at, b.like(t.at, float64(n))))
	zero := b.like(t.at, 0)
	return tap{b.Where(inside, t.at, zero), b.Where(inside, t.weight, zero)}
}

// linearTaps returns the two elements around x: its floor and the next one.
func (b *Builder) linearTaps(x *Value) []tap {
	low := b.apply(Floor, x)
	part := b.Sub(x, low)
	one := b.like(x, 1)
	return []tap{{low, b.Sub(one, part)}, {b.Add(low, one), part}}
}

// cubicTaps returns the four elements around x with the weights of a cubic
// convolution (Keys 1981) with parameter a.
func (b *Builder) cubicTaps(x *Value, a float64) (taps []tap) {
	num := func(v float64) *Value { return b.like(x, v) }
	low := b.apply(Floor, x)
	part := b.Sub(x, low)
	near := func(d *Value) *Value { // up to 1: ((a+2)d - (a+3))d² + 1
		return b.Add(b.Mul(b.Sub(b.Mul(num(a+2), d), num(a+3)), b.Mul(d, d)), num(1))
	}
	far := func(d *Value) *Value { // 1 to 2: ((ad - 5a)d + 8a)d - 4a
		inner := b.Add(b.Mul(b.Sub(b.Mul(num(a), d), num(5*a)), d), num(8*a))
		return b.Sub(b.Mul(inner, d), num(4*a))
	}
	return []tap{
		{b.Sub(low, num(1)), far(b.Add(part, num(1)))},
		{low, near(part)},
		{b.Add(low, num(1)), near(b.Sub(num(1), part))},
		{b.Add(low, num(2)), far(b.Sub(num(2), part))},
	}
}

// sampled returns the terms of each point: the elements of x (N,C,sizes...) at all
// combinations of taps, one list per axis with positions (N,P), times their weights.
// A term is (N,C,P).
func (b *Builder) sampled(x *Value, sizes []int, taps [][]tap) []*Value {
	points := taps[0][0].at.Shape // (N,P)
	column := Shape{points[0], N(1), points[1]}
	all := Shape{points[0], x.Shape[1], points[1]}
	image := b.Reshape(x, x.Shape[0], x.Shape[1], x.Shape[2:].Elements())
	combined := taps[0]
	for axis := 1; axis < len(sizes); axis++ {
		var next []tap
		for _, outer := range combined {
			first := b.Mul(outer.at, b.like(outer.at, float64(sizes[axis])))
			for _, t := range taps[axis] {
				next = append(next, tap{b.Add(first, t.at), b.Mul(outer.weight, t.weight)})
			}
		}
		combined = next
	}
	terms := make([]*Value, len(combined))
	for i, t := range combined {
		ids := b.expand(b.Reshape(b.Cast(t.at, format.Int64), column...), all)
		weight := b.Reshape(t.weight, column...)
		if weight.DType != x.DType {
			weight = b.Cast(weight, x.DType)
		}
		terms[i] = b.Mul(b.GatherElements(image, ids, 2), weight)
	}
	return terms
}

// sum adds values.
func (b *Builder) sum(terms []*Value) *Value {
	total := terms[0]
	for _, t := range terms[1:] {
		total = b.Add(total, t)
	}
	return total
}

// numbersOf returns the sizes of an image as numbers.
func (b *Builder) numbersOf(op Op, s Shape) ([]int, bool) {
	sizes, known := s.Numbers()
	if !known {
		b.fail("graph: the derivative of %s by %s: bind the named dimensions first", op.Name(), s)
	}
	return sizes, known && b.err == nil
}

// typed returns a constant in the type of x.
func (b *Builder) typed(x *Value, t format.Tensor) *Value {
	c := b.Const(t)
	if x.DType != c.DType {
		c = b.Cast(c, x.DType)
	}
	return c
}

// gridTerms is a GridSample written with its taps.
type gridTerms GridSample

func (gridTerms) Name() string { return "GridSample" }

func (g gridTerms) Infer(args []Type) ([]Type, error) { return GridSample(g).Infer(args) }

// Decompose implements Composite.
func (g gridTerms) Decompose(b *Builder, args []*Value) []*Value {
	x, grid := args[0], args[1]
	sizes, ok := b.numbersOf(g, x.Shape[2:])
	if !ok || slices.Contains(sizes, 0) {
		return []*Value{b.zeros(x, append(slices.Clone(x.Shape[:2]), grid.Shape[1:len(grid.Shape)-1]...)...)}
	}
	places := grid.Shape[1 : len(grid.Shape)-1]
	var taps [][]tap
	for axis, n := range sizes {
		last := len(sizes) - 1 - axis
		c := b.Slice(grid, -1, N(last), N(last+1))
		taps = append(taps, g.taps(b, b.Reshape(c, x.Shape[0], places.Elements()), n))
	}
	y := b.sum(b.sampled(x, sizes, taps))
	return []*Value{b.Reshape(y, append(slices.Clone(x.Shape[:2]), places...)...)}
}

// taps returns the elements of an axis of n for coordinates from -1 to 1.
func (g gridTerms) taps(b *Builder, coordinate *Value, n int) []tap {
	num := func(v float64) *Value { return b.like(coordinate, v) }
	size := float64(n)
	x := b.Add(coordinate, num(1))
	least, most := -0.5, size-0.5
	if g.AlignCorners {
		x, least, most = b.Mul(x, num((size-1)/2)), 0, size-1
	} else {
		x = b.Sub(b.Mul(x, num(size/2)), num(0.5))
	}
	if g.Mode == "nearest" {
		x = b.apply(Round, x)
	}
	inside := func(v *Value) *Value {
		switch g.Padding {
		case "border":
			return b.Min(b.Max(v, num(0)), num(size-1))
		case "reflection":
			return b.reflected(v, least, most)
		}
		return v
	}
	x = b.Where(b.Or(b.Less(x, num(least)), b.Greater(x, num(most))), inside(x), x)
	var taps []tap
	switch g.Mode {
	case "nearest":
		taps = []tap{{x, b.expand(num(1), x.Shape)}}
	case "cubic":
		taps = b.cubicTaps(x, -0.75)
	default:
		taps = b.linearTaps(x)
	}
	for i, t := range taps {
		outside := b.Or(b.Less(t.at, num(0)), b.GreaterOrEqual(t.at, num(size)))
		taps[i] = b.within(tap{b.Where(outside, inside(t.at), t.at), t.weight}, n)
	}
	return taps
}

// reflected reflects x at the ends of an interval until it is inside.
func (b *Builder) reflected(x *Value, least, most float64) *Value {
	num := func(v float64) *Value { return b.like(x, v) }
	length := most - least
	if !(length > 0) {
		return b.expand(num(least), x.Shape)
	}
	d := b.apply(FMod, b.Abs(b.Sub(x, num(least))), num(2*length))
	d = b.Where(b.Greater(d, num(length)), b.Sub(num(2*length), d), d)
	return b.Add(d, num(least))
}

// Grad implements Differentiable: by the elements and by the grid, along which the
// result is smooth between the elements.
func (g GridSample) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(gridTerms(g), n, dy)
}

// deformTerms is a DeformConv written as a product of its weights and of samples.
type deformTerms DeformConv

func (deformTerms) Name() string { return "DeformConv" }

func (c deformTerms) Infer(args []Type) ([]Type, error) { return DeformConv(c).Infer(args) }

// Decompose implements Composite.
func (c deformTerms) Decompose(b *Builder, args []*Value) []*Value {
	x, w, offset := args[0], args[1], args[2]
	sizes, ok := b.numbersOf(c, slices.Concat(x.Shape[1:], w.Shape, offset.Shape[2:]))
	if !ok {
		return []*Value{x}
	}
	channels, image, kernel, rows, columns := sizes[0], sizes[1:3], sizes[5:7], sizes[7], sizes[8]
	taps, places, groups := kernel[0]*kernel[1], rows*columns, c.OffsetGroup
	batch := x.Shape[0].Mul(N(groups))
	moved := b.Reshape(offset, batch, N(taps), N(2), N(places))
	var along [][]tap
	for axis, n := range image {
		moves := b.Reshape(b.Slice(moved, 2, N(axis), N(axis+1)), batch, N(taps*places))
		at := b.Add(moves, b.typed(moves, c.grid(axis, kernel[1], taps, rows, columns)))
		var list []tap
		for _, t := range b.linearTaps(at) {
			list = append(list, b.within(t, n))
		}
		along = append(along, list)
	}
	parts := b.Reshape(x, batch, N(channels/groups), N(image[0]), N(image[1]))
	read := b.sum(b.sampled(parts, image, along)) // (batch,C/groups,taps·places)
	if len(args) == 4 {
		read = b.Mul(read, b.Reshape(args[3], batch, N(1), N(taps*places)))
	}
	each := N(channels / c.Group * taps)
	read = b.Reshape(read, x.Shape[0], N(c.Group), each, N(places))
	y := b.MatMul(b.Reshape(w, N(c.Group), N(sizes[3]/c.Group), each), read)
	return []*Value{b.Reshape(y, x.Shape[0], N(sizes[3]), N(rows), N(columns))}
}

// grid returns where a window without offsets reads along an axis: (taps·places).
func (c deformTerms) grid(axis, width, taps, rows, columns int) format.Tensor {
	at := make([]float32, 0, taps*rows*columns)
	for tap := range taps {
		part := []int{tap / width, tap % width}[axis]
		for place := range rows * columns {
			window := []int{place / columns, place % columns}[axis]
			at = append(at, float32(window*c.Strides[axis]+part*c.Dilations[axis]-c.Pads[axis]))
		}
	}
	return format.FromFloat32s("", []int{len(at)}, at)
}

// Grad implements Differentiable.
func (c DeformConv) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(deformTerms(c), n, dy)
}
