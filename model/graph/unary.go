package graph

import (
	"errors"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Unary is an elementwise function of one argument. The functions are in one
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
	Tan
	Asin
	Acos
	Atan
	Sinh
	Cosh
	Asinh
	Acosh
	Atanh
	IsNaN
	BitwiseNot
	unaries
)

// unaryRow defines a function of one argument: on numbers (f, and i for
// integers), or from a number to a truth value (truth).
type unaryRow struct {
	name  string
	f     func(x float64) float64
	i     func(x int64) int64 // for signed integers; BitwiseNot for all. The oracle wraps the result to the element type
	truth func(x float64) bool
	// slope is dy/dx for y = f(x), for engines that differentiate on their own; nil
	// if the derivative is 0 or undefined.
	slope func(x, y float64) float64
	// grad records dx for y = f(x) and dy.
	grad func(b *Builder, x, y, dy *Value) *Value
	any  bool // accepts every element type, not only floating-point types
}

// noGrad is the gradient of a function that is constant almost everywhere.
func noGrad(*Builder, *Value, *Value, *Value) *Value { return nil }

// Flat reports whether the derivative of an operator is 0 wherever it has one, as of a
// rounding. No gradient passes through it.
func Flat(op Op) bool { return op == Sign || op == Floor || op == Ceil || op == Round }

var unaryTable = [unaries]unaryRow{
	Neg: {name: "Neg", f: func(x float64) float64 { return -x }, i: func(x int64) int64 { return -x },
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
	Relu: {name: "Relu", f: func(x float64) float64 { return max(x, 0) }, i: func(x int64) int64 { return max(x, 0) },
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
	Abs: {name: "Abs", f: math.Abs, i: func(x int64) int64 { return max(x, -x) },
		slope: func(x, _ float64) float64 { return sign(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Mul(dy, b.Sign(x)) }},
	Sign:  {name: "Sign", f: sign, i: func(x int64) int64 { return min(max(x, -1), 1) }, grad: noGrad},
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
	Tan: {name: "Tan", f: math.Tan,
		slope: func(_, y float64) float64 { return 1 + y*y },
		grad:  func(b *Builder, _, y, dy *Value) *Value { return b.Add(dy, b.Mul(dy, b.Mul(y, y))) }},
	Asin: {name: "Asin", f: math.Asin,
		slope: func(x, _ float64) float64 { return 1 / math.Sqrt(1-x*x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Div(dy, b.Sqrt(b.oneLessSquare(x))) }},
	Acos: {name: "Acos", f: math.Acos,
		slope: func(x, _ float64) float64 { return -1 / math.Sqrt(1-x*x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Neg(b.Div(dy, b.Sqrt(b.oneLessSquare(x)))) }},
	Atan: {name: "Atan", f: math.Atan,
		slope: func(x, _ float64) float64 { return 1 / (1 + x*x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Div(dy, b.Add(b.like(x, 1), b.Mul(x, x))) }},
	Sinh: {name: "Sinh", f: math.Sinh,
		slope: func(x, _ float64) float64 { return math.Cosh(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Mul(dy, b.apply(Cosh, x)) }},
	Cosh: {name: "Cosh", f: math.Cosh,
		slope: func(x, _ float64) float64 { return math.Sinh(x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Mul(dy, b.apply(Sinh, x)) }},
	Asinh: {name: "Asinh", f: math.Asinh,
		slope: func(x, _ float64) float64 { return 1 / math.Sqrt(x*x+1) },
		grad: func(b *Builder, x, _, dy *Value) *Value {
			return b.Div(dy, b.Sqrt(b.Add(b.Mul(x, x), b.like(x, 1))))
		}},
	Acosh: {name: "Acosh", f: math.Acosh,
		slope: func(x, _ float64) float64 { return 1 / math.Sqrt(x*x-1) },
		grad: func(b *Builder, x, _, dy *Value) *Value {
			return b.Div(dy, b.Sqrt(b.Sub(b.Mul(x, x), b.like(x, 1))))
		}},
	Atanh: {name: "Atanh", f: math.Atanh,
		slope: func(x, _ float64) float64 { return 1 / (1 - x*x) },
		grad:  func(b *Builder, x, _, dy *Value) *Value { return b.Div(dy, b.oneLessSquare(x)) }},
	IsNaN:      {name: "IsNaN", truth: math.IsNaN, grad: noGrad},
	BitwiseNot: {name: "BitwiseNot", i: func(x int64) int64 { return ^x }, grad: noGrad},
}

// oneLessSquare returns 1 - x².
func (b *Builder) oneLessSquare(x *Value) *Value { return b.Sub(b.like(x, 1), b.Mul(x, x)) }

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
	return x // zero or NaN
}

func (u Unary) row() unaryRow {
	if u < unaries {
		return unaryTable[u]
	}
	return unaryRow{name: "unknown"}
}

// Name returns the function's name in ONNX.
func (u Unary) Name() string { return u.row().name }

// Float returns the function on floating-point numbers, nil if there is none or
// if its result is a truth value.
func (u Unary) Float() func(x float64) float64 { return u.row().f }

// Int returns the function on integers, nil if there is none. Evaluators wrap
// its result to the element type.
func (u Unary) Int() func(x int64) int64 { return u.row().i }

// Truth returns the function from a floating-point number to a truth value, nil
// if there is none.
func (u Unary) Truth() func(x float64) bool { return u.row().truth }

// Slope returns dy/dx for y = f(x), nil if it is 0 wherever it exists.
func (u Unary) Slope() func(x, y float64) float64 { return u.row().slope }

// Infer returns the type of the argument, or BOOL in its shape.
func (u Unary) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	row, t := u.row(), args[0]
	bits, signed := t.DType.Integer()
	switch {
	case u >= unaries:
		return nil, errors.New("there is no such function")
	case row.any, u == Not && t.DType == format.Bool, row.f != nil && t.DType.Float(), row.i != nil && bits > 0 && (signed || u == BitwiseNot):
		return []Type{t}, nil
	case row.truth != nil && t.DType.Float():
		return one(format.Bool, t.Shape), nil
	}
	return nil, fmt.Errorf("its argument is %s, expected %s", t.DType, row.expected())
}

// expected names the element types of the argument.
func (r unaryRow) expected() string {
	switch {
	case r.i != nil && r.f != nil:
		return "numbers with a sign"
	case r.i != nil:
		return "integers"
	case r.f != nil || r.truth != nil:
		return "a floating-point type"
	}
	return "BOOL"
}

// Grad implements Differentiable.
func (u Unary) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{u.row().grad(b, n.Args[0], n.Results[0], dy[0])}
}
