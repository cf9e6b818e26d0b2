package graph

import "github.com/attnx/attnx/format"

// regionTerms is a RoiAlign written with the terms of its points.
type regionTerms RoiAlign

func (regionTerms) Name() string { return "RoiAlign" }

func (r regionTerms) Infer(args []Type) ([]Type, error) { return RoiAlign(r).Infer(args) }

// points are the points of the parts of each region along an axis.
type points struct {
	taps  []tap  // of the points (n,parts·each)
	there *Value // which of them there are; nil: all
	count *Value // (n,1): how many a part has
	each  int
}

// Decompose implements Composite.
func (r regionTerms) Decompose(b *Builder, args []*Value) []*Value {
	regions := args[1]
	sizes, ok := b.numbersOf(r, args[0].Shape[2:])
	if !ok {
		return []*Value{args[0]}
	}
	x := b.Gather(args[0], b.Cast(args[2], format.Int64)) // (n,C,H,W)
	rows, columns := r.along(b, regions, 1, r.Height, sizes[0]), r.along(b, regions, 0, r.Width, sizes[1])
	n, height, width := regions.Shape[0], r.Height*rows.each, r.Width*columns.each
	spread := func(v *Value, rowwise bool) *Value { // (n,height) or (n,width) to (n,height·width)
		if rowwise {
			v = b.Reshape(v, n, N(height), N(1))
		} else {
			v = b.Reshape(v, n, N(1), N(width))
		}
		return b.Reshape(b.expand(v, Shape{n, N(height), N(width)}), n, N(height*width))
	}
	along := make([][]tap, 2)
	for axis, p := range []points{rows, columns} {
		for _, t := range p.taps {
			along[axis] = append(along[axis], tap{spread(t.at, axis == 0), spread(t.weight, axis == 0)})
		}
	}
	terms := b.sampled(x, sizes, along)
	var there *Value // (n,1,Height,each,Width,each)
	parts := Shape{n, x.Shape[1], N(r.Height), N(rows.each), N(r.Width), N(columns.each)}
	if rows.there != nil {
		both := b.And(b.Reshape(rows.there, n, N(height), N(1)), b.Reshape(columns.there, n, N(1), N(width)))
		there = b.Reshape(both, n, N(1), parts[2], parts[3], parts[4], parts[5])
	}
	count := b.Reshape(b.Mul(rows.count, columns.count), n, N(1), N(1), N(1))
	if r.Max {
		return []*Value{r.largest(b, terms, parts, there, count)}
	}
	y := b.Reshape(b.sum(terms), parts...)
	if there != nil {
		y = b.Where(there, y, b.like(y, 0))
	}
	return []*Value{b.Div(b.ReduceSum(y, false, 3, 5), b.Max(count, b.like(count, 1)))}
}

// largest is the largest term of the points of each part, 0 for a part without any.
func (r regionTerms) largest(b *Builder, terms []*Value, parts Shape, there, count *Value) *Value {
	var most *Value
	for _, t := range terms {
		t = b.Reshape(t, parts...)
		if there != nil {
			t = b.Where(there, t, b.like(t, -lowest))
		}
		if t = b.ReduceMax(t, false, 3, 5); most == nil {
			most = t
		} else {
			most = b.Max(most, t)
		}
	}
	return b.Where(b.Greater(count, b.like(count, 0)), most, b.like(most, 0))
}

// lowest is far below any element, and fits into float32.
const lowest = 1e38

// along returns the points of each region along an axis of the given size. Their number
// depends on the region where Samples is 0: then there are as many as an axis can
// hold, at a distance of more than a half, from the last one before it on.
func (r regionTerms) along(b *Builder, regions *Value, column, parts, size int) points {
	num := func(v float64) *Value { return b.like(regions, v) }
	offset := 0.0
	if r.HalfPixel {
		offset = 0.5
	}
	end := func(i int) *Value { // (n,1)
		return b.Sub(b.Mul(b.Slice(regions, 1, N(i), N(i+1)), num(r.Scale)), num(offset))
	}
	from := end(column)
	length := b.Sub(end(column+2), from)
	if !r.HalfPixel {
		length = b.Max(length, num(1))
	}
	part := b.Div(length, num(float64(parts)))
	p := points{each: r.Samples, count: num(float64(r.Samples))}
	if p.each < 1 {
		p.each, p.count = 2*size+6, b.Max(b.apply(Ceil, part), num(0))
	}
	n := regions.Shape[0]
	step := b.Div(part, b.Max(p.count, num(1)))
	first := b.Add(b.Add(b.Reshape(from, n, N(1), N(1)), b.Mul(b.Reshape(part, n, N(1), N(1)), b.counting(regions, parts, 1))),
		b.Mul(b.Reshape(step, n, N(1), N(1)), num(0.5))) // (n,parts,1)
	i := b.counting(regions, 1, p.each) // (1,each)
	if r.Samples < 1 {
		safe := b.Reshape(b.Max(step, num(1e-9)), n, N(1), N(1))
		skipped := b.Sub(b.apply(Ceil, b.Div(b.Sub(num(-1), first), safe)), num(1))
		i = b.Add(b.Max(skipped, num(0)), i) // (n,parts,each)
		p.there = b.Reshape(b.Less(i, b.Reshape(p.count, n, N(1), N(1))), n, N(parts*p.each))
	}
	x := b.Add(first, b.Mul(b.Reshape(step, n, N(1), N(1)), i))
	p.taps = b.neighbours(b.Reshape(x, n, N(parts*p.each)), size)
	if len(p.count.Shape) == 0 {
		p.count = b.expand(p.count, Shape{n, N(1)})
	}
	return p
}

