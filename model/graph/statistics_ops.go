package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// statisticsOps are the operators of normalizations, reductions and losses that graphs of networks do not have.
var statisticsOps = []Op{ReduceProd{}, ArgMin{}, CumProd{}}

// ReduceProd is the product over the axes, which are ascending. With KeepDims a
// reduced axis stays, with size 1.
type ReduceProd struct {
	Axes     []int
	KeepDims bool `attr:"keepdims"`
}

// Name returns "ReduceProd".
func (ReduceProd) Name() string { return "ReduceProd" }

func (r ReduceProd) sum() Reduce { return Reduce{ReduceSum, r.Axes, r.KeepDims} }

// Infer drops the axes, or gives them size 1.
func (r ReduceProd) Infer(args []Type) ([]Type, error) { return r.sum().Infer(args) }

// Grad implements Differentiable: an element's derivative is the product of the
// others. Where one is 0 only its own is not 0; where two are, all are.
func (r ReduceProd) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x := n.Args[0]
	kept := r.sum().kept(x.Shape)
	zero, one := b.like(x, 0), b.like(x, 1)
	isZero := b.Equal(x, zero)
	filled := b.Where(isZero, one, x)                                       // x's shape
	zeros := b.ReduceSum(b.Where(isZero, one, zero), true, r.Axes...)       // kept
	product := b.apply(ReduceProd{r.Axes, true}, filled)                    // kept: without the zeros
	ofZero := b.Where(b.Equal(zeros, one), product, zero)                   // kept
	ofOthers := b.Where(b.Equal(zeros, zero), b.Div(product, filled), zero) // x's shape
	return []*Value{b.Mul(b.Where(isZero, ofZero, ofOthers), b.Reshape(dy[0], kept...))}
}

// ArgMin is the place of the smallest element along the axis: the first of
// several, or the last one with Last. With KeepDims the axis stays, with size 1.
type ArgMin struct {
	Axis     int
	KeepDims bool `attr:"keepdims"`
	Last     bool `attr:"select_last_index,omitzero"`
}

// Name returns "ArgMin".
func (ArgMin) Name() string { return "ArgMin" }

// Infer returns int64 without the axis.
func (a ArgMin) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	s := args[0].Shape
	if err := expectAxis(a.Axis, s); err != nil {
		return nil, err
	}
	out := s.with(a.Axis, N(1))
	if !a.KeepDims {
		out = slices.Delete(out, a.Axis, a.Axis+1)
	}
	return one(format.Int64, out), expectNumbers(args[0])
}

// Grad implements Differentiable: a place has no derivative.
func (ArgMin) Grad(*Builder, *Node, []*Value) []*Value { return []*Value{nil} }

// CumProd is the product of the elements up to each one along the axis: without
// it if Exclusive, of those from it on if Reverse.
type CumProd struct {
	Axis      int
	Exclusive bool
	Reverse   bool
}

// Name returns "CumProd".
func (CumProd) Name() string { return "CumProd" }

// Infer returns the argument's type.
func (c CumProd) Infer(args []Type) ([]Type, error) { return CumSum(c).Infer(args) }
