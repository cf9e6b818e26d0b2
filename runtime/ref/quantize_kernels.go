package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// quantizeKernels compute quantized numbers and their products. The integer that
// a number becomes depends on every earlier rounding, so these round as ONNX
// does, where other kernels have more digits.
var quantizeKernels = []kernel{
	certain(quantizeLinear),
	certain(dequantizeLinear),
	several(func(_ graph.DynamicQuantizeLinear, c call) ([]array, error) {
		return quantizeDynamically(c.args[0]), nil
	}),
	certain(requantize),
	certain(func(_ graph.MayRound, c call) array { return c.args[0] }),
	certain(func(_ graph.Dropout, c call) array { return c.args[0] }),
	certain(roundTo8Bits),
	certain(func(op graph.PowerOfTwo, c call) array { return each(c.args[0], powerOfTwo(op.Mode, op.Saturate)) }),
	single(func(op graph.BitCast, c call) (array, error) { return bitCast(c.args[0], op.To) }),
	certain(func(op graph.UnpackBits, c call) array { return unpackBits(c.args[0], op.Bits, c.shapes[0]) }),
}

// scaleOf returns a function from the index of an element in an array of the given
// shape to the index of its scale.
func scaleOf(scale, shape []int, axis, block int) func(i int) int {
	if n, _ := format.Elements(scale); n == 1 {
		return func(int) int { return 0 }
	}
	inner, _ := format.Elements(shape[axis+1:])
	n := shape[axis]
	if block == 0 {
		return func(i int) int { return i / inner % n }
	}
	blocks := scale[axis]
	return func(i int) int {
		return (i/(inner*n)*blocks+i/inner%n/block)*inner + i%inner
	}
}

func quantizeLinear(op graph.QuantizeLinear, c call) array {
	x, scale := c.args[0], c.args[1]
	at := scaleOf(scale.shape, x.shape, op.Axis, op.Block)
	quotient := func(i int) float64 {
		round := op.Precision.Round
		return round(round(x.number(i)) / round(scale.f[at(i)]))
	}
	zero := func(i int) float64 {
		if len(c.args) < 3 {
			return 0
		}
		return c.args[2].number(at(i) % c.args[2].len())
	}
	if op.To.Float() {
		out := newArray(floats, x.shape)
		round := saturating(op.To.Round, op.To, op.Saturate)
		for i := range out.f {
			out.f[i] = round(quotient(i) + zero(i))
		}
		return out
	}
	out := newArray(ints, x.shape)
	for i := range out.i {
		out.i[i] = saturated(quotient(i), zero(i), op.To)
	}
	return out
}

// saturated returns x rounded to the nearest integer, ties to even, plus zero,
// clamped to an integer type. NaN becomes the smallest integer.
func saturated(x, zero float64, t format.DType) int64 {
	bits, signed := t.Integer()
	least, most := 0.0, math.Ldexp(1, bits)-1
	if signed {
		least, most = -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)-1
	}
	v := math.RoundToEven(x) + zero
	if !(v >= least) {
		return int64(least)
	}
	return int64(min(v, most))
}

func dequantizeLinear(op graph.DequantizeLinear, c call) array {
	x, scale := c.args[0], c.args[1]
	at := scaleOf(scale.shape, x.shape, op.Axis, op.Block)
	out := newArray(floats, x.shape)
	for i := range out.f {
		v := x.number(i)
		if len(c.args) == 3 {
			v -= c.args[2].number(at(i) % c.args[2].len())
		}
		out.f[i] = v * scale.f[at(i)]
	}
	return out
}

// quantizeDynamically returns x as UINT8, its scale and its zero point. If all
// numbers are 0, the scale is 1, as in ONNX Runtime: ONNX divides by 0.
func quantizeDynamically(x array) []array {
	round := format.Float32.Round
	least, most := 0.0, 0.0
	for _, v := range x.f {
		least, most = min(least, round(v)), max(most, round(v))
	}
	step := 1.0
	if most != least {
		step = round(round(most-least) / 255)
	}
	zero := math.RoundToEven(min(max(round(-round(least/step)), 0), 255))
	y, scale, point := newArray(ints, x.shape), newArray(floats, []int{}), newArray(ints, []int{})
	for i, v := range x.f {
		y.i[i] = saturated(round(round(v)/step), zero, format.Uint8)
	}
	scale.f[0], point.i[0] = step, int64(zero)
	return []array{y, scale, point}
}

// roundTo8Bits rounds each stretch of the axes from op.Axis on over its own range.
func roundTo8Bits(op graph.RoundTo8Bits, c call) array {
	x := c.args[0]
	out := newArray(floats, x.shape)
	width, _ := format.Elements(x.shape[op.Axis:])
	for from := 0; from < len(x.f); from += width {
		copy(out.f[from:], roundedTo8Bits(x.f[from:from+width]))
	}
	return out
}

func requantize(op graph.Requantize, c call) array {
	sum, types := c.args[0], c.args[1].dtype
	var at [5]func(i int) int
	for i, a := range c.args {
		at[i] = places(a.shape, sum.shape)
	}
	out := newArray(ints, sum.shape)
	for i := range out.i {
		a, b, y := c.args[1].f[at[1](i)], c.args[2].f[at[2](i)], c.args[3].f[at[3](i)]
		zero := 0.0
		if len(c.args) == 5 {
			zero = c.args[4].number(at[4](i))
		}
		scale := types.Round(types.Round(types.Round(a)*types.Round(b)) / types.Round(y))
		product := float64(sum.i[i]) * scale
		if types == format.Float32 { // float16 cannot represent the sums
			product = types.Round(types.Round(float64(sum.i[i])) * scale)
		}
		out.i[i] = saturated(product, zero, op.To)
	}
	return out
}

// saturating returns round, except that numbers beyond a floating-point type become
// its largest number.
func saturating(round func(float64) float64, to format.DType, saturate bool) func(float64) float64 {
	if !saturate {
		return round
	}
	largest := to.Largest()
	return func(x float64) float64 {
		if y := round(x); x != x || math.Abs(y) <= largest {
			return y
		}
		return math.Copysign(largest, x)
	}
}

// powerOfTwo returns a function that rounds a number to a power of two.
func powerOfTwo(mode string, saturate bool) func(x float64) float64 {
	const first, last = 0x1p-127, 0x1p127
	return func(x float64) float64 {
		switch {
		case x < 0 || x != x, !saturate && (x < first || x > last):
			return math.NaN()
		case x <= first:
			return first
		case x >= last:
			return last
		}
		fraction, e := math.Frexp(x) // in [1/2, 1)
		if fraction == 0.5 || mode == "down" || mode == "nearest" && fraction < 0.75 {
			e--
		}
		return math.Ldexp(1, e)
	}
}

// bitCast returns the bits of x, in its own type, as another type.
func bitCast(x array, to format.DType) (array, error) {
	t := x.tensor("")
	if x.kind == floats {
		var err error
		if t, _, err = t.Convert(x.dtype); err != nil {
			return array{}, err
		}
	}
	if to == format.Bool {
		for i, b := range t.Data {
			if b > 1 {
				return array{}, fmt.Errorf("the bits %#x at %v are no truth value", b, position(i, x.shape))
			}
		}
	}
	t.DType = to
	return fromTensor(t, to)
}

// unpackBits returns the numbers of the given bits that are packed in bytes.
func unpackBits(x array, bits int, shape []int) array {
	out := newArray(ints, shape)
	each := 8 / bits
	for i := range out.i {
		out.i[i] = x.i[i/each] >> (i % each * bits) & (1<<bits - 1)
	}
	return out
}