// counting returns 0, 1, … in the type of x, as a matrix with one row or one column.
func (b *Builder) counting(x *Value, rows, columns int) *Value {
	v := make([]float32, rows*columns)
	for i := range v {
		v[i] = float32(i)
	}
	return b.typed(x, format.FromFloat32s("", []int{rows, columns}, v))
}

// neighbours returns the two elements of an axis around x. From the last element on
// both are the last one, and outside from -1 to the size the weights are 0.
func (b *Builder) neighbours(x *Value, size int) []tap {
	num := func(v float64) *Value { return b.like(x, v) }
	outside := b.Or(b.Less(x, num(-1)), b.Greater(x, num(float64(size))))
	last := num(float64(size - 1))
	at := b.Min(b.Max(x, num(0)), last)
	var taps []tap
	for _, t := range b.linearTaps(at) {
		taps = append(taps, tap{b.Min(t.at, last), b.Where(outside, num(0), t.weight)})
	}
	return taps
}

// Grad implements Differentiable: by the elements and by the regions, within whose
// numbers of points the result is smooth.
func (r RoiAlign) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(regionTerms(r), n, dy)
}

// poolTerms is a MaxRoiPool written with a mask for each part of each region.
type poolTerms MaxRoiPool

func (poolTerms) Name() string { return "MaxRoiPool" }

func (m poolTerms) Infer(args []Type) ([]Type, error) { return MaxRoiPool(m).Infer(args) }

// Decompose implements Composite.
func (m poolTerms) Decompose(b *Builder, args []*Value) []*Value {
	regions, n := args[1], args[1].Shape[0]
	sizes, ok := b.numbersOf(m, args[0].Shape[2:])
	if !ok {
		return []*Value{args[0]}
	}
	image := b.Reshape(b.Cast(b.Slice(regions, 1, N(0), N(1)), format.Int64), n)
	x := b.Reshape(b.Gather(args[0], image), n, args[0].Shape[1], N(1), N(1), N(sizes[0]), N(sizes[1]))
	rows := b.Reshape(m.inside(b, regions, 2, m.Height, sizes[0]), n, N(1), N(m.Height), N(1), N(sizes[0]), N(1))
	columns := b.Reshape(m.inside(b, regions, 1, m.Width, sizes[1]), n, N(1), N(1), N(m.Width), N(1), N(sizes[1]))
	in := b.And(rows, columns)
	most := b.ReduceMax(b.Where(in, x, b.like(x, -lowest)), false, 4, 5)
	some := b.Greater(b.ReduceMax(b.Cast(in, x.DType), false, 4, 5), b.like(x, 0))
	return []*Value{b.Where(some, most, b.like(x, 0))}
}

// inside returns which elements of an axis each part of each region has: (n,parts,size).
func (m poolTerms) inside(b *Builder, regions *Value, column, parts, size int) *Value {
	num := func(v float64) *Value { return b.like(regions, v) }
	rounded := func(i int) *Value { // away from zero, as C's round
		v := b.Mul(b.Slice(regions, 1, N(i), N(i+1)), num(m.Scale))
		return b.Mul(b.Sign(v), b.apply(Floor, b.Add(b.Abs(v), num(0.5))))
	}
	n := regions.Shape[0]
	first := rounded(column)
	length := b.Max(b.Add(b.Sub(rounded(column+2), first), num(1)), num(1)) // (n,1)
	at := func(i *Value, round Unary) *Value {                              // (n,parts,1): where a part begins or ends
		edge := b.apply(round, b.Div(b.Mul(b.Reshape(length, n, N(1), N(1)), i), num(float64(parts))))
		return b.Add(b.Reshape(first, n, N(1), N(1)), edge)
	}
	part := b.counting(regions, parts, 1)
	element := b.counting(regions, 1, size)
	return b.And(b.GreaterOrEqual(element, at(part, Floor)), b.Less(element, at(b.Add(part, num(1)), Ceil)))
}

// Grad implements Differentiable: the derivative goes to the largest element of each
// part. Moving a region jumps from element to element.
func (m MaxRoiPool) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(poolTerms(m), n, dy)
}
