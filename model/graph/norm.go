package graph

import (
	"fmt"
)

// LayerNormalization normalizes its first argument to mean 0 and variance 1 over
// the last axis, then multiplies by scale, the second argument, and adds bias,
// the optional third (arXiv:1607.06450). Its optional further results are the
// mean and the inverse standard deviation, (...,1).
type LayerNormalization struct{ Epsilon float64 }

// Name returns "LayerNormalization".
func (LayerNormalization) Name() string { return "LayerNormalization" }

func (LayerNormalization) required() int { return 1 }

// Infer returns the argument's type and twice (...,1).
func (l LayerNormalization) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 2, 3); err != nil {
		return nil, err
	}
	if err := normalized(l.Epsilon, args); err != nil {
		return nil, err
	}
	x := args[0]
	moment := Type{x.DType, x.Shape.with(len(x.Shape)-1, N(1))}
	return []Type{x, moment, moment}, nil
}

// normalized checks the arguments of a normalization: x, and one or more
// arguments with one number per element of its last axis.
func normalized(epsilon float64, args []Type) error {
	x := args[0].Shape
	if len(x) == 0 || !(epsilon > 0) {
		return fmt.Errorf("shape %s, epsilon %g", x, epsilon)
	}
	for _, t := range args[1:] {
		if !t.Shape.Equal(x[len(x)-1:]) {
			return fmt.Errorf("scale or bias %s for %s", t.Shape, x)
		}
	}
	return expectFloat(args...)
}

// Decompose implements Composite: (x - mean) / sqrt(variance + ε) · scale +
// bias, over the last axis.
func (l LayerNormalization) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	mean := b.Name("mean", b.ReduceMean(x, true, -1))                         // (...,1)
	d := b.Name("centered", b.Sub(x, mean))                                   // x's shape
	variance := b.Name("variance", b.ReduceMean(b.Mul(d, d), true, -1))       // (...,1)
	dev := b.Name("deviation", b.Sqrt(b.Add(variance, b.like(x, l.Epsilon)))) // (...,1)
	y := b.Mul(b.Name("normalized", b.Div(d, dev)), args[1])                  // x's shape
	if len(args) == 3 {
		y = b.Add(y, args[2])
	}
	return []*Value{y, mean, b.Reciprocal(dev)}
}

// Grad implements Differentiable. With y = n·scale + bias and n = (x - mean)·inverse
// deviation, the results that the operator has anyway, as in llm.c's and
// PyTorch's backward passes:
//
//	dx = inv·(g - mean(g) - n·mean(g·n)),  g = dy·scale
func (l LayerNormalization) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if dy[0] == nil || len(dy) > 1 && (dy[1] != nil || len(dy) > 2 && dy[2] != nil) {
		return b.gradOfDecomposition(l, n, dy)
	}
	d, x, scale := dy[0], n.Args[0], n.Args[1]
	results := b.Apply(l, 3, n.Args...)
	mean, inverse := results[1], results[2]                        // (...,1)
	norm := b.Name("normalized", b.Mul(b.Sub(x, mean), inverse))   // x's shape
	dn := b.Mul(d, norm)                                           // of scale, before the sum
	g := b.Mul(d, scale)                                           // x's shape
	inner := b.Mul(norm, b.ReduceMean(b.Mul(dn, scale), true, -1)) // x's shape
	dx := b.Mul(b.Sub(b.Sub(g, b.ReduceMean(g, true, -1)), inner), inverse)
	out := []*Value{dx, b.reduceTo(dn, scale.Shape)}
	if len(n.Args) == 3 {
		out = append(out, b.reduceTo(d, n.Args[2].Shape))
	}
	return out
}

// RMSNormalization divides its first argument by the root mean square over the
// last axis, then multiplies by scale, the second argument (arXiv:1910.07467).
type RMSNormalization struct{ Epsilon float64 }

// Name returns "RMSNormalization".
func (RMSNormalization) Name() string { return "RMSNormalization" }

// Infer returns the argument's type.
func (r RMSNormalization) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	return []Type{args[0]}, normalized(r.Epsilon, args)
}

// Decompose implements Composite: x / sqrt(mean(x²) + ε) · scale.
func (r RMSNormalization) Decompose(b *Builder, args []*Value) []*Value {
	return []*Value{b.Mul(b.Name("normalized", b.Div(args[0], b.rootMeanSquare(args[0], r.Epsilon))), args[1])}
}

// rootMeanSquare returns sqrt(mean(x²) + ε) over the last axis, (...,1).
func (b *Builder) rootMeanSquare(x *Value, epsilon float64) *Value {
	square := b.Name("mean_square", b.ReduceMean(b.Mul(x, x), true, -1))
	return b.Name("deviation", b.Sqrt(b.Add(square, b.like(x, epsilon))))
}

// Grad implements Differentiable. With y = n·scale and n = x/dev:
//
//	dx = (g - n·mean(g·n))/dev,  g = dy·scale
func (r RMSNormalization) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, scale := n.Args[0], n.Args[1]
	dev := b.rootMeanSquare(x, r.Epsilon)
	norm := b.Name("normalized", b.Div(x, dev))
	dn := b.Mul(dy[0], norm)
	inner := b.Mul(norm, b.ReduceMean(b.Mul(dn, scale), true, -1))
	dx := b.Div(b.Sub(b.Mul(dy[0], scale), inner), dev)
	return []*Value{dx, b.reduceTo(dn, scale.Shape)}
}
