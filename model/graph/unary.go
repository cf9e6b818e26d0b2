package graph

import (
	"errors"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Unary is an elementwise function of one argument. The functions are one
// table: a new one is a row.
type Unary uint8

// The functions of one argument.
const (
	Neg Unary = iota
	Exp
	Log
	Sqrt
	Tanh
	Relu
	Sigmoid
	Erf
	Sin
	Cos
	Abs
	Sign
	Floor
	Ceil
	Round
	Reciprocal
	Softplus
	Not
	Identity
	unaries
)

// unaryRow is what a function of one argument is.
type unaryRow struct {
	name string
	f    func(x float64) float64
	// slope is dy/dx where y = f(x), for engines that differentiate for
	// themselves; nil where the derivative is 0 or there is none.
	slope func(x, y float64) float64
	// grad records dx for y = f(x) and dy.
	grad func(b *Builder, x, y, dy *Value) *Value
	any  bool // of every element type, not of floating-point types alone
}

// noGrad is the gradient of a function that is constant almost everywhere.
func noGrad(*Builder, *Value, *Value, *Value) *Value { return nil }

var unaryTable = [unaries]unaryRow{
	Neg: {name: "Neg", f: func(x float64) float64 { return -x },
		slope: func(_, _ float64) float64 { return -1 },
		grad:  func(b *Builder, _, _, dy *Value) *Value { return b.Neg(dy) }},
	Exp: {name: "Exp", f: math.Exp,
		slope: func(_, y float64) float64 { return y },
		grad:  func(b *Builder, _, y, dy *Value) *Value { return b.Mul(dy, y) }},
	Log: {name: "Log", f: math.Log,
		slope: func(x, _ float64) float64 { return 1 / x },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Div(dy, x) }},
	Sqrt: {name: "Sqrt", f: math.Sqrt,
		slope: func(_, y float64) float64 { return 0.5 / y },
		grad:  func(b *Builder, _, y, dy *Value) *Value { return b.Div(b.Mul(dy, b.like(dy, 0.5)), y) }},
	Tanh: {name: "Tanh", f: math.Tanh,
		slope: func(_, y float64) float64 { return 1 - y*y },
		grad:  func(b *Builder, _, y, dy *Value) *Value { return b.Sub(dy, b.Mul(dy, b.Mul(y, y))) }},
	Relu: {name: "Relu", f: func(x float64) float64 { return max(x, 0) },
		slope: func(_, y float64) float64 {
			if y > 0 {
				return 1
			}
			return 0
		},
		grad: func(b *Builder, _, y, dy *Value) *Value {
			zero := b.like(dy, 0)
			return b.Where(b.Equal(y, zero), zero, dy)
		}},
	Sigmoid: {name: "Sigmoid", f: sigmoid,
		slope: func(_, y float64) float64 { return y * (1 - y) },
		grad:  func(b *Builder, _, y, dy *Value) *Value { return b.Mul(dy, b.Sub(y, b.Mul(y, y))) }},
	Erf: {name: "Erf", f: math.Erf,
		slope: func(x, _ float64) float64 { return 2 / math.SqrtPi * math.Exp(-x*x) },
		grad: func(b *Builder, x, _, dy *Value) *Value {
			return b.Mul(dy, b.Mul(b.Exp(b.Neg(b.Mul(x, x))), b.like(x, 2/math.SqrtPi)))
		}},
	Sin: {name: "Sin", f: math.Sin,
		slope: func(x, _ float64) float64 { return math.Cos(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Mul(dy, b.Cos(x)) }},
	Cos: {name: "Cos", f: math.Cos,
		slope: func(x, _ float64) float64 { return -math.Sin(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Neg(b.Mul(dy, b.Sin(x))) }},
	Abs: {name: "Abs", f: math.Abs,
		slope: func(x, _ float64) float64 { return sign(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Mul(dy, b.Sign(x)) }},
	Sign:  {name: "Sign", f: sign, grad: noGrad},
	Floor: {name: "Floor", f: math.Floor, grad: noGrad},
	Ceil:  {name: "Ceil", f: math.Ceil, grad: noGrad},
	Round: {name: "Round", f: math.RoundToEven, grad: noGrad},
	Reciprocal: {name: "Reciprocal", f: func(x float64) float64 { return 1 / x },
		slope: func(_, y float64) float64 { return -y * y },
		grad:  func(b *Builder, _, y, dy *Value) *Value { return b.Neg(b.Mul(dy, b.Mul(y, y))) }},
	Softplus: {name: "Softplus", f: func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) },
		slope: func(x, _ float64) float64 { return sigmoid(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Mul(dy, b.Sigmoid(x)) }},
	Not:      {name: "Not"},
	Identity: {name: "Identity", any: true, grad: func(_ *Builder, _, _, dy *Value) *Value { return dy }},
}

func sigmoid(x float64) float64 {
	if x < 0 { // exp(-x) would overflow
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // zero, or not a number
}

func (u Unary) row() unaryRow {
	if u < unaries {
		return unaryTable[u]
	}
	return unaryRow{name: "unknown"}
}

// Name returns the function's name in ONNX.
func (u Unary) Name() string { return u.row().name }

// Float returns the function on floating-point numbers, nil for Not and
// Identity.
func (u Unary) Float() func(x float64) float64 { return u.row().f }

// Slope returns dy/dx for y = f(x), nil where it is 0 wherever it exists.
func (u Unary) Slope() func(x, y float64) float64 { return u.row().slope }

// Infer returns the type of the argument.
func (u Unary) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	switch {
	case u >= unaries:
		return nil, errors.New("there is no such function")
	case u == Not && args[0].DType != format.Bool:
		return nil, fmt.Errorf("its argument is %s, expected BOOL", args[0].DType)
	case u != Not && !u.row().any:
		if err := expectFloat(args...); err != nil {
			return nil, err
		}
	}
	return []Type{args[0]}, nil
}

// Grad implements Differentiable.
func (u Unary) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{u.row().grad(b, n.Args[0], n.Results[0], dy[0])}
}
