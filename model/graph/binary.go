package graph

import (
	"errors"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Binary is an elementwise function of two arguments, which broadcast to one
// another as in ONNX. The functions are in one table: a new one is a row.
type Binary uint8

// The functions of two arguments.
const (
	Add Binary = iota
	Sub
	Mul
	Div
	Pow
	Max
	Min
	Equal
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	And
	Or
	Xor
	Mod  // with the sign of the second: Python's %
	FMod // with the sign of the first: C's fmod
	BitwiseAnd
	BitwiseOr
	BitwiseXor
	ShiftLeft
	ShiftRight
	binaries
)

// binaryRow defines a function of two arguments: from numbers to a number (f,
// and i for integers), from numbers to a truth value (compare), or on truth
// values (logic).
type binaryRow struct {
	name    string
	f       func(x, y float64) float64
	i       func(x, y int64) (int64, error)    // the oracle wraps the result to the element type
	u       func(x, y uint64) (uint64, error)  // for UINT64, if it differs from i
	compare func(order int, ordered bool) bool // order of x and y; ordered is false if one is NaN
	logic   func(x, y bool) bool
	// slopes are dz/dx and dz/dy where z = f(x, y).
	slopes func(x, y, z float64) (dx, dy float64)
	// grad records dx and dy for z = f(x, y) and dz, in z's shape. With minus the
	// second is -dy, which is negated after it is summed to y's shape.
	grad  func(b *Builder, x, y, z, dz *Value) (dx, dy *Value)
	minus bool
}

func whole(f func(x, y int64) int64) func(x, y int64) (int64, error) {
	return func(x, y int64) (int64, error) { return f(x, y), nil }
}

var binaryTable = [binaries]binaryRow{
	Add: {name: "Add",
		f:      func(x, y float64) float64 { return x + y },
		i:      whole(func(x, y int64) int64 { return x + y }),
		slopes: func(_, _, _ float64) (float64, float64) { return 1, 1 },
		grad:   func(_ *Builder, _, _, _, dz *Value) (*Value, *Value) { return dz, dz }},
	Sub: {name: "Sub",
		f:      func(x, y float64) float64 { return x - y },
		i:      whole(func(x, y int64) int64 { return x - y }),
		slopes: func(_, _, _ float64) (float64, float64) { return 1, -1 },
		minus:  true,
		grad:   func(_ *Builder, _, _, _, dz *Value) (*Value, *Value) { return dz, dz }},
	Mul: {name: "Mul",
		f:      func(x, y float64) float64 { return x * y },
		i:      whole(func(x, y int64) int64 { return x * y }),
		slopes: func(x, y, _ float64) (float64, float64) { return y, x },
		grad:   func(b *Builder, x, y, _, dz *Value) (*Value, *Value) { return b.Mul(dz, y), b.Mul(dz, x) }},
	Div: {name: "Div",
		f: func(x, y float64) float64 { return x / y },
		i: func(x, y int64) (int64, error) {
			if y == 0 {
				return 0, errDivision
			}
			return x / y, nil
		},
		u: func(x, y uint64) (uint64, error) {
			if y == 0 {
				return 0, errDivision
			}
			return x / y, nil
		},
		slopes: func(_, y, z float64) (float64, float64) { return 1 / y, -z / y },
		minus:  true,
		grad: func(b *Builder, _, y, z, dz *Value) (*Value, *Value) {
			dx := b.Div(dz, y)
			return dx, b.Mul(dx, z)
		}},
	Pow: {name: "Pow", f: math.Pow, i: power,
		slopes: func(x, y, z float64) (dx, dy float64) {
			if y != 0 {
				dx = y * math.Pow(x, y-1)
			}
			if x != 0 || y < 0 {
				dy = z * math.Log(x)
			}
			return dx, dy
		},
		grad: powerGrad},
	Max: {name: "Max", f: largest,
		i:      whole(func(x, y int64) int64 { return max(x, y) }),
		u:      func(x, y uint64) (uint64, error) { return max(x, y), nil },
		slopes: func(x, y, _ float64) (float64, float64) { return share(x > y, x == y), share(y > x, x == y) },
		grad: func(b *Builder, x, y, _, dz *Value) (*Value, *Value) {
			return b.shares(dz, x, y, b.Greater(x, y))
		}},
	Min: {name: "Min", f: func(x, y float64) float64 { return -largest(-x, -y) },
		i:      whole(func(x, y int64) int64 { return min(x, y) }),
		u:      func(x, y uint64) (uint64, error) { return min(x, y), nil },
		slopes: func(x, y, _ float64) (float64, float64) { return share(x < y, x == y), share(y < x, x == y) },
		grad: func(b *Builder, x, y, _, dz *Value) (*Value, *Value) {
			return b.shares(dz, x, y, b.Less(x, y))
		}},
	Equal:          {name: "Equal", compare: func(o int, ok bool) bool { return ok && o == 0 }, logic: func(x, y bool) bool { return x == y }},
	Less:           {name: "Less", compare: func(o int, ok bool) bool { return ok && o < 0 }},
	LessOrEqual:    {name: "LessOrEqual", compare: func(o int, ok bool) bool { return ok && o <= 0 }},
	Greater:        {name: "Greater", compare: func(o int, ok bool) bool { return ok && o > 0 }},
	GreaterOrEqual: {name: "GreaterOrEqual", compare: func(o int, ok bool) bool { return ok && o >= 0 }},
	And:            {name: "And", logic: func(x, y bool) bool { return x && y }},
	Or:             {name: "Or", logic: func(x, y bool) bool { return x || y }},
	Xor:            {name: "Xor", logic: func(x, y bool) bool { return x != y }},
	Mod: {name: "Mod", f: floored, i: func(x, y int64) (int64, error) {
		z, err := remainder(x, y)
		if z != 0 && (z < 0) != (y < 0) {
			z += y
		}
		return z, err
	}, u: remainder[uint64], slopes: remainderSlopes, grad: remainderGrad},
	FMod:       {name: "FMod", f: math.Mod, i: remainder[int64], u: remainder[uint64], slopes: remainderSlopes, grad: remainderGrad},
	BitwiseAnd: {name: "BitwiseAnd", i: whole(func(x, y int64) int64 { return x & y })},
	BitwiseOr:  {name: "BitwiseOr", i: whole(func(x, y int64) int64 { return x | y })},
	BitwiseXor: {name: "BitwiseXor", i: whole(func(x, y int64) int64 { return x ^ y })},
	ShiftLeft:  {name: "ShiftLeft", i: whole(func(x, y int64) int64 { return x << uint64(y) })},
	ShiftRight: {name: "ShiftRight", i: whole(func(x, y int64) int64 { return x >> uint64(y) }),
		u: func(x, y uint64) (uint64, error) { return x >> y, nil }},
}

var errDivision = errors.New("an integer is divided by zero")

// floored is the remainder with the sign of y, for zero too.
func floored(x, y float64) float64 {
	z := math.Mod(x, y)
	switch {
	case z == 0:
		return math.Copysign(0, y)
	case (z < 0) != (y < 0):
		return z + y
	}
	return z
}

// remainder has the sign of x.
func remainder[T int64 | uint64](x, y T) (T, error) {
	if y == 0 {
		return 0, errDivision
	}
	return x % y, nil
}

// remainderSlopes are those of z = x - q·y, whose quotient q is a whole number.
func remainderSlopes(x, y, z float64) (dx, dy float64) { return 1, (z - x) / y }

func remainderGrad(b *Builder, x, y, z, dz *Value) (dx, dy *Value) {
	return dz, b.Mul(dz, b.Div(b.Sub(z, x), y))
}

// powerGrad records the derivatives of z = x to the y. As in PyTorch, the
// derivative by x is 0 if y is 0, and the derivative by y is 0 if x is 0 and y
// is not negative: there the formulas multiply 0 by infinity.
func powerGrad(b *Builder, x, y, z, dz *Value) (dx, dy *Value) {
	zero := b.like(dz, 0)
	dx = b.Mul(dz, b.Mul(y, b.Pow(x, b.Sub(y, b.like(y, 1)))))
	dy = b.Mul(dz, b.Mul(z, b.Log(x)))
	flat := b.And(b.Equal(x, zero), b.GreaterOrEqual(y, zero))
	return b.Where(b.Equal(y, zero), zero, dx), b.Where(flat, zero, dy)
}

// largest is max(x, y), NaN if one of them is.
func largest(x, y float64) float64 { return max(x, y) }

// share is the share of a gradient that one of two arguments gets: half if they
// are equal, as in PyTorch.
func share(chosen, equal bool) float64 {
	switch {
	case chosen:
		return 1
	case equal:
		return 0.5
	}
	return 0
}

// shares splits dz between x, where chosen holds, and y: evenly if they are
// equal.
func (b *Builder) shares(dz, x, y, chosen *Value) (dx, dy *Value) {
	equal, zero := b.Equal(x, y), b.like(dz, 0)
	half := b.Mul(dz, b.like(dz, 0.5))
	return b.Where(equal, half, b.Where(chosen, dz, zero)), b.Where(equal, half, b.Where(chosen, zero, dz))
}

// power is x to the y for integers.
func power(x, y int64) (int64, error) {
	switch {
	case y >= 0:
	case x == 1:
		return 1, nil
	case x == -1:
		return 1 - 2*(y&1), nil
	case x == 0:
		return 0, errors.New("zero to a negative power")
	default:
		return 0, nil
	}
	z := int64(1)
	for ; y > 0; y >>= 1 {
		if y&1 == 1 {
			z *= x
		}
		x *= x
	}
	return z, nil
}

func (f Binary) row() binaryRow {
	if f < binaries {
		return binaryTable[f]
	}
	return binaryRow{name: "unknown"}
}

// Name returns the function's name in ONNX.
func (f Binary) Name() string { return f.row().name }

// Float returns the function on floating-point numbers, nil if its result is a
// truth value.
func (f Binary) Float() func(x, y float64) float64 { return f.row().f }

// Int returns the function on integers, nil if its result is a truth value.
func (f Binary) Int() func(x, y int64) (int64, error) { return f.row().i }

// Uint returns the function on UINT64, nil if it is the same as on other
// integers.
func (f Binary) Uint() func(x, y uint64) (uint64, error) { return f.row().u }

// Compare returns the comparison as a function of the order of x and y
// (negative: x < y), nil if f is not a comparison. ordered is false if one of
// them is NaN.
func (f Binary) Compare() func(order int, ordered bool) bool { return f.row().compare }

// Logic returns the function on truth values, nil if there is none.
func (f Binary) Logic() func(x, y bool) bool { return f.row().logic }

// Slopes returns dz/dx and dz/dy for z = f(x, y), nil if the result is a truth
// value.
func (f Binary) Slopes() func(x, y, z float64) (dx, dy float64) { return f.row().slopes }

// Infer broadcasts the shapes.
func (f Binary) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	x, y := args[0], args[1]
	if x.DType != y.DType {
		return nil, fmt.Errorf("the first argument is %s, the second %s", x.DType, y.DType)
	}
	shape, err := broadcast(x.Shape, y.Shape)
	if err != nil {
		return nil, err
	}
	row := f.row()
	bits, _ := x.DType.Integer()
	switch number := x.DType.Float() || bits > 0; {
	case row.f != nil && x.DType.Float(), row.i != nil && bits > 0:
		return one(x.DType, shape), nil
	case row.compare != nil && number, row.logic != nil && x.DType == format.Bool:
		return one(format.Bool, shape), nil
	}
	return nil, fmt.Errorf("its arguments are %s", x.DType)
}

// Grad implements Differentiable.
func (f Binary) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	row := f.row()
	if row.grad == nil { // truth values and integers, which no derivative reaches
		b.noGradient(n)
		return []*Value{nil, nil}
	}
	x, y := n.Args[0], n.Args[1]
	dx, dz := row.grad(b, x, y, n.Results[0], dy[0])
	dx, dz = b.reduceTo(dx, x.Shape), b.reduceTo(dz, y.Shape)
	if row.minus {
		dz = b.Neg(dz)
	}
	return []*Value{dx, dz}
}
