package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// quantizeOps convert numbers to scaled integers and back, and requantize
// products.
var quantizeOps = []Op{QuantizeLinear{}, DequantizeLinear{}, DynamicQuantizeLinear{}, Requantize{}, PowerOfTwo{}, BitCast{}, UnpackBits{}, MayRound{}, RoundTo8Bits{}}

// QuantizeLinear is x divided by a scale, rounded to an integer, plus a zero point,
// clamped to the range of type To. The scale and the zero point are scalars,
// vectors along Axis, or divide Axis into blocks of Block elements. The quotient is
// rounded to type Precision before it is rounded to an integer, as in ONNX; the
// result can depend on that.
type QuantizeLinear struct {
	Axis      int
	Block     int `attr:"block,omitzero"`
	To        format.DType
	Saturate  bool `attr:"saturate,omitzero"` // for a floating-point To
	Precision format.DType
	Slopeless bool `attr:"slopeless,omitzero"` // see Slopeless
}

// Name returns "QuantizeLinear".
func (QuantizeLinear) Name() string { return "QuantizeLinear" }

// Infer returns the shape of the first argument.
func (q QuantizeLinear) Infer(args []Type) ([]Type, error) {
	if err := expectScales(args, q.Axis, q.Block); err != nil {
		return nil, err
	}
	if bits, _ := q.To.Integer(); bits == 0 && q.To.Size() != 1 || bits > 16 || !q.Precision.Float() {
		return nil, fmt.Errorf("numbers as %s, divided as %s", q.To, q.Precision)
	}
	return one(q.To, args[0].Shape), nil
}

// Grad implements Differentiable: a step function has no slope. For GradThrough it has
// that of the division.
func (q QuantizeLinear) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	by := make([]*Value, len(n.Args))
	if !b.through || q.Slopeless {
		return by
	}
	x, spread := n.Args[0], scaledNumbers{Axis: q.Axis, Block: q.Block}
	scale := spread.spread(b, n.Args[1], x.Shape)
	var zero *Value
	if len(n.Args) == 3 {
		zero = spread.spread(b, n.Args[2], x.Shape)
	}
	by[0] = b.straight(x, scale, dy[0], b.clamped(x, scale, zero, q.To))
	return by
}

// expectScales checks that a scale and an optional zero point match the first
// argument.
func expectScales(args []Type, axis, block int) error {
	if err := expectFrom(args, 2, 3); err != nil {
		return err
	}
	x, scale := args[0].Shape, args[1].Shape
	if err := expectFloat(args[1]); err != nil {
		return err
	}
	if len(args) == 3 && !args[2].Shape.Equal(scale) && !(args[2].Shape.Elements().Is(1) && scale.Elements().Is(1)) {
		return fmt.Errorf("a zero point %s for scales %s", args[2].Shape, scale)
	}
	if scale.Elements().Is(1) && len(scale) <= 1 {
		return nil
	}
	if err := expectAxis(axis, x); err != nil {
		return err
	}
	if block == 0 {
		if len(scale) != 1 || scale[0] != x[axis] {
			return fmt.Errorf("scales %s for axis %d of %s", scale, axis, x)
		}
		return nil
	}
	n, known := x[axis].Number()
	if !known || block < 0 || !scale.equalBut(axis, x) || !scale[axis].Is((n+block-1)/block) {
		return fmt.Errorf("scales %s for blocks of %d along axis %d of %s", scale, block, axis, x)
	}
	return nil
}

// DequantizeLinear is x minus a zero point, times a scale, both as in QuantizeLinear.
type DequantizeLinear struct {
	Axis  int
	Block int `attr:"block,omitzero"`
	To    format.DType
}

// Name returns "DequantizeLinear".
func (DequantizeLinear) Name() string { return "DequantizeLinear" }

// Infer returns the shape of the first argument.
func (q DequantizeLinear) Infer(args []Type) ([]Type, error) {
	if err := expectScales(args, q.Axis, q.Block); err != nil {
		return nil, err
	}
	if !q.To.Float() {
		return nil, fmt.Errorf("numbers as %s", q.To)
	}
	return one(q.To, args[0].Shape), nil
}

// Grad implements Differentiable: by the scale, and by x and the zero point if they
// are floating-point numbers.
func (q DequantizeLinear) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(scaledNumbers(q), n, dy)
}

// Decompose implements Composite.
func (q DequantizeLinear) Decompose(b *Builder, args []*Value) []*Value {
	return scaledNumbers(q).Decompose(b, args)
}

// scaledNumbers is a DequantizeLinear written with a difference and a product.
type scaledNumbers DequantizeLinear

