package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// ReduceKind selects what Reduce computes.
type ReduceKind uint8

// The kinds of Reduce.
const (
	ReduceSum ReduceKind = iota
	ReduceMean
	ReduceMax
	ReduceMin
)

var reduceNames = [...]string{ReduceSum: "ReduceSum", ReduceMean: "ReduceMean", ReduceMax: "ReduceMax", ReduceMin: "ReduceMin"}

// Reduce is the sum, mean, largest or smallest element over the axes, which are
// ascending. With KeepDims a reduced axis keeps size 1. Integers have no mean; their
// sum wraps to the element type.
type Reduce struct {
	Kind     ReduceKind `attr:"-"`
	Axes     []int
	KeepDims bool `attr:"keepdims"`
}

// Name returns "ReduceSum" and so on.
func (r Reduce) Name() string {
	if int(r.Kind) < len(reduceNames) {
		return reduceNames[r.Kind]
	}
	return "unknown"
}

// Infer drops the axes, or gives them size 1.
func (r Reduce) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if int(r.Kind) >= len(reduceNames) {
		return nil, errors.New("there is no such reduction")
	}
	s := args[0].Shape
	var out Shape
	next := 0
	for _, axis := range r.Axes {
		if err := expectAxis(axis, s); err != nil || axis < next {
			return nil, fmt.Errorf("axes %v of %s are not ascending or not there", r.Axes, s)
		}
		out = append(out, s[next:axis]...)
		if r.KeepDims {
			out = append(out, N(1))
		}
		next = axis + 1
	}
	if len(r.Axes) == 0 {
		return nil, errors.New("no axes to reduce")
	}
	if out = append(out, s[next:]...); r.Kind == ReduceMean {
		return one(args[0].DType, out), expectFloat(args...)
	}
	return one(args[0].DType, out), expectNumbers(args[0])
}

// kept returns the shape of the reduction of s with KeepDims.
func (r Reduce) kept(s Shape) Shape {
	for _, axis := range r.Axes {
		s = s.with(axis, N(1))
	}
	return s
}

// Grad implements Differentiable. Elements that share an extreme share its
// gradient evenly, as in PyTorch's amax.
func (r Reduce) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x := n.Args[0]
	kept := r.kept(x.Shape)
	d := b.Reshape(dy[0], kept...)
	switch r.Kind {
	case ReduceMean:
		d = b.divideByLength(d, x.Shape, r.Axes)
	case ReduceMax, ReduceMin:
		extreme := b.Where(b.Equal(x, b.Reshape(n.Results[0], kept...)), b.like(x, 1), b.like(x, 0))
		return []*Value{b.Mul(b.Div(extreme, b.ReduceSum(extreme, true, r.Axes...)), d)}
	}
	return []*Value{b.expand(d, x.Shape)}
}

// divideByLength divides d by the number of elements of s along the axes. A
// length with a name is computed when the graph runs.
func (b *Builder) divideByLength(d *Value, s Shape, over []int) *Value {
	length := N(1)
	ones := make(Shape, len(s))
	for i := range s {
		ones[i] = N(1)
		if slices.Contains(over, i) {
			length, ones[i] = length.Mul(s[i]), s[i]
		}
	}
	if n, ok := length.Number(); ok {
		return b.Mul(d, b.like(d, 1/float64(n)))
	}
	return b.Div(d, b.ReduceSum(b.ConstantOfShape(1, ones...), true, over...))
}

// ArgMax is the position of the largest element along the axis, the first of
// several. With KeepDims the axis keeps size 1.
type ArgMax struct {
	Axis     int
	KeepDims bool `attr:"keepdims"`
}

// Name returns "ArgMax".
func (ArgMax) Name() string { return "ArgMax" }

// Infer returns int64 without the axis.
func (a ArgMax) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	s := args[0].Shape
	if err := expectAxis(a.Axis, s); err != nil {
		return nil, err
	}
	if a.KeepDims {
		return one(format.Int64, s.with(a.Axis, N(1))), expectFloat(args...)
	}
	return one(format.Int64, slices.Delete(slices.Clone(s), a.Axis, a.Axis+1)), expectFloat(args...)
}

// CumSum is the sum of the elements up to each one along the axis. Exclusive
// leaves out the element itself; Reverse sums from the end.
type CumSum struct {
	Axis      int
	Exclusive bool
	Reverse   bool
}

// Name returns "CumSum".
func (CumSum) Name() string { return "CumSum" }

// Infer returns the argument's type.
func (c CumSum) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if err := expectAxis(c.Axis, args[0].Shape); err != nil {
		return nil, err
	}
	return []Type{args[0]}, expectNumbers(args[0])
}

// Grad implements Differentiable.
func (c CumSum) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{b.apply(CumSum{c.Axis, c.Exclusive, !c.Reverse}, dy[0])}
}
