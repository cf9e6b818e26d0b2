package graph

import (
	"fmt"
	"math"
)

// Gelu is the Gaussian error linear unit (arXiv:1606.08415): x·Φ(x), or with
// Approximate "tanh" the paper's tanh form, which GPT-2 uses.
type Gelu struct {
	Approximate string // "none" or "tanh"
}

// Name returns "Gelu".
func (Gelu) Name() string { return "Gelu" }

// Infer returns the argument's type.
func (g Gelu) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if g.Approximate != "none" && g.Approximate != "tanh" {
		return nil, fmt.Errorf("approximate is %.80q, expected none or tanh", g.Approximate)
	}
	return []Type{args[0]}, expectFloat(args...)
}

// The factors of the polynomial √(2/π)·x + √(2/π)·0.044715·x³, eq. 2 of
// arXiv:1606.08415.
var (
	geluLinear = math.Sqrt(2 / math.Pi)
	geluCubic  = geluLinear * 0.044715
)

// Decompose implements Composite: x times a gate that is (1 + tanh(polynomial))/2
// or (1 + erf(x/√2))/2.
func (g Gelu) Decompose(b *Builder, args []*Value) []*Value {
	_, gate := g.gate(b, args[0])
	return []*Value{b.Mul(args[0], gate)}
}

// gate returns the factor of x and, for the tanh form, x², which the gradient
// reuses.
func (g Gelu) gate(b *Builder, x *Value) (square, gate *Value) {
	var bend *Value
	if g.Approximate == "tanh" {
		square = b.Mul(x, x)
		poly := b.Add(b.Mul(square, b.like(x, geluCubic)), b.like(x, geluLinear))
		bend = b.Tanh(b.Mul(x, poly))
	} else {
		bend = b.Erf(b.Mul(x, b.like(x, math.Sqrt2/2)))
	}
	return square, b.Add(b.Mul(bend, b.like(x, 0.5)), b.like(x, 0.5))
}

// Grad implements Differentiable. The derivative of the tanh form's gate s is
// 2s(1-s)·u' with the polynomial u: dx = dy·(s + (y - y·s)·2u'). That of the
// other is the normal density: dx = dy·(s + x·φ(x)).
func (g Gelu) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, y := n.Args[0], n.Results[0]
	square, s := g.gate(b, x)
	var bend *Value
	if g.Approximate == "tanh" {
		slope := b.Add(b.Mul(square, b.like(x, 6*geluCubic)), b.like(x, 2*geluLinear)) // 2u'
		bend = b.Mul(b.Sub(y, b.Mul(y, s)), slope)
	} else {
		density := b.Exp(b.Mul(b.Mul(x, x), b.like(x, -0.5)))
		bend = b.Mul(b.Mul(x, density), b.like(x, 1/math.Sqrt(2*math.Pi)))
	}
	return []*Value{b.Mul(dy[0], b.Add(bend, s))}
}

// Swish is x·sigmoid(Alpha·x); with Alpha 1 it is SiLU (arXiv:1702.03118).
type Swish struct{ Alpha float64 }

// Name returns "Swish".
func (Swish) Name() string { return "Swish" }

// Infer returns the argument's type.
func (Swish) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	return []Type{args[0]}, expectFloat(args...)
}

// Decompose implements Composite.
func (s Swish) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	if s.Alpha == 1 {
		return []*Value{b.Mul(x, b.Sigmoid(x))}
	}
	return []*Value{b.Mul(x, b.Sigmoid(b.Mul(x, b.like(x, s.Alpha))))}
}
