package read

import (
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// elementwiseFamily is the operators that compute each element by itself.
var elementwiseFamily = family{
	"Neg": unaryRow(graph.Neg), "Exp": unaryRow(graph.Exp), "Log": unaryRow(graph.Log), "Sqrt": unaryRow(graph.Sqrt), "Tanh": unaryRow(graph.Tanh),
	"Relu": unaryRow(graph.Relu), "Sigmoid": unaryRow(graph.Sigmoid), "Erf": unaryRow(graph.Erf), "Sin": unaryRow(graph.Sin), "Cos": unaryRow(graph.Cos),
	"Abs": unaryRow(graph.Abs), "Sign": unaryRow(graph.Sign), "Floor": unaryRow(graph.Floor), "Ceil": unaryRow(graph.Ceil), "Round": unaryRow(graph.Round),
	"Reciprocal": unaryRow(graph.Reciprocal), "Softplus": unaryRow(graph.Softplus), "Not": unaryRow(graph.Not), "Identity": identityRow(),
	"Tan": unaryRow(graph.Tan), "Asin": unaryRow(graph.Asin), "Acos": unaryRow(graph.Acos), "Atan": unaryRow(graph.Atan), "Sinh": unaryRow(graph.Sinh),
	"Cosh": unaryRow(graph.Cosh), "Asinh": unaryRow(graph.Asinh), "Acosh": unaryRow(graph.Acosh), "Atanh": unaryRow(graph.Atanh),
	"IsNaN": unaryRow(graph.IsNaN), "BitwiseNot": unaryRow(graph.BitwiseNot),

	"Add": binaryRow(graph.Add), "Sub": binaryRow(graph.Sub), "Mul": binaryRow(graph.Mul), "Div": binaryRow(graph.Div), "Equal": binaryRow(graph.Equal),
	"Less": binaryRow(graph.Less), "LessOrEqual": binaryRow(graph.LessOrEqual), "Greater": binaryRow(graph.Greater),
	"GreaterOrEqual": binaryRow(graph.GreaterOrEqual), "And": binaryRow(graph.And), "Or": binaryRow(graph.Or), "Xor": binaryRow(graph.Xor),
	"BitwiseAnd": binaryRow(graph.BitwiseAnd), "BitwiseOr": binaryRow(graph.BitwiseOr), "BitwiseXor": binaryRow(graph.BitwiseXor),
	"Mod": chosen(modulo), "BitShift": chosen(shift), "Pow": records(readPow).knows(knowPow),
	"Max": variadic(graph.Max), "Min": variadic(graph.Min), "Sum": variadic(graph.Add),

	"Where": records(readWhere).knows(knowWhere),
	"Cast":  records(readCast).knows(knowCast), "CastLike": records(readCast).knows(knowCast),
	"Mean":  records(readMean),
	"Clip":  records(readClip),
	"IsInf": records(readIsInf),

	"Elu":             records(readElu),
	"Selu":            records(readSelu),
	"Celu":            records(readCelu),
	"LeakyRelu":       records(readLeakyRelu),
	"PRelu":           records(readPRelu),
	"ThresholdedRelu": records(readThresholdedRelu),
	"HardSigmoid":     records(readHardSigmoid),
	"HardSwish":       records(readHardSwish),
	"Softsign":        records(func(n *node) *graph.Value { x := n.arg(0); return n.b.Div(x, n.b.Add(n.b.Abs(x), n.like(x, 1))) }),
	"Shrink":          records(readShrink),
	"Mish":            records(func(n *node) *graph.Value { x := n.arg(0); return n.b.Mul(x, n.b.Tanh(n.apply(graph.Softplus, x))) }),
}

// unaryRow is the row of a function of one argument.
func unaryRow(op graph.Unary) row {
	return records(func(n *node) *graph.Value {
		x := n.arg(0)
		bits, signed := x.DType.Integer()
		switch {
		case bits > 0 && !signed && op == graph.Abs:
			return x
		case bits > 0 && !signed && op == graph.Sign:
			return n.b.Cast(n.b.Cast(x, format.Bool), x.DType)
		}
		return n.apply(op, x)
	}).knows(func(n *node) *elements { return knowUnary(op, n.carried(0)) })
}

// binaryRow is the row of a function of two arguments, which broadcast.
func binaryRow(op graph.Binary) row { return chosen(func(*node) graph.Binary { return op }) }

// chosen is the row of a function of two arguments that the attributes choose.
func chosen(op func(n *node) graph.Binary) row {
	return records(func(n *node) *graph.Value {
		return n.apply(op(n), n.arg(0), n.aligned())
	}).knows(func(n *node) *elements {
		if n.version < 7 && n.isSet("axis") {
			return nil
		}
		return knowBinary(op(n), n.carried(0), n.carried(1))
	})
}

// aligned returns argument 1 in a shape that broadcasts as arithmetic did before version
// 7: with attribute "axis", its dimensions are those of argument 0 from that axis on.
func (n *node) aligned() *graph.Value {
	x, y := n.shape(0), n.arg(1)
	if n.version >= 7 {
		return y
	}
	n.pass([]string{"consumed_inputs"})
	broadcasts, axis := n.flag("broadcast", false), n.int("axis", len(x)-len(y.Shape))
	switch {
	case !broadcasts && !y.Shape.Equal(x):
		n.invalid("%s and %s without broadcasting", x, y.Shape)
	case axis < 0:
		axis += len(x)
	}
	if !broadcasts || axis+len(y.Shape) >= len(x) {
		return y
	}
	s := slices.Clone(y.Shape)
	for len(s) < len(x)-axis {
		s = append(s, graph.N(1))
	}
	return n.b.Reshape(y, s...)
}

// variadic is the row of a function of any number of arguments.
func variadic(op graph.Binary) row {
	return records(func(n *node) *graph.Value {
		out := n.arg(0)
		for _, x := range n.all()[1:] {
			out = n.apply(op, out, x)
		}
		return out
	}).knows(func(n *node) *elements {
		out := n.carried(0)
		for i := 1; i < len(n.args) && out != nil; i++ {
			out = knowBinary(op, out, n.carried(i))
		}
		return out
	})
}

func modulo(n *node) graph.Binary {
	if n.flag("fmod", false) {
		return graph.FMod
	}
	return graph.Mod
}

func shift(n *node) graph.Binary {
	if n.text("direction", "") == "LEFT" {
		return graph.ShiftLeft
	}
	return graph.ShiftRight
}

// readPow converts the exponent to the type of the base. If the exponent may
// have a fraction, an integer base is converted to floating point.
func readPow(n *node) *graph.Value {
	x, y := n.arg(0), n.aligned()
	switch {
	case x.DType == y.DType:
		return n.b.Pow(x, y)
	case x.DType.Float():
		return n.b.Pow(x, n.b.Cast(y, x.DType))
	case y.DType.Float():
		return n.b.Cast(n.b.Pow(n.b.Cast(x, format.Float64), n.b.Cast(y, format.Float64)), x.DType)
	}
	return n.b.Pow(x, n.b.Cast(y, x.DType))
}

func knowPow(n *node) *elements {
	x, y := n.carried(0), n.carried(1)
	if x == nil || y == nil || x.dtype != y.dtype {
		return nil
	}
	return knowBinary(graph.Pow, x, y)
}

func readWhere(n *node) *graph.Value { return n.b.Where(n.arg(0), n.arg(1), n.arg(2)) }

func knowWhere(n *node) *elements {
	c, x, y := n.carried(0), n.carried(1), n.carried(2)
	if c == nil || x == nil || y == nil {
		return nil
	}
	shape, ok := broadcastShape(c.shape, x.shape, y.shape)
	if !ok {
		return nil
	}
	truth, ok := c.numbers()
	if count, _ := format.Elements(shape); !ok || count > knownLimit {
		return nil
	}
	truth, _ = (&elements{dtype: format.Bool, shape: c.shape, ints: graph.Numbers(truth...)}).broadcast(shape).numbers()
	out, other := x.broadcast(shape), y.broadcast(shape)
	for i, t := range truth {
		switch {
		case t != 0:
		case x.dtype.Float():
			out.floats[i] = other.floats[i]
		default:
			out.ints[i] = other.ints[i]
		}
	}
	return out
}

// castTo returns the target type of a Cast or CastLike.
func castTo(n *node) format.DType {
	if n.onnx.Op == "CastLike" {
		return n.dtype(1)
	}
	n.require("to")
	t, err := elementType(dataType(n.int("to", 0)))
	if err != nil {
		n.refuse("%v", err)
	}
	return t
}

func readCast(n *node) *graph.Value {
	to := castTo(n)
	mode := n.text("round_mode", "up")
	saturate := n.flag("saturate", true) && to.Float() && to.Size() == 1
	x := n.arg(0)
	if x.DType == to {
		return x
	}
	if to == format.Float8E8M0 {
		return n.apply(graph.PowerOfTwo{Mode: mode, Saturate: saturate}, x)
	}
	if bits, signed := to.Integer(); bits > 0 && bits < 8 && x.DType.Float() && n.version < 24 {
		x = n.clipped(x, bits, signed) // later versions wrap, in ONNX's own tests
	}
	return n.apply(graph.Cast{To: to, Saturate: saturate}, x)
}

// clipped returns x within the range of an integer type.
func (n *node) clipped(x *graph.Value, bits int, signed bool) *graph.Value {
	least, most := 0.0, math.Ldexp(1, bits)-1
	if signed {
		least, most = -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)-1
	}
	return n.b.Min(n.b.Max(x, n.like(x, least)), n.like(x, most))
}

