package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// microsoftQuantizedFamily has ONNX Runtime's own quantized operators. Those without
// an integer form in ONNX are computed as defined: the operator on dequantized
// numbers, with a quantized result.
var microsoftQuantizedFamily = family{
	"QuantizeLinear":   records(readQuantizeLinear),
	"DequantizeLinear": records(readDequantizeLinear),

	"QLinearAdd":     records(func(n *node) *graph.Value { return n.quantizedPair(graph.Add) }),
	"QLinearMul":     records(func(n *node) *graph.Value { return n.quantizedPair(graph.Mul) }),
	"QLinearSigmoid": quantizedRow(func(n *node, x *graph.Value) *graph.Value { return n.b.Sigmoid(x) }),
	"QLinearLeakyRelu": quantizedRow(func(n *node, x *graph.Value) *graph.Value {
		return n.b.Where(n.b.Less(x, n.like(x, 0)), n.b.Mul(x, n.like(x, n.float("alpha", float64(float32(0.01))))), x)
	}),
	"QLinearSoftmax":           quantizedRow(quantizedSoftmax),
	"QLinearReduceMean":        quantizedRow(quantizedMean),
	"QLinearAveragePool":       quantizedRow(func(n *node, x *graph.Value) *graph.Value { n.channelsFirst(); return n.averagePool(x) }),
	"QLinearGlobalAveragePool": quantizedRow(func(n *node, x *graph.Value) *graph.Value { n.channelsFirst(); return n.global(graph.ReduceMean, x) }),
	"QLinearConcat":            records(readQLinearConcat),
	"QLinearWhere":             records(readQLinearWhere),
	"QLinearConv":              records(func(n *node) *graph.Value { n.channelsFirst(); return readQLinearConv(n) }),

	"QGemm": records(readQGemm),
	"MatMulInteger16": records(func(n *node) *graph.Value {
		return n.matMulInteger(n.centered(n.arg(0), nil), n.centered(n.arg(1), nil))
	}),
	"MatMulIntegerToFloat": records(readMatMulIntegerToFloat),
	"DynamicQuantizeMatMul": records(func(n *node) *graph.Value {
		x := n.b.Apply(graph.DynamicQuantizeLinear{}, 3, n.arg(0))
		return n.scaledProduct(n.centered(x[0], x[2]), n.centered(n.arg(1), n.single(n.optional(3))), x[1], n.single(n.arg(2)), n.optional(4))
	}),
	"MatMulNBits":          records(readMatMulNBits),
	"GatherBlockQuantized": records(readGatherBlockQuantized),
}

// channelsFirst refuses images with channels as the last axis.
func (n *node) channelsFirst() {
	if n.flag("channels_last", false) {
		n.refuse("channels as the last axis")
	}
}

// quantizedRow makes the row of a function of arguments 0 to 2, integers with their
// scale and zero point. Arguments 3 and 4 are the scale and zero point of the result.
func quantizedRow(f func(n *node, x *graph.Value) *graph.Value) row {
	return records(func(n *node) *graph.Value { return n.quantized(f(n, n.dequantized(0)), 3, n.dtype(0)) })
}

// quantizedPair is a function of two quantized arguments.
func (n *node) quantizedPair(op graph.Binary) *graph.Value {
	return n.quantized(n.apply(op, n.dequantized(0), n.dequantized(3)), 6, n.dtype(0))
}

// quantizedSoftmax runs along one axis, or along all axes from it on, according
// to the opset attribute of the node.
func quantizedSoftmax(n *node, x *graph.Value) *graph.Value {
	axis := n.axis(n.int("axis", -1), len(x.Shape))
	if n.int("opset", 13) >= 13 || axis == len(x.Shape)-1 {
		return n.b.Softmax(x, axis)
	}
	rows := n.b.Reshape(x, x.Shape[:axis].Elements(), x.Shape[axis:].Elements())
	return n.b.Reshape(n.b.Softmax(rows, 1), x.Shape...)
}

func quantizedMean(n *node, x *graph.Value) *graph.Value {
	axes := n.axes(n.ints("axes"), len(x.Shape))
	if len(axes) == 0 {
		for axis := range x.Shape {
			axes = append(axes, axis)
		}
	}
	return n.b.ReduceMean(x, n.flag("keepdims", true), axes...)
}

// readQLinearConcat takes the scale and the zero point of the result first.
func readQLinearConcat(n *node) *graph.Value {
	var parts []*graph.Value
	for i := 2; i < len(n.args); i += 3 {
		parts = append(parts, n.dequantized(i))
	}
	if len(parts) == 0 {
		n.invalid("it has %d inputs", len(n.args))
	}
	n.require("axis")
	return n.quantized(n.b.Concat(n.axis(n.int("axis", 0), len(parts[0].Shape)), parts...), 0, n.dtype(2))
}

func readQLinearWhere(n *node) *graph.Value {
	return n.quantized(n.b.Where(n.arg(0), n.dequantized(1), n.dequantized(4)), 7, n.dtype(1))
}

