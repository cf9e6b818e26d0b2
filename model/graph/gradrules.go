package graph

import (
	"github.com/attnx/attnx/format"
)

// A gradRule returns the derivatives of the loss by the arguments of v, given
// those by its results (by number, nil for one without influence). It may
// return nil for an argument that no derivative passes through, and what it
// returns for one that needs none is dropped.
type gradRule func(b *Builder, v *Value, dy []*Value) []*Value

// gradRules is the table of derivatives: one rule an operator. An operator
// without a rule yields no floating-point number that depends on a parameter
// continuously.
var gradRules = [opCount]gradRule{
	Gather:                  gradGather,
	MatMul:                  gradMatMul,
	Gemm:                    gradGemm,
	Add:                     gradAdd,
	Sub:                     gradSub,
	Mul:                     gradMul,
	Div:                     gradDiv,
	Neg:                     one(func(b *Builder, v, dy *Value) *Value { return b.Neg(dy) }),
	Exp:                     one(func(b *Builder, v, dy *Value) *Value { return b.Mul(dy, v) }),
	Log:                     one(func(b *Builder, v, dy *Value) *Value { return b.Div(dy, v.Args[0]) }),
	Sqrt:                    one(func(b *Builder, v, dy *Value) *Value { return b.Div(b.Mul(dy, b.Scalar(0.5)), v) }),
	Tanh:                    one(func(b *Builder, v, dy *Value) *Value { return b.Sub(dy, b.Mul(dy, b.Mul(v, v))) }),
	Relu:                    one(func(b *Builder, v, dy *Value) *Value { return b.Where(b.Equal(v, b.Scalar(0)), b.Scalar(0), dy) }),
	Softmax:                 one(gradSoftmax),
	LogSoftmax:              one(gradLogSoftmax),
	ReduceSum:               one(gradReduceSum),
	ReduceMean:              one(gradReduceMean),
	Reshape:                 one(func(b *Builder, v, dy *Value) *Value { return b.Reshape(dy, v.Args[0].Shape...) }),
	Transpose:               one(gradTranspose),
	Concat:                  gradConcat,
	Split:                   gradSplit,
	Slice:                   one(gradSlice),
	Identity:                one(func(b *Builder, v, dy *Value) *Value { return dy }),
	Cast:                    one(func(b *Builder, v, dy *Value) *Value { return b.Cast(dy, v.Args[0].DType) }),
	Where:                   gradWhere,
	GatherElements:          gradGatherElements,
	Trilu:                   one(func(b *Builder, v, dy *Value) *Value { return b.op(Trilu, v.Attr, dy) }),
	LayerNormalization:      gradLayerNormalization,
	Gelu:                    one(gradGelu),
	Attention:               gradAttention,
	SoftmaxCrossEntropyLoss: gradLoss,
	ScatterElements:         gradScatterElements,
	Sum:                     gradSum,
}

// one adapts the rule of an operator with one argument and one result.
func one(f func(b *Builder, v, dy *Value) *Value) gradRule {
	return func(b *Builder, v *Value, dy []*Value) []*Value { return []*Value{f(b, v, dy[0])} }
}

// reduceTo sums x over the axes along which a tensor of shape s was broadcast
// into x's shape.
func (b *Builder) reduceTo(x *Value, s Shape) *Value {
	lead := len(x.Shape) - len(s)
	var sum []int
	inner := false
	for i, d := range x.Shape {
		switch {
		case i < lead:
			sum = append(sum, i)
		case s[i-lead].Is(1) && !d.Is(1):
			sum, inner = append(sum, i), true
		}
	}
	if len(sum) == 0 {
		return x
	}
	if !inner {
		return b.ReduceSum(x, false, sum...)
	}
	x = b.ReduceSum(x, true, sum...)
	if lead == 0 {
		return x
	}
	return b.Reshape(x, s...)
}

func gradAdd(b *Builder, v *Value, dy []*Value) []*Value {
	return []*Value{dy[0], b.reduceTo(dy[0], v.Args[1].Shape)}
}

func gradSub(b *Builder, v *Value, dy []*Value) []*Value {
	return []*Value{dy[0], b.Neg(b.reduceTo(dy[0], v.Args[1].Shape))}
}

func gradMul(b *Builder, v *Value, dy []*Value) []*Value {
	x, y := v.Args[0], v.Args[1]
	return []*Value{b.Mul(dy[0], y), b.reduceTo(b.Mul(dy[0], x), y.Shape)}
}

// z = x/y: dx = dz/y, dy = -dz·z/y.
func gradDiv(b *Builder, v *Value, dy []*Value) []*Value {
	y := v.Args[1]
	dx := b.Div(dy[0], y)
	return []*Value{dx, b.Neg(b.reduceTo(b.Mul(dx, v), y.Shape))}
}