func knowCast(n *node) *elements {
	e, to := n.carried(0), castTo(n)
	n.pass([]string{"saturate", "round_mode"})
	if e == nil || to.Size() < 4 && to != format.Bool {
		return nil
	}
	out := blank(to, e.shape)
	switch {
	case e.dtype.Float() && to.Float():
		for i, x := range e.floats {
			out.floats[i] = to.Round(x)
		}
	case e.dtype.Float():
		for i, x := range e.floats {
			if !(math.Abs(x) < 1<<53) {
				return nil
			}
			out.ints[i] = graph.N(int(x))
			if to == format.Bool {
				out.ints[i] = truth(x != 0)
			}
		}
		return out.wrapped()
	case to.Float():
		n, ok := e.numbers()
		if !ok {
			return nil
		}
		for i, x := range n {
			out.floats[i] = to.Round(float64(x))
		}
	case to == format.Bool:
		for i, d := range e.ints {
			s, known := signOf(d)
			if !known {
				return nil
			}
			out.ints[i] = truth(s != 0)
		}
	default:
		copy(out.ints, e.ints)
		return out.wrapped()
	}
	return out
}

func readMean(n *node) *graph.Value {
	sum := n.arg(0)
	for _, x := range n.all()[1:] {
		sum = n.b.Add(sum, x)
	}
	return n.b.Div(sum, n.like(sum, float64(len(n.args))))
}