func (scaledNumbers) Name() string { return "DequantizeLinear" }

func (q scaledNumbers) Infer(args []Type) ([]Type, error) { return DequantizeLinear(q).Infer(args) }

// Decompose implements Composite.
func (q scaledNumbers) Decompose(b *Builder, args []*Value) []*Value {
	x := b.Cast(args[0], q.To)
	if len(args) == 3 {
		x = b.Sub(x, b.Cast(q.spread(b, args[2], x.Shape), q.To))
	}
	return []*Value{b.Mul(x, b.Cast(q.spread(b, args[1], x.Shape), q.To))}
}

// spread returns scales or zero points in a shape that broadcasts to that of x.
func (q scaledNumbers) spread(b *Builder, v *Value, x Shape) *Value {
	switch {
	case v.Shape.Elements().Is(1) && len(v.Shape) <= 1:
		return b.Reshape(v)
	case q.Block == 0:
		s := ones(len(x))
		s[q.Axis] = x[q.Axis]
		return b.Reshape(v, s...)
	}
	n, _ := x[q.Axis].Number() // Infer asks for it
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i / q.Block)
	}
	return b.apply(Gather{Axis: q.Axis}, v, b.Const(format.FromInt64s("", []int{n}, ids)))
}

// DynamicQuantizeLinear is x as UINT8, with the scale and the zero point for its
// range, extended to include 0. Each step is rounded to float32, as in ONNX.
type DynamicQuantizeLinear struct {
	Slopeless bool `attr:"slopeless,omitzero"` // see Slopeless
}

// Name returns "DynamicQuantizeLinear".
func (DynamicQuantizeLinear) Name() string { return "DynamicQuantizeLinear" }

// Infer returns the types of the integers, of the scale and of the zero point.
func (DynamicQuantizeLinear) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if args[0].DType != format.Float32 {
		return nil, fmt.Errorf("%s, expected F32", args[0])
	}
	return []Type{{format.Uint8, args[0].Shape}, {format.Float32, Shape{}}, {format.Uint8, Shape{}}}, nil
}

// Grad implements Differentiable. The scale depends on the largest and the smallest
// element. For GradThrough it is a constant, and the integers have the slope of a division.
func (q DynamicQuantizeLinear) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if b.through && !q.Slopeless {
		if dy[0] == nil {
			return []*Value{nil}
		}
		x, scale := n.Args[0], n.Results[1] // the zero point is rounded, so the largest element may be clamped
		return []*Value{b.straight(x, scale, dy[0], b.clamped(x, scale, n.Results[2], format.Uint8))}
	}
	return b.gradOfDecomposition(dynamicScale{}, n, dy)
}

// dynamicScale is a DynamicQuantizeLinear of which only the scale is written.
type dynamicScale struct{}

func (dynamicScale) Name() string { return "DynamicQuantizeLinear" }

func (dynamicScale) Infer(args []Type) ([]Type, error) { return DynamicQuantizeLinear{}.Infer(args) }

// Decompose implements Composite.
func (dynamicScale) Decompose(b *Builder, args []*Value) []*Value {
	x, zero := args[0], b.Scalar(0)
	all := axes(x.Shape)
	most := b.Max(b.ReduceMax(x, false, all...), zero)
	least := b.Min(b.apply(Reduce{Kind: ReduceMin, Axes: all}, x), zero)
	return []*Value{nil, b.Div(b.Sub(most, least), b.Scalar(255)), nil}
}

// Requantize converts the sum c of products of integers with scales a and b to an
// integer with scale y: c·(a·b/y), rounded, plus a zero point, clamped to the range
// of type To. The arguments are c, a, b, y and the optional zero point, and
// broadcast to c. Each step is rounded to the type of the scales.
type Requantize struct{ To format.DType }

// Name returns "Requantize".
func (Requantize) Name() string { return "Requantize" }

// Infer returns the shape of c.
func (r Requantize) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 4, 5); err != nil {
		return nil, err
	}
	if bits, _ := args[0].DType.Integer(); bits != 32 {
		return nil, fmt.Errorf("%s, expected sums in 32 bits", args[0])
	}
	if err := expectFloat(args[1:4]...); err != nil {
		return nil, err
	}
	if bits, _ := r.To.Integer(); bits == 0 || bits > 16 {
		return nil, fmt.Errorf("integers as %s", r.To)
	}
	for _, a := range args[1:] {
		if !a.Shape.into(args[0].Shape) {
			return nil, fmt.Errorf("a scale or zero point %s for %s", a.Shape, args[0].Shape)
		}
	}
	return one(r.To, args[0].Shape), nil
}