// p = softmax(x): dx = p·(dp - Σ dp·p).
func gradSoftmax(b *Builder, p, dy *Value) *Value {
	sum := b.ReduceSum(b.Mul(dy, p), true, p.Attr.Axis)
	return b.Mul(p, b.Sub(dy, sum))
}

func gradLogSoftmax(b *Builder, v, dy *Value) *Value {
	return b.Sub(dy, b.Mul(b.Exp(v), b.ReduceSum(dy, true, v.Attr.Axis)))
}

// kept returns the shape of a reduction that keeps its axes.
func kept(v *Value) Shape {
	s := v.Args[0].Shape
	for _, axis := range v.Attr.Axes {
		s = s.with(axis, N(1))
	}
	return s
}

func gradReduceSum(b *Builder, v, dy *Value) *Value {
	return b.expand(b.Reshape(dy, kept(v)...), v.Args[0].Shape)
}

func gradReduceMean(b *Builder, v, dy *Value) *Value {
	n := N(1)
	ok := true
	count := 1
	for _, axis := range v.Attr.Axes {
		size, known := v.Args[0].Shape[axis].Number()
		ok, count = ok && known, count*size
	}
	dy = b.Reshape(dy, kept(v)...)
	if ok {
		dy = b.Mul(dy, b.Scalar(1/float64(count)))
	} else { // a length that is a letter is counted when the graph runs
		s := make(Shape, len(v.Args[0].Shape))
		for i := range s {
			s[i] = n
		}
		for _, axis := range v.Attr.Axes {
			s[axis] = v.Args[0].Shape[axis]
		}
		dy = b.Div(dy, b.ReduceSum(b.ConstantOfShape(1, s...), true, v.Attr.Axes...))
	}
	return b.expand(dy, v.Args[0].Shape)
}

func gradTranspose(b *Builder, v, dy *Value) *Value {
	back := make([]int, len(v.Attr.Perm))
	for i, p := range v.Attr.Perm {
		back[p] = i
	}
	return b.Transpose(dy, back...)
}

func gradConcat(b *Builder, v *Value, dy []*Value) []*Value {
	out := make([]*Value, len(v.Args))
	at := N(0)
	for i, a := range v.Args {
		limit := at.Add(a.Shape[v.Attr.Axis])
		out[i] = b.Slice(dy[0], v.Attr.Axis, at, limit)
		at = limit
	}
	return out
}

func gradSplit(b *Builder, v *Value, dy []*Value) []*Value {
	parts := make([]*Value, len(dy))
	for i, d := range dy {
		if d == nil {
			d = b.ConstantOfShape(0, v.Args[0].Shape.with(v.Attr.Axis, N(v.Attr.Sizes[i]))...)
		}
		parts[i] = d
	}
	return []*Value{b.Concat(v.Attr.Axis, parts...)}
}

// gradSlice puts zeros where the slice did not read.
func gradSlice(b *Builder, v, dy *Value) *Value {
	x, axis := v.Args[0], v.Attr.Axis
	after, err := length(v.Attr.Limit, x.Shape[axis])
	if err != nil {
		b.fail("graph: the derivative of %s %.80q: positions up to %s of %s: bind the letters first", v.Op, v.Name, v.Attr.Limit, x.Shape[axis])
		return nil
	}
	var parts []*Value
	for _, p := range []struct {
		v    *Value
		size Dim
	}{{nil, v.Attr.Start}, {dy, dy.Shape[axis]}, {nil, after}} {
		switch {
		case p.v != nil:
			parts = append(parts, p.v)
		case !p.size.Is(0):
			parts = append(parts, b.ConstantOfShape(0, x.Shape.with(axis, p.size)...))
		}
	}
	if len(parts) == 1 {
		return dy
	}
	return b.Concat(axis, parts...)
}

func gradWhere(b *Builder, v *Value, dy []*Value) []*Value {
	cond, zero := v.Args[0], b.Scalar(0)
	return []*Value{nil,
		b.reduceTo(b.Where(cond, dy[0], zero), v.Args[1].Shape),
		b.reduceTo(b.Where(cond, zero, dy[0]), v.Args[2].Shape)}
}

func gradGatherElements(b *Builder, v *Value, dy []*Value) []*Value {
	x := v.Args[0]
	return []*Value{b.ScatterElements(b.ConstantOfShape(0, x.Shape...), v.Args[1], dy[0], v.Attr.Axis), nil}
}

