package graph

import (
	"errors"
	"fmt"
	"math"
)

// Reshape is the same elements in another shape.
type Reshape struct{ Shape Shape }

// Name returns "Reshape".
func (Reshape) Name() string { return "Reshape" }

// Infer returns the shape, which has as many elements as the argument's.
func (r Reshape) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if from, to := args[0].Shape.Elements(), r.Shape.Elements(); from != to || !from.Valid() {
		return nil, fmt.Errorf("%s cannot become %s", args[0].Shape, r.Shape)
	}
	return one(args[0].DType, r.Shape), nil
}

// Grad implements Differentiable.
func (Reshape) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{b.Reshape(dy[0], n.Args[0].Shape...)}
}

// Transpose permutes the axes of its argument: axis i of the result is axis
// Perm[i] of the argument.
type Transpose struct{ Perm []int }

// Name returns "Transpose".
func (Transpose) Name() string { return "Transpose" }

// Infer permutes the shape.
func (t Transpose) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	s := args[0].Shape
	out := make(Shape, len(s))
	seen := make([]bool, len(s))
	if len(t.Perm) != len(s) {
		return nil, fmt.Errorf("perm %v for shape %s", t.Perm, s)
	}
	for i, p := range t.Perm {
		if p < 0 || p >= len(seen) || seen[p] {
			return nil, fmt.Errorf("%v is not a permutation of the axes of %s", t.Perm, s)
		}
		seen[p] = true
		out[i] = s[p]
	}
	return one(args[0].DType, out), nil
}

// Grad implements Differentiable.
func (t Transpose) Grad(b *Builder, _ *Node, dy []*Value) []*Value {
	back := make([]int, len(t.Perm))
	for i, p := range t.Perm {
		back[p] = i
	}
	return []*Value{b.Transpose(dy[0], back...)}
}

// Concat joins its arguments along the axis.
type Concat struct{ Axis int }

// Name returns "Concat".
func (Concat) Name() string { return "Concat" }

// Infer adds the sizes along the axis.
func (c Concat) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 1, math.MaxInt); err != nil {
		return nil, errors.New("it takes one argument or more")
	}
	out := args[0].Shape
	if err := expectAxis(c.Axis, out); err != nil {
		return nil, err
	}
	length := out[c.Axis]
	for _, t := range args[1:] {
		if t.DType != args[0].DType || !t.Shape.equalBut(c.Axis, out) {
			return nil, fmt.Errorf("%s beside %s along axis %d", t, args[0], c.Axis)
		}
		length = length.Add(t.Shape[c.Axis])
	}
	return one(args[0].DType, out.with(c.Axis, length)), nil
}

// Grad implements Differentiable.
func (c Concat) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	out := make([]*Value, len(n.Args))
	at := N(0)
	for i, a := range n.Args {
		limit := at.Add(a.Shape[c.Axis])
		out[i] = b.Slice(dy[0], c.Axis, at, limit)
		at = limit
	}
	return out
}

// Split cuts its argument into parts of the given sizes along the axis, with
// one result per part.
type Split struct {
	Axis  int
	Sizes []int
}

// Name returns "Split".
func (Split) Name() string { return "Split" }

// Infer returns a type for each part.
func (s Split) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	x := args[0]
	if err := expectAxis(s.Axis, x.Shape); err != nil {
		return nil, err
	}
	sum := 0
	out := make([]Type, len(s.Sizes))
	for i, n := range s.Sizes {
		if n < 1 || n > math.MaxInt-sum {
			return nil, fmt.Errorf("part of size %d", n)
		}
		sum += n
		out[i] = Type{x.DType, x.Shape.with(s.Axis, N(n))}
	}
	if len(out) == 0 || !x.Shape[s.Axis].Is(sum) {
		return nil, fmt.Errorf("parts of sizes %v along axis %d of %s", s.Sizes, s.Axis, x.Shape)
	}
	return out, nil
}

// Grad implements Differentiable.
func (s Split) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	parts := make([]*Value, len(dy))
	for i, d := range dy {
		if d == nil {
			d = b.ConstantOfShape(0, n.Args[0].Shape.with(s.Axis, N(s.Sizes[i]))...)
		}
		parts[i] = d
	}
	return []*Value{b.Concat(s.Axis, parts...)}
}

// Slice is the positions from Start up to, but not including, Limit along the
// axis.
type Slice struct {
	Axis         int
	Start, Limit Dim
}

