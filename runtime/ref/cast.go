package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// cast converts x to another element type. A float loses its fraction, any
// nonzero value is true, and a number is rounded if a floating-point type
// cannot represent it. An integer outside the type is wrapped.
func cast(x array, op graph.Cast) (array, error) {
	to := op.To
	k, _ := kindOf(to)
	out := newArray(k, x.shape)
	switch {
	case k == bools:
		for i := range out.b {
			out.b[i] = x.kind == bools && x.b[i] || x.kind == ints && x.i[i] != 0 || x.kind == floats && x.f[i] != 0
		}
	case k == floats:
		round, largest := rounding(x.dtype, to), to.Largest()
		for i := range out.f {
			v := x.number(i)
			if out.f[i] = round(v); op.Saturate && v == v && !(math.Abs(out.f[i]) <= largest) {
				out.f[i] = math.Copysign(largest, v)
			}
		}
	case x.kind == bools:
		for i, v := range x.b {
			if v {
				out.i[i] = 1
			}
		}
	case x.kind == ints:
		copy(out.i, x.i)
	default:
		for i, v := range x.f {
			// -2^63 is a float64, but 2^63-1 is not: it would round to 2^63, which is too
			// large.
			switch {
			case v >= math.MinInt64 && v < -math.MinInt64:
				out.i[i] = int64(v)
			case math.IsInf(v, -1) && (to == format.Int64 || to == format.Int32): // the smallest integer, on every processor
				bits, _ := to.Integer()
				out.i[i] = -1 << (bits - 1)
			case to == format.Uint64 && v > 0 && v < 0x1p64:
				out.i[i] = int64(uint64(v))
			default:
				return array{}, fmt.Errorf("%g at %v does not fit in %s", v, position(i, x.shape), to)
			}
		}
	}
	return out, nil
}

// number returns element i as a float64.
func (a array) number(i int) float64 {
	switch {
	case a.kind == floats:
		return a.f[i]
	case a.kind == bools:
		if a.b[i] {
			return 1
		}
		return 0
	case a.unsigned():
		return float64(uint64(a.i[i]))
	}
	return float64(a.i[i])
}

// rounding returns the conversion of a number from one type to another. If the
// target type holds all values of the first, the number does not change: the
// oracle has more digits than either.
func rounding(from, to format.DType) func(float64) float64 {
	bits, _ := from.Integer()
	wider := from.Float() && from.Size() < to.Size() || from == to || from == format.Bool || bits > 0 && bits <= 16 && to == format.Float32
	if to == format.Float64 || wider && !(from == format.Float8E8M0 && to == format.Float16) {
		return func(x float64) float64 { return x }
	}
	return to.Round
}