func gradScatterElements(b *Builder, v *Value, dy []*Value) []*Value {
	return []*Value{dy[0], nil, b.GatherElements(dy[0], v.Args[1], v.Attr.Axis)}
}

// oneHotLimit is the vocabulary up to which one-hot rows are used: in a matrix
// product for the gradient of an embedding, and in that of the loss. Beyond it
// numbers are scattered, which is bound by the tokens and not by the
// vocabulary: see the measurement in ARCHITECTURE.md.
const oneHotLimit = 128

// gradGather adds up the rows that belong to one id. ScatterND would take whole
// rows at once, but ONNX Runtime's adds them on several threads without a lock,
// and loses some where an id comes twice: its ScatterElements does not.
func gradGather(b *Builder, v *Value, dy []*Value) []*Value {
	table, ids := v.Args[0], v.Args[1]
	n, known := ids.Shape.count()
	width, fixed := table.Shape[1:].count()
	vocab, _ := table.Shape[0].Number()
	if !known || !fixed || vocab == 0 {
		b.fail("graph: the derivative of %s %.80q by %s with ids %s: bind the letters first", v.Op, v.Name, table.Shape, ids.Shape)
		return []*Value{nil, nil}
	}
	rows := b.Reshape(dy[0], N(n), N(width)) // (N,C)
	var d *Value                             // (V,C)
	if vocab <= oneHotLimit {
		d = b.Gemm(b.OneHot(b.Reshape(ids, N(n)), vocab), rows, nil, true, false)
	} else {
		zeros := b.Cast(b.ConstantOfShape(0, N(n), N(width)), format.Int64)
		all := b.Add(zeros, b.Reshape(ids, N(n), N(1))) // (N,C): the id of every number
		d = b.ScatterElements(b.ConstantOfShape(0, N(vocab), N(width)), all, rows, 0)
	}
	return []*Value{b.Reshape(d, table.Shape...), nil}
}

// count returns the number of elements of s, if its sizes are known.
func (s Shape) count() (n int, known bool) {
	n = 1
	for _, d := range s {
		size, ok := d.Number()
		if !ok {
			return 0, false
		}
		n *= size
	}
	return n, true
}

// z = x y: dx = dz yᵀ, dy = xᵀ dz.
func gradMatMul(b *Builder, v *Value, dy []*Value) []*Value {
	x, y, dz := v.Args[0], v.Args[1], dy[0]
	swap := func(v *Value) *Value {
		perm := axes(v.Shape)
		n := len(perm)
		perm[n-2], perm[n-1] = perm[n-1], perm[n-2]
		return b.Transpose(v, perm...)
	}
	if len(y.Shape) > 2 {
		return []*Value{b.MatMul(dz, swap(y)), b.MatMul(swap(x), dz)}
	}
	lead := x.Shape[:len(x.Shape)-1]
	rows, known := lead.count()
	if !known {
		dw := b.MatMul(swap(x), dz) // (...,K,N)
		return []*Value{b.MatMul(dz, swap(y)), b.reduceTo(dw, y.Shape)}
	}
	flat := func(v *Value) *Value { return b.rows(v, rows) }
	dx := b.Reshape(b.Gemm(flat(dz), y, nil, false, true), x.Shape...)
	return []*Value{dx, b.Gemm(flat(x), flat(dz), nil, true, false)}
}

// rows returns x as a matrix of n rows.
func (b *Builder) rows(x *Value, n int) *Value {
	if len(x.Shape) == 2 {
		return x
	}
	return b.Reshape(x, N(n), x.Shape[len(x.Shape)-1])
}

// Y = A' B' + C, where ' turns or not: dA' = dY B'ᵀ, dB' = A'ᵀ dY.
func gradGemm(b *Builder, v *Value, dy []*Value) []*Value {
	x, y, dz := v.Args[0], v.Args[1], dy[0]
	ta, tb := v.Attr.TransA, v.Attr.TransB
	out := make([]*Value, len(v.Args))
	if ta {
		out[0] = b.Gemm(y, dz, nil, tb, true)
	} else {
		out[0] = b.Gemm(dz, y, nil, false, !tb)
	}
	if tb {
		out[1] = b.Gemm(dz, x, nil, true, ta)
	} else {
		out[1] = b.Gemm(x, dz, nil, !ta, false)
	}
	if len(v.Args) == 3 {
		out[2] = b.reduceTo(dz, v.Args[2].Shape)
	}
	return out
}

func gradSum(b *Builder, v *Value, dy []*Value) []*Value {
	out := make([]*Value, len(v.Args))
	for i, x := range v.Args {
		out[i] = b.reduceTo(dy[0], x.Shape)
	}
	return out
}