// readQGemm is alpha·A·B + C, with C in the scale of the product. Without a scale
// for the result, the result is floating-point.
func readQGemm(n *node) *graph.Value {
	x, y := n.arg(0), n.arg(3)
	if n.flag("transA", false) {
		x = n.b.Transpose(x, 1, 0)
	}
	if n.flag("transB", false) {
		y = n.b.Transpose(y, 1, 0)
	}
	x, y = n.centered(x, n.arg(2)), n.centered(y, n.single(n.arg(5)))
	sum := n.matMulInteger(x, y)
	if n.has(6) {
		sum = n.b.Add(sum, n.arg(6))
	}
	scale, other := n.arg(1), n.single(n.arg(4))
	if alpha := n.float("alpha", 1); alpha != 1 {
		scale = n.b.Mul(scale, n.like(scale, alpha))
	}
	if !n.has(7) {
		return n.b.Mul(n.b.Cast(sum, scale.DType), n.b.Mul(scale, other))
	}
	return n.apply(graph.Requantize{To: n.dtype(0)}, n.present(sum, scale, other, n.arg(7), n.optional(8))...)
}

// scaledProduct is the int32 product of two matrices, times the scales, plus a
// bias.
func (n *node) scaledProduct(x, y, scale, other, bias *graph.Value) *graph.Value {
	z := n.b.Mul(n.b.Cast(n.matMulInteger(x, y), scale.DType), n.b.Mul(scale, other))
	if bias != nil {
		z = n.b.Add(z, bias)
	}
	return z
}

func readMatMulIntegerToFloat(n *node) *graph.Value {
	x, y := n.centered(n.arg(0), n.rows(n.optional(4))), n.centered(n.arg(1), n.single(n.optional(5)))
	return n.scaledProduct(x, y, n.rows(n.arg(2)), n.single(n.arg(3)), n.optional(6))
}

// readMatMulNBits multiplies by the transpose of a matrix (N,K). Its numbers have a
// few bits each and are packed in bytes, in blocks along K with one scale each.
func readMatMulNBits(n *node) *graph.Value {
	x, packed := n.arg(0), n.arg(1)
	n.pass([]string{"accuracy_level", "weight_prepacked"})
	rows, columns, bits, block := n.int("N", 0), n.int("K", 0), n.int("bits", 4), n.int("block_size", 0)
	if bits != 2 && bits != 4 && bits != 8 {
		n.refuse("numbers of %d bits", bits)
	}
	if n.int("weight_prepacked", 0) != 0 {
		n.refuse("weights in the order of a device")
	}
	if rows < 1 || columns < 1 || block < 1 {
		n.invalid("a matrix (%d,%d) in blocks of %d", rows, columns, block)
	}
	blocks := (columns + block - 1) / block
	y := n.unpacked(packed, bits, rows, blocks*block)
	scales := n.b.Reshape(n.arg(2), graph.N(rows), graph.N(blocks))
	zero := n.b.Expand(n.constant(float64(int(1)<<(bits-1)), format.Uint8), scales.Shape...)
	if n.has(3) {
		if zero = n.arg(3); zero.DType.Float() {
			zero = n.b.Reshape(zero, scales.Shape...)
		} else {
			zero = n.unpacked(zero, bits, rows, blocks)
		}
	}
	y = n.apply(graph.DequantizeLinear{Axis: 1, Block: block, To: scales.DType}, y, scales, zero)
	if !y.Shape[1].Is(columns) {
		y = n.b.Slice(y, 1, graph.N(0), graph.N(columns))
	}
	z := n.matMul(x, n.b.Transpose(y, 1, 0))
	if n.has(5) {
		z = n.b.Add(z, n.arg(5))
	}
	return z
}

// unpacked unpacks numbers of the given bits, whose rows start at a byte, to
// (rows,columns).
func (n *node) unpacked(packed *graph.Value, bits, rows, columns int) *graph.Value {
	width := (columns*bits + 7) / 8
	y := n.apply(graph.UnpackBits{Bits: bits}, n.b.Reshape(packed, graph.N(rows), graph.N(width)))
	if width*8/bits == columns {
		return y
	}
	return n.b.Slice(y, 1, graph.N(0), graph.N(columns))
}

// readGatherBlockQuantized gathers rows of integers with the scales of their
// blocks, and dequantizes them.
func readGatherBlockQuantized(n *node) *graph.Value {
	x, scales := n.arg(0), n.arg(2)
	rank, bits, block := len(x.Shape), n.int("bits", 4), n.int("block_size", 128)
	gather, quantize := n.axis(n.int("gather_axis", 0), rank), n.axis(n.int("quantize_axis", 1), rank)
	if gather != 0 || quantize != rank-1 || rank < 2 {
		n.refuse("rows along axis %d in blocks along axis %d", gather, quantize)
	}
	ids, fromEnd := n.ids(1, x.Shape[0])
	pick := func(v *graph.Value) *graph.Value { return n.apply(graph.Gather{FromEnd: fromEnd}, v, ids) }
	packed := x.DType == format.Uint8 && bits < 8
	unpack := func(v *graph.Value) *graph.Value {
		if packed {
			return n.apply(graph.UnpackBits{Bits: bits}, v)
		}
		return v
	}
	x, scales = unpack(pick(x)), pick(scales)
	args := []*graph.Value{x, scales}
	last := len(x.Shape) - 1
	switch {
	case n.has(3):
		zero := unpack(pick(n.arg(3)))
		if zero.Shape[last] != scales.Shape[last] {
			zero = n.b.Slice(zero, last, graph.N(0), scales.Shape[last])
		}
		args = append(args, zero)
	case x.DType == format.Uint8:
		args = append(args, n.b.Expand(n.constant(float64(int(1)<<(bits-1)), format.Uint8), scales.Shape...))
	}
	return n.apply(graph.DequantizeLinear{Axis: last, Block: block, To: scales.DType}, args...)
}
