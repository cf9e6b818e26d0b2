package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// quantizeFamily has the operators on quantized numbers.
var quantizeFamily = family{
	"QuantizeLinear":        records(readQuantizeLinear),
	"DequantizeLinear":      records(readDequantizeLinear),
	"DynamicQuantizeLinear": {read: func(n *node) []*graph.Value { return n.b.Apply(graph.DynamicQuantizeLinear{}, 3, n.arg(0)) }},
	"MatMulInteger":         records(readMatMulInteger),
	"QLinearMatMul":         records(readQLinearMatMul),
	"ConvInteger":           records(readConvInteger),
	"QLinearConv":           records(func(n *node) *graph.Value { return n.qLinearConv(n.arg(0)) }),
	"BitCast":               records(func(n *node) *graph.Value { return n.apply(graph.BitCast{To: n.typeOf("to")}, n.arg(0)) }),
}

// typeOf returns the element type in an attribute, Invalid if it is missing.
func (n *node) typeOf(attribute string) format.DType {
	number := n.int(attribute, 0)
	if number == 0 {
		return format.Invalid
	}
	t, err := elementType(dataType(number))
	if err != nil {
		n.refuse("%v", err)
	}
	return t
}

// scaleAxis returns the axis of the scales, and their block size.
func (n *node) scaleAxis(scale *graph.Value, rank int) (axis, block int) {
	if axis, block = n.int("axis", 1), n.int("block_size", 0); scale.Shape.Elements().Is(1) && len(scale.Shape) <= 1 {
		return 0, 0
	}
	return n.axis(axis, rank), block
}

func readQuantizeLinear(n *node) *graph.Value {
	args := []*graph.Value{n.arg(0), n.arg(1)}
	op := graph.QuantizeLinear{To: n.typeOf("output_dtype"), Precision: n.typeOf("precision")}
	if op.To == format.Invalid {
		op.To = format.Uint8
	}
	if n.has(2) {
		args = append(args, n.arg(2))
		op.To = args[2].DType
	}
	if op.Precision == format.Invalid {
		op.Precision = args[1].DType
	}
	op.Axis, op.Block = n.scaleAxis(args[1], len(args[0].Shape))
	op.Saturate = n.flag("saturate", true) && op.To.Float()
	return n.apply(op, args...)
}

func readDequantizeLinear(n *node) *graph.Value {
	args := []*graph.Value{n.arg(0), n.arg(1)}
	op := graph.DequantizeLinear{To: n.typeOf("output_dtype")}
	if op.To == format.Invalid {
		op.To = args[1].DType
	}
	if n.has(2) {
		args = append(args, n.arg(2))
	}
	op.Axis, op.Block = n.scaleAxis(args[1], len(args[0].Shape))
	return n.apply(op, args...)
}

// dequantized returns the numbers for arguments i to i+2: integers, scale and zero
// point.
func (n *node) dequantized(i int) *graph.Value {
	args := []*graph.Value{n.arg(i), n.arg(i + 1)}
	if n.has(i + 2) {
		args = append(args, n.arg(i+2))
	}
	return n.apply(graph.DequantizeLinear{To: args[1].DType}, args...)
}

// quantized quantizes x with the scale and the zero point in arguments i and
// i+1. Without a zero point the integers have type t.
func (n *node) quantized(x *graph.Value, i int, t format.DType) *graph.Value {
	args := []*graph.Value{x, n.arg(i)}
	if n.has(i + 1) {
		args = append(args, n.arg(i+1))
		t = args[2].DType
	}
	return n.apply(graph.QuantizeLinear{To: t, Precision: args[1].DType}, args...)
}

// rows returns a vector with one element per row as a column, and any other value
// unchanged.
func (n *node) rows(v *graph.Value) *graph.Value {
	switch {
	case v == nil || len(v.Shape) != 1:
		return v
	case v.Shape[0].Is(1):
		return n.b.Reshape(v)
	}
	return n.b.Reshape(v, v.Shape[0], graph.N(1))
}

// single returns a vector of one element as a scalar, and any other value
// unchanged.
func (n *node) single(v *graph.Value) *graph.Value {
	if v == nil || len(v.Shape) != 1 || !v.Shape[0].Is(1) {
		return v
	}
	return n.b.Reshape(v)
}

// centered returns integers minus their zero point, as int32.
func (n *node) centered(x, zero *graph.Value) *graph.Value {
	x = n.cast(x, format.Int32)
	if zero == nil {
		return x
	}
	return n.b.Sub(x, n.cast(zero, format.Int32))
}

// matMulInteger is the product of two int32 matrices, wrapped to 32 bits. It is
// computed in float64, which is exact below 2^53.
func (n *node) matMulInteger(x, y *graph.Value) *graph.Value {
	return n.b.Cast(n.matMul(n.b.Cast(x, format.Float64), n.b.Cast(y, format.Float64)), format.Int32)
}

func readMatMulInteger(n *node) *graph.Value {
	x := n.centered(n.arg(0), n.rows(n.optional(2)))
	return n.matMulInteger(x, n.centered(n.arg(1), n.single(n.optional(3))))
}

func readQLinearMatMul(n *node) *graph.Value {
	x := n.centered(n.arg(0), n.rows(n.arg(2)))
	sum := n.matMulInteger(x, n.centered(n.arg(3), n.single(n.arg(5))))
	return n.apply(graph.Requantize{To: n.dtype(7)}, sum, n.rows(n.arg(1)), n.single(n.arg(4)), n.rows(n.arg(6)), n.rows(n.arg(7)))
}

// filters returns a vector with one element per output channel in a shape that
// broadcasts with convolution weights, and any other value as a scalar.
func (n *node) filters(v *graph.Value, rank int) *graph.Value {
	v = n.single(v)
	if v == nil || len(v.Shape) == 0 {
		return v
	}
	s := graph.Shape{v.Shape[0]}
	for range rank - 1 {
		s = append(s, graph.N(1))
	}
	return n.b.Reshape(v, s...)
}

// convInteger is the convolution of int32 integers, wrapped to 32 bits. The
// padding is the zero point.
func (n *node) convInteger(x, w *graph.Value) *graph.Value {
	return n.b.Cast(n.conv(n.b.Cast(x, format.Float64), n.b.Cast(w, format.Float64), nil), format.Int32)
}

func readConvInteger(n *node) *graph.Value {
	w := n.arg(1)
	return n.convInteger(n.centered(n.arg(0), n.single(n.optional(2))), n.centered(w, n.filters(n.optional(3), len(w.Shape))))
}

// qLinearConv adds the bias to the products, whose scale it has.
func (n *node) qLinearConv(x *graph.Value) *graph.Value {
	w := n.arg(3)
	sum := n.convInteger(n.centered(x, n.single(n.arg(2))), n.centered(w, n.filters(n.arg(5), len(w.Shape))))
	if n.has(8) {
		sum = n.b.Add(sum, n.perChannel(n.arg(8), len(sum.Shape)))
	}
	scale := n.single(n.arg(4))
	if len(scale.Shape) == 1 {
		scale = n.perChannel(scale, len(sum.Shape))
	}
	return n.apply(graph.Requantize{To: n.dtype(7)}, sum, n.single(n.arg(1)), scale, n.single(n.arg(6)), n.single(n.arg(7)))
}