// Name returns "Slice".
func (Slice) Name() string { return "Slice" }

// length returns limit - start, which must not be negative for any sizes of the
// names.
func length(start, limit Dim) (Dim, error) {
	d := limit.Sub(start)
	if !d.NonNegative() {
		return Dim{}, fmt.Errorf("from %s to %s: the length %s can be negative", start, limit, d)
	}
	return d, nil
}

// Infer shortens the axis. It cannot compare a name with the size of the axis:
// the run checks that Start is not before the beginning ("T-1" if T is 0) and
// Limit not beyond the end.
func (s Slice) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	x := args[0]
	if err := expectAxis(s.Axis, x.Shape); err != nil {
		return nil, err
	}
	d, err := length(s.Start, s.Limit)
	if err != nil {
		return nil, err
	}
	start, known := s.Start.Number()
	limit, bound := s.Limit.Number()
	size, fixed := x.Shape[s.Axis].Number()
	if known && start < 0 || bound && fixed && limit > size {
		return nil, fmt.Errorf("positions %s to %s of axis %d of %s", s.Start, s.Limit, s.Axis, x.Shape)
	}
	return one(x.DType, x.Shape.with(s.Axis, d)), nil
}

// Grad implements Differentiable: zeros for positions that the slice did not
// read.
func (s Slice) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x := n.Args[0]
	after, err := length(s.Limit, x.Shape[s.Axis])
	if err != nil {
		b.fail("graph: the derivative of Slice %.80q: positions up to %s of %s: bind the named dimensions first", n.Name(), s.Limit, x.Shape[s.Axis])
		return []*Value{nil}
	}
	zeros := func(size Dim) []*Value {
		if size.Is(0) {
			return nil
		}
		return []*Value{b.ConstantOfShape(0, x.Shape.with(s.Axis, size)...)}
	}
	parts := append(append(zeros(s.Start), dy[0]), zeros(after)...)
	if len(parts) == 1 {
		return parts
	}
	return []*Value{b.Concat(s.Axis, parts...)}
}

// Expand broadcasts its argument into the shape.
type Expand struct{ Shape Shape }

// Name returns "Expand".
func (Expand) Name() string { return "Expand" }

// Infer returns the shape.
func (e Expand) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if !args[0].Shape.into(e.Shape) {
		return nil, fmt.Errorf("%s does not broadcast into %s", args[0].Shape, e.Shape)
	}
	return one(args[0].DType, e.Shape), nil
}

// Grad implements Differentiable.
func (Expand) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{b.reduceTo(dy[0], n.Args[0].Shape)}
}

// Trilu keeps one triangle of the last two axes, with zeros elsewhere. K is the
// diagonal at which the triangle begins; 0 is the main one.
type Trilu struct {
	Upper bool
	K     Dim
}

// Name returns "Trilu".
func (Trilu) Name() string { return "Trilu" }

// Infer returns the argument's type.
func (t Trilu) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if len(args[0].Shape) < 2 {
		return nil, fmt.Errorf("shape %s has no triangle", args[0].Shape)
	}
	return []Type{args[0]}, nil
}

// Grad implements Differentiable.
func (t Trilu) Grad(b *Builder, _ *Node, dy []*Value) []*Value {
	return []*Value{b.apply(t, dy[0])}
}

// axes returns the numbers of all axes of s.
func axes(s Shape) []int {
	out := make([]int, len(s))
	for i := range out {
		out[i] = i
	}
	return out
}

// reduceTo sums x over the axes along which a tensor of shape s was broadcast
// into x's shape.
func (b *Builder) reduceTo(x *Value, s Shape) *Value {
	if x == nil || x.Shape.Equal(s) {
		return x
	}
	lead := len(x.Shape) - len(s)
	var sum []int
	inner := false
	for i, d := range x.Shape {
		switch {
		case i < lead:
			sum = append(sum, i)
		case s[i-lead].Is(1) && !d.Is(1):
			sum, inner = append(sum, i), true
		}
	}
	if len(sum) == 0 {
		return x
	}
	if !inner {
		return b.ReduceSum(x, false, sum...)
	}
	x = b.ReduceSum(x, true, sum...)
	if lead == 0 {
		return x
	}
	return b.Reshape(x, s...)
}

// expand broadcasts x into s.
func (b *Builder) expand(x *Value, s Shape) *Value {
	if x.Shape.Equal(s) {
		return x
	}
	return b.Expand(x, s...)
}
