package read

import (
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

func dataType(t int) onnx.DataType { return onnx.DataType(t) }

func truth(yes bool) graph.Dim {
	if yes {
		return graph.N(1)
	}
	return graph.N(0)
}

// signOf returns -1, 0 or 1 if d has that sign for all non-negative sizes of its
// names.
func signOf(d graph.Dim) (sign int, known bool) {
	minus := d.Mul(graph.N(-1))
	switch n, number := d.Number(); {
	case number && n == 0:
		return 0, true
	case d.NonNegative() && constantOf(d) > 0:
		return 1, true
	case minus.NonNegative() && constantOf(minus) > 0:
		return -1, true
	}
	return 0, false
}

// constantOf returns the constant term of d.
func constantOf(d graph.Dim) int {
	terms := d.Terms()
	if last := terms[len(terms)-1]; len(last.Symbols) == 0 {
		return last.Coefficient
	}
	return 0
}

// wrapped returns e with its numbers wrapped to the bits of its type.
func (e *elements) wrapped() *elements {
	bits, signed := e.dtype.Integer()
	if bits == 0 || bits == 64 {
		return e
	}
	for i, d := range e.ints {
		n, ok := d.Number()
		switch {
		case !ok:
		case signed:
			e.ints[i] = graph.N(n << (64 - bits) >> (64 - bits))
		default:
			e.ints[i] = graph.N(n & (1<<bits - 1))
		}
	}
	return e
}

// round sets element i to x, rounded to the type. Where float64 itself may have
// rounded x, only a float32 counts as exact.
func (e *elements) round(i int, x float64) {
	e.floats[i] = e.dtype.Round(x)
	exact := e.floats[i]
	if e.dtype == format.Float64 {
		exact = float64(float32(x))
	}
	e.rounded = e.rounded || exact != x && x == x
}

// knowUnary computes a function of known elements, nil if that is not possible.
func knowUnary(op graph.Unary, x *elements) *elements {
	if x == nil || op == graph.Identity {
		return x
	}
	out := blank(x.dtype, x.shape)
	switch f, i := op.Float(), op.Int(); {
	case x.dtype.Float() && f != nil:
		for j, v := range x.floats {
			out.round(j, f(v))
		}
		return out
	case x.dtype.Float():
		return nil
	case op == graph.Neg:
		for j, d := range x.ints {
			out.ints[j] = d.Mul(graph.N(-1))
		}
		return out.wrapped()
	case i != nil || op == graph.Not:
		numbers, ok := x.numbers()
		if _, signed := x.dtype.Integer(); !ok || i != nil && !signed {
			return nil
		}
		for j, v := range numbers {
			if op == graph.Not {
				out.ints[j] = truth(v == 0)
			} else {
				out.ints[j] = graph.N(int(i(int64(v))))
			}
		}
		return out.wrapped()
	}
	return nil
}

// knowBinary computes a function of known elements, nil if that is not
// possible.
func knowBinary(op graph.Binary, x, y *elements) *elements {
	if x == nil || y == nil || x.dtype != y.dtype {
		return nil
	}
	shape, ok := broadcastShape(x.shape, y.shape)
	if count, _ := format.Elements(shape); !ok || count > knownLimit {
		return nil
	}
	x, y = x.broadcast(shape), y.broadcast(shape)
	if x.dtype.Float() {
		return knowNumbers(op, x, y)
	}
	out := blank(x.dtype, shape)
	if op.Compare() != nil || op.Logic() != nil {
		out.dtype = format.Bool
	}
	for i := range out.ints {
		if out.ints[i], ok = dimArithmetic(op, x.ints[i], y.ints[i]); !ok || !out.ints[i].Valid() {
			return nil
		}
	}
	return out.wrapped()
}

// knowNumbers computes a function of floating-point numbers.
func knowNumbers(op graph.Binary, x, y *elements) *elements {
	if compare := op.Compare(); compare != nil {
		out := blank(format.Bool, x.shape)
		for i, v := range x.floats {
			w := y.floats[i]
			order := 0
			switch {
			case v < w:
				order = -1
			case v > w:
				order = 1
			}
			out.ints[i] = truth(compare(order, v == v && w == w))
		}
		return out
	}
	f := op.Float()
	if f == nil {
		return nil
	}
	out := blank(x.dtype, x.shape)
	for i, v := range x.floats {
		out.round(i, f(v, y.floats[i]))
	}
	return out
}

// dimArithmetic computes a function of two integers, which may be polynomials; ok
// is false if the result is not a polynomial.
func dimArithmetic(op graph.Binary, x, y graph.Dim) (z graph.Dim, ok bool) {
	a, known := x.Number()
	b, fixed := y.Number()
	if logic := op.Logic(); logic != nil && op.Compare() == nil {
		return truth(logic(a != 0, b != 0)), known && fixed
	}
	if compare := op.Compare(); compare != nil {
		if op == graph.GreaterOrEqual && x.Sub(y).NonNegative() || op == graph.LessOrEqual && y.Sub(x).NonNegative() {
			return truth(true), true
		}
		s, ok := signOf(x.Sub(y))
		return truth(compare(s, true)), ok
	}
	if known && fixed && b == -1 && (a == math.MinInt32 || a == math.MinInt64) && (op == graph.Div || op == graph.Mod) {
		return z, false // it stays a node, which whoever runs the file must see: the quotient is no integer of the type
	}
	if known && fixed && op.Int() != nil {
		v, err := op.Int()(int64(a), int64(b))
		return graph.N(int(v)), err == nil
	}
	switch op {
	case graph.Add:
		return x.Add(y), true
	case graph.Sub:
		return x.Sub(y), true
	case graph.Mul:
		return x.Mul(y), true
	case graph.Div:
		return x.Quotient(y)
	case graph.Mod, graph.FMod:
		_, ok := x.Quotient(y)
		return graph.N(0), ok
	case graph.Max, graph.Min:
		if op == graph.Min {
			x, y = y, x
		}
		switch {
		case x.Sub(y).NonNegative():
			return x, true
		case y.Sub(x).NonNegative():
			return y, true
		}
	}
	return z, false
}
