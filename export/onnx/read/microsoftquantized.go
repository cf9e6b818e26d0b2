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
	"QLinearSoftmax":     quantizedRow(quantizedSoftmax),
	"QLinearReduceMean":  quantizedRow(quantizedMean),
	"QLinearAveragePool": quantizedRow(func(n *node, x *graph.Value) *graph.Value { return n.channelwise(x, n.averagePool) }),
	"QLinearGlobalAveragePool": quantizedRow(func(n *node, x *graph.Value) *graph.Value {
		return n.channelwise(x, func(x *graph.Value) *graph.Value { return n.global(graph.ReduceMean, x) })
	}),
	"QLinearConcat": records(readQLinearConcat),
	"QLinearWhere":  records(readQLinearWhere),
	"QLinearConv":   records(func(n *node) *graph.Value { return n.channelwise(n.arg(0), n.qLinearConv) }),

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
	"MatMulBnb4":           records(readMatMulBnb4),
	"GatherBlockQuantized": records(readGatherBlockQuantized),
	"QAttention":           {read: readQAttention},
}

// channelwise calls a function of images with the channels in front, and has them last
// again in its result if the node has.
func (n *node) channelwise(x *graph.Value, f func(x *graph.Value) *graph.Value) *graph.Value {
	if n.flag("channels_last", false) {
		return n.channelsLast(f(n.channelsFirst(x)))
	}
	return f(x)
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
	n.pass([]string{"weight_prepacked"})
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
	if n.int("accuracy_level", 0) == 4 { // the first factor may be rounded to 8 bits, in the same blocks
		x = n.apply(graph.MayRound{Block: block}, x)
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

// bnb4 are the numbers that four bits stand for: FP4 and NF4 (arXiv:2305.14314,
// appendix E).
var bnb4 = [2][]float64{
	{0, 0.00520833333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25, 0, -0.00520833333, -0.66666667, -1, -0.33333333, -0.5, -0.16666667, -0.25},
	{
		-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
		0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
	},
}

// readMatMulBnb4 multiplies by the transpose of a matrix (N,K) of four bits each, the
// first ones in the upper half of a byte, with one scale for each block of all
// elements.
func readMatMulBnb4(n *node) *graph.Value {
	n.pass([]string{"training_mode"})
	rows, columns, block, kind := n.int("N", 0), n.int("K", 0), n.int("block_size", 0), n.int("quant_type", 0)
	if kind < 0 || kind >= len(bnb4) || !n.flag("transB", true) {
		n.refuse("quant_type %d, or a matrix that is not transposed", kind)
	}
	x, scales := n.arg(0), n.arg(2)
	bytes, known := n.shape(1).Elements().Number()
	if rows < 1 || columns < 1 || block < 1 || !known || rows > 1<<31/columns || bytes != (rows*columns+1)/2 || !scales.Shape.Elements().Is((rows*columns+block-1)/block) {
		n.invalid("a matrix (%d,%d) in blocks of %d, with %s bytes and %s scales", rows, columns, block, n.shape(1), scales.Shape)
	}
	pairs := n.apply(graph.UnpackBits{Bits: 4}, n.b.Reshape(n.arg(1), graph.N(bytes), graph.N(1)))
	swapped := n.apply(graph.Gather{Axis: 1}, pairs, n.b.Const(format.FromInt64s("order", []int{2}, []int64{1, 0})))
	ids := n.b.Slice(n.b.Reshape(swapped, graph.N(2*bytes)), 0, graph.N(0), graph.N(rows*columns))
	y := n.b.Gather(n.b.Const(single(n, "levels", bnb4[kind])), n.cast(ids, format.Int64))
	blocks := scales.Shape.Elements()
	scales = n.b.Expand(n.b.Reshape(scales, blocks, graph.N(1)), blocks, graph.N(block))
	scales = n.b.Slice(n.b.Reshape(scales, blocks.Mul(graph.N(block))), 0, graph.N(0), graph.N(rows*columns))
	y = n.b.Reshape(n.b.Mul(n.cast(y, scales.DType), scales), graph.N(rows), graph.N(columns))
	return n.matMul(x, n.b.Transpose(y, 1, 0))
}