// PowerOfTwo is x rounded to a power of two: "up", "down", or to the "nearest", ties
// upwards. With Saturate a result outside the powers of F8_E8M0 is clamped, otherwise
// it is NaN.
type PowerOfTwo struct {
	Mode     string
	Saturate bool `attr:"saturate,omitzero"`
}

// Name returns "PowerOfTwo".
func (PowerOfTwo) Name() string { return "PowerOfTwo" }

// Infer returns the shape of the argument.
func (p PowerOfTwo) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	switch p.Mode {
	case "up", "down", "nearest":
		return one(format.Float8E8M0, args[0].Shape), nil
	}
	return nil, fmt.Errorf("rounding %.80q", p.Mode)
}

// Grad implements Differentiable: a step function has no slope.
func (PowerOfTwo) Grad(*Builder, *Node, []*Value) []*Value { return []*Value{nil} }

// BitCast is the bits of x as those of another type of the same size.
type BitCast struct{ To format.DType }

// Name returns "BitCast".
func (BitCast) Name() string { return "BitCast" }

// Infer returns the shape of the argument.
func (c BitCast) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if n := c.To.Size(); n == 0 || n != args[0].DType.Size() {
		return nil, fmt.Errorf("the bits of %s as %s", args[0].DType, c.To)
	}
	return one(c.To, args[0].Shape), nil
}

// UnpackBits unpacks numbers of Bits bits from bytes, the first one in the lowest
// bits. The last axis grows accordingly.
type UnpackBits struct{ Bits int }

// Name returns "UnpackBits".
func (UnpackBits) Name() string { return "UnpackBits" }

// Infer returns UINT8 with a longer last axis.
func (u UnpackBits) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	s := args[0].Shape
	if len(s) == 0 || args[0].DType != format.Uint8 || u.Bits < 1 || 8%u.Bits != 0 {
		return nil, fmt.Errorf("%d bits out of %s", u.Bits, args[0])
	}
	return one(format.Uint8, s.with(len(s)-1, s[len(s)-1].Mul(N(8/u.Bits)))), nil
}

// Decompose implements Composite: bytes are exact as float32.
func (u UnpackBits) Decompose(b *Builder, args []*Value) []*Value {
	rest := b.Cast(args[0], format.Float32)
	column := append(slices.Clone(rest.Shape), N(1))
	width := float64(int(1) << u.Bits)
	var parts []*Value
	for i := 8; i > u.Bits; i -= u.Bits {
		upper := b.apply(Floor, b.Mul(rest, b.Scalar(1/width)))
		parts = append(parts, b.Reshape(b.Sub(rest, b.Mul(upper, b.Scalar(width))), column...))
		rest = upper
	}
	all := b.Concat(len(column)-1, append(parts, b.Reshape(rest, column...))...)
	shape := column[:len(column)-1].with(len(column)-2, column[len(column)-2].Mul(N(8/u.Bits)))
	return []*Value{b.Cast(b.Reshape(all, shape...), format.Uint8)}
}

// MayRound is its argument, which a runtime may round: to 8 bits with a sign, in blocks of
// Block elements along the last axis, each with the scale at which its largest element is
// 127. Products of ONNX Runtime's MatMulNBits do that to their first factor if the
// file allows it (accuracy_level 4).
type MayRound struct{ Block int }

// Name returns "MayRound".
func (MayRound) Name() string { return "MayRound" }

// Infer returns the type of the argument.
func (r MayRound) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if err := expectFloat(args[0]); err != nil {
		return nil, err
	}
	if r.Block < 1 || len(args[0].Shape) == 0 {
		return nil, fmt.Errorf("blocks of %d elements of %s", r.Block, args[0])
	}
	return args, nil
}

// Decompose implements Composite: nothing is rounded.
func (MayRound) Decompose(b *Builder, args []*Value) []*Value {
	return []*Value{b.Identity(args[0])}
}

// RoundTo8Bits is its argument rounded to 8 bits as DynamicQuantizeLinear does, over the
// range of the axes from Axis on: each index of the axes before it has a range of its own.
// ONNX Runtime does that to the factors of DynamicQuantizeLSTM; other runtimes do not.
type RoundTo8Bits struct{ Axis int }

// Name returns "RoundTo8Bits".
func (RoundTo8Bits) Name() string { return "RoundTo8Bits" }

// Infer returns the type of the argument.
func (r RoundTo8Bits) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if err := expectFloat(args[0]); err != nil {
		return nil, err
	}
	if r.Axis < 0 || r.Axis >= len(args[0].Shape) {
		return nil, fmt.Errorf("axis %d of %s", r.Axis, args[0])
	}
	return args, nil
}