func readClip(n *node) *graph.Value {
	x := n.arg(0)
	least, most := n.optional(1), n.optional(2)
	if n.version < 11 {
		if n.isSet("min") {
			least = n.like(x, n.float("min", 0))
		}
		if n.isSet("max") {
			most = n.like(x, n.float("max", 0))
		}
	}
	if least != nil {
		x = n.b.Max(x, least)
	}
	if most != nil {
		x = n.b.Min(x, most)
	}
	return x
}

func readIsInf(n *node) *graph.Value {
	x := n.arg(0)
	above, below := n.b.Equal(x, n.like(x, math.Inf(1))), n.b.Equal(x, n.like(x, math.Inf(-1)))
	switch up, down := n.flag("detect_positive", true), n.flag("detect_negative", true); {
	case up && down:
		return n.b.Or(above, below)
	case up:
		return above
	case down:
		return below
	}
	return n.b.And(above, below)
}

func readElu(n *node) *graph.Value {
	x := n.arg(0)
	curve := n.b.Mul(n.like(x, n.float("alpha", 1)), n.b.Sub(n.b.Exp(x), n.like(x, 1)))
	return n.b.Where(n.b.Less(x, n.like(x, 0)), curve, x)
}

// Selu's defaults are arXiv:1706.02515's constants, as float32.
func readSelu(n *node) *graph.Value {
	x := n.arg(0)
	alpha, gamma := n.float("alpha", float64(float32(1.67326319217681884765625))), n.float("gamma", float64(float32(1.05070102214813232421875)))
	curve := n.b.Mul(n.like(x, alpha), n.b.Sub(n.b.Exp(x), n.like(x, 1)))
	return n.b.Mul(n.like(x, gamma), n.b.Where(n.b.Greater(x, n.like(x, 0)), x, curve))
}

func readCelu(n *node) *graph.Value {
	x, alpha := n.arg(0), n.float("alpha", 1)
	curve := n.b.Mul(n.like(x, alpha), n.b.Sub(n.b.Exp(n.b.Div(x, n.like(x, alpha))), n.like(x, 1)))
	return n.b.Where(n.b.Less(x, n.like(x, 0)), curve, x) // Elu's form, which it is with alpha 1
}

func readLeakyRelu(n *node) *graph.Value {
	x := n.arg(0)
	return n.b.Where(n.b.Less(x, n.like(x, 0)), n.b.Mul(x, n.like(x, n.float("alpha", float64(float32(0.01))))), x)
}

// readPRelu has one slope per channel before version 7.
func readPRelu(n *node) *graph.Value {
	n.pass([]string{"consumed_inputs"})
	x, slope := n.arg(0), n.arg(1)
	if n.version < 7 && len(slope.Shape) == 1 && !slope.Shape[0].Is(1) {
		slope = n.perChannel(slope, len(x.Shape))
	}
	return n.b.Where(n.b.Less(x, n.like(x, 0)), n.b.Mul(x, slope), x)
}

func readThresholdedRelu(n *node) *graph.Value {
	x := n.arg(0)
	return n.b.Where(n.b.Greater(x, n.like(x, n.float("alpha", 1))), x, n.like(x, 0))
}

func (n *node) hardSigmoid(x *graph.Value, alpha, beta float64) *graph.Value {
	y := n.b.Add(n.b.Mul(x, n.like(x, alpha)), n.like(x, beta))
	return n.b.Max(n.b.Min(y, n.like(x, 1)), n.like(x, 0))
}

func readHardSigmoid(n *node) *graph.Value {
	return n.hardSigmoid(n.arg(0), n.float("alpha", float64(float32(0.2))), n.float("beta", 0.5))
}

func readHardSwish(n *node) *graph.Value {
	x := n.arg(0)
	return n.b.Mul(x, n.hardSigmoid(x, 1.0/6, 0.5))
}

// readShrink is x+bias below -lambd, x-bias above lambd, and 0 between.
func readShrink(n *node) *graph.Value {
	x := n.arg(0)
	bias, lambd := n.like(x, n.float("bias", 0)), n.float("lambd", 0.5)
	inner := n.b.Where(n.b.Greater(x, n.like(x, lambd)), n.b.Sub(x, bias), n.like(x, 0))
	return n.b.Where(n.b.Less(x, n.like(x, -lambd)), n.b.Add(x, bias), inner)
}
