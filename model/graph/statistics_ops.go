package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// statisticsOps are normalizations, reductions and losses that attnx's networks do not use.
var statisticsOps = []Op{ReduceProd{}, ArgMin{}, CumProd{}}

// ReduceProd is the product over the axes, which are ascending. With KeepDims a
// reduced axis keeps size 1.
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
// others. If one element is 0, only its own derivative is nonzero; if two are,
// all derivatives are 0.
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

// ArgMin is the position of the smallest element along the axis: the first of
// several, or with Last the last one. With KeepDims the axis keeps size 1.
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

// Grad implements Differentiable: a position has no derivative.
func (ArgMin) Grad(*Builder, *Node, []*Value) []*Value { return []*Value{nil} }

// CumProd is the product of the elements up to each one along the axis.
// Exclusive leaves out the element itself; Reverse multiplies from the end.
type CumProd struct {
	Axis      int
	Exclusive bool
	Reverse   bool
}

// Name returns "CumProd".
func (CumProd) Name() string { return "CumProd" }

// Infer returns the argument's type.
func (c CumProd) Infer(args []Type) ([]Type, error) { return CumSum(c).Infer(args) }

// Grad implements Differentiable: that of products of ever more elements, which also
// holds where elements are 0.
func (c CumProd) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(doubling(c), n, dy)
}

// doubling is a CumProd written as products of neighbours, of pairs, and so on.
type doubling CumProd

func (doubling) Name() string { return "CumProd" }

func (c doubling) Infer(args []Type) ([]Type, error) { return CumProd(c).Infer(args) }

// Decompose implements Composite.
func (c doubling) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	n, known := x.Shape[c.Axis].Number()
	if !known {
		b.fail("graph: the derivative of CumProd by %s: bind the named dimensions first", x.Shape)
		return []*Value{x}
	}
	shifted := func(x *Value, by int) *Value { // with ones for what is not there
		by = min(by, n)
		p := Pad{Mode: "constant", Before: make(Shape, len(x.Shape)), After: make(Shape, len(x.Shape))}
		p.Before[c.Axis], p.After[c.Axis] = N(by), N(-by)
		if c.Reverse {
			p.Before, p.After = p.After, p.Before
		}
		return b.apply(p, x, b.like(x, 1))
	}
	if c.Exclusive {
		x = shifted(x, 1)
	}
	for by := 1; by < n; by *= 2 {
		x = b.Mul(x, shifted(x, by))
	}
	return []*Value{x}
}
