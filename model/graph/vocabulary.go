package graph

import (
	"github.com/attnx/attnx/format"
)

// Gather returns rows of table (V,...) by ids. The result has the ids' shape
// followed by a row's.
func (b *Builder) Gather(table, ids *Value) *Value { return b.apply(Gather{}, table, ids) }

// MatMul returns the matrix product (...,M,K) times (...,K,N).
func (b *Builder) MatMul(x, y *Value) *Value { return b.apply(MatMul{}, x, y) }

// Add returns x + y.
func (b *Builder) Add(x, y *Value) *Value { return b.apply(Add, x, y) }

// Sub returns x - y.
func (b *Builder) Sub(x, y *Value) *Value { return b.apply(Sub, x, y) }

// Mul returns x · y, element by element.
func (b *Builder) Mul(x, y *Value) *Value { return b.apply(Mul, x, y) }

// Div returns x / y.
func (b *Builder) Div(x, y *Value) *Value { return b.apply(Div, x, y) }

// Pow returns x to the y.
func (b *Builder) Pow(x, y *Value) *Value { return b.apply(Pow, x, y) }

// Max returns the larger of x and y.
func (b *Builder) Max(x, y *Value) *Value { return b.apply(Max, x, y) }

// Min returns the smaller of x and y.
func (b *Builder) Min(x, y *Value) *Value { return b.apply(Min, x, y) }

// Equal returns x = y as BOOL.
func (b *Builder) Equal(x, y *Value) *Value { return b.apply(Equal, x, y) }

// Less returns x < y as BOOL.
func (b *Builder) Less(x, y *Value) *Value { return b.apply(Less, x, y) }

// LessOrEqual returns x ≤ y as BOOL.
func (b *Builder) LessOrEqual(x, y *Value) *Value { return b.apply(LessOrEqual, x, y) }

// Greater returns x > y as BOOL.
func (b *Builder) Greater(x, y *Value) *Value { return b.apply(Greater, x, y) }

// GreaterOrEqual returns x ≥ y as BOOL.
func (b *Builder) GreaterOrEqual(x, y *Value) *Value { return b.apply(GreaterOrEqual, x, y) }

// And returns true where both hold.
func (b *Builder) And(x, y *Value) *Value { return b.apply(And, x, y) }

// Or returns true where one or both hold.
func (b *Builder) Or(x, y *Value) *Value { return b.apply(Or, x, y) }

// Not returns true where x does not hold.
func (b *Builder) Not(x *Value) *Value { return b.apply(Not, x) }

// Neg returns -x.
func (b *Builder) Neg(x *Value) *Value { return b.apply(Neg, x) }

// Exp returns e to the x.
func (b *Builder) Exp(x *Value) *Value { return b.apply(Exp, x) }

// Log returns the natural logarithm of x.
func (b *Builder) Log(x *Value) *Value { return b.apply(Log, x) }

// Sqrt returns the square root of x.
func (b *Builder) Sqrt(x *Value) *Value { return b.apply(Sqrt, x) }

// Tanh returns the hyperbolic tangent of x.
func (b *Builder) Tanh(x *Value) *Value { return b.apply(Tanh, x) }

// Relu returns max(x, 0).
func (b *Builder) Relu(x *Value) *Value { return b.apply(Relu, x) }

// Sigmoid returns 1/(1 + exp(-x)).
func (b *Builder) Sigmoid(x *Value) *Value { return b.apply(Sigmoid, x) }

// Erf returns the error function of x.
func (b *Builder) Erf(x *Value) *Value { return b.apply(Erf, x) }

// Sin returns the sine of x radians.
func (b *Builder) Sin(x *Value) *Value { return b.apply(Sin, x) }

// Cos returns the cosine of x radians.
func (b *Builder) Cos(x *Value) *Value { return b.apply(Cos, x) }

// Abs returns the absolute value of x.
func (b *Builder) Abs(x *Value) *Value { return b.apply(Abs, x) }

// Sign returns -1, 0 or 1.
func (b *Builder) Sign(x *Value) *Value { return b.apply(Sign, x) }

// Reciprocal returns 1/x.
func (b *Builder) Reciprocal(x *Value) *Value { return b.apply(Reciprocal, x) }

// Identity returns x under another name.
func (b *Builder) Identity(x *Value) *Value { return b.apply(Identity, x) }

// Softmax returns exp(x) over its sum along the axis.
func (b *Builder) Softmax(x *Value, axis int) *Value { return b.apply(Softmax{axis}, x) }

// LogSoftmax returns the logarithm of Softmax.
func (b *Builder) LogSoftmax(x *Value, axis int) *Value { return b.apply(LogSoftmax{axis}, x) }

// ReduceSum returns the sum over the axes.
func (b *Builder) ReduceSum(x *Value, keepDims bool, axes ...int) *Value {
	return b.apply(Reduce{ReduceSum, axes, keepDims}, x)
}

// ReduceMean returns the mean over the axes.
func (b *Builder) ReduceMean(x *Value, keepDims bool, axes ...int) *Value {
	return b.apply(Reduce{ReduceMean, axes, keepDims}, x)
}

// ReduceMax returns the largest element over the axes.
func (b *Builder) ReduceMax(x *Value, keepDims bool, axes ...int) *Value {
	return b.apply(Reduce{ReduceMax, axes, keepDims}, x)
}

// Reshape returns the elements of x in another shape of the same size.
func (b *Builder) Reshape(x *Value, s ...Dim) *Value { return b.apply(Reshape{s}, x) }

// Expand returns x broadcast into the shape.
func (b *Builder) Expand(x *Value, s ...Dim) *Value { return b.apply(Expand{s}, x) }

// Transpose returns x with its axes in the order of perm.
func (b *Builder) Transpose(x *Value, perm ...int) *Value { return b.apply(Transpose{perm}, x) }

// Concat joins the values along the axis.
func (b *Builder) Concat(axis int, x ...*Value) *Value { return b.apply(Concat{axis}, x...) }

// Split returns the parts of x of the given sizes along the axis.
func (b *Builder) Split(x *Value, axis int, sizes ...int) []*Value {
	return b.Apply(Split{axis, sizes}, len(sizes), x)
}

// Slice returns positions start up to, but not including, limit along the axis.
func (b *Builder) Slice(x *Value, axis int, start, limit Dim) *Value {
	return b.apply(Slice{axis, start, limit}, x)
}

// Cast returns x in element type t.
func (b *Builder) Cast(x *Value, t format.DType) *Value { return b.apply(Cast{To: t}, x) }

// Where returns x where cond holds and y elsewhere.
func (b *Builder) Where(cond, x, y *Value) *Value { return b.apply(Where{}, cond, x, y) }

// GatherElements selects elements of x by ids along the axis; the other axes
// agree.
func (b *Builder) GatherElements(x, ids *Value, axis int) *Value {
	return b.apply(GatherElements{Axis: axis}, x, ids)
}

// Range returns the integers from start up to, but not including, limit.
func (b *Builder) Range(start, limit Dim) *Value { return b.apply(Range{start, limit}) }

// ConstantOfShape returns a float32 tensor filled with fill.
func (b *Builder) ConstantOfShape(fill float64, s ...Dim) *Value {
	return b.apply(ConstantOfShape{s, fill})
}

// Positions returns the position of each token in its text, int64 (T), for
// tokens (B,T).
func (b *Builder) Positions(tokens *Value) *Value { return b.apply(Positions{}, tokens) }

// TriluUpper returns x with zeros below diagonal k of its last two axes.
func (b *Builder) TriluUpper(x *Value, k Dim) *Value { return b.apply(Trilu{true, k}, x) }

// LayerNormalization returns x with mean 0 and variance 1 over its last axis,
// times scale, plus bias, which may be nil (arXiv:1607.06450).
func (b *Builder) LayerNormalization(x, scale, bias *Value, epsilon float64) *Value {
	return b.apply(LayerNormalization{epsilon}, present(x, scale, bias)...)
}

// RMSNormalization returns x divided by its root mean square along the last
// axis, times scale (arXiv:1910.07467).
func (b *Builder) RMSNormalization(x, scale *Value, epsilon float64) *Value {
	return b.apply(RMSNormalization{epsilon}, x, scale)
}

// Gelu returns the Gaussian error linear unit (arXiv:1606.08415).
func (b *Builder) Gelu(x *Value) *Value { return b.apply(Gelu{"none"}, x) }

// GeluTanh returns GPT-2's activation: Gelu in its tanh form.
func (b *Builder) GeluTanh(x *Value) *Value { return b.apply(Gelu{"tanh"}, x) }

// SiLU returns x·sigmoid(x) (arXiv:1702.03118).
func (b *Builder) SiLU(x *Value) *Value { return b.apply(Swish{1}, x) }

// Attention applies a to q (B,H,T,D), k (B,G,S,D), v (B,G,S,E) and mask, which
// may be nil.
func (b *Builder) Attention(a Attention, q, k, v, mask *Value) *Value {
	return b.apply(a, present(q, k, v, mask)...)
}

// RotaryEmbedding rotates pairs of elements of x (B,H,T,D) by the angles, (R/2),
// times the positions, (T) or (B,T).
func (b *Builder) RotaryEmbedding(r RotaryEmbedding, x, positions, angles *Value) *Value {
	return b.apply(r, x, positions, angles)
}

// SoftmaxCrossEntropyLoss returns the mean of -log softmax(scores)[label] over the
// labels other than ignore: scores (B,V,T) and labels int64 (B,T), or scores (N,V)
// and labels (N).
func (b *Builder) SoftmaxCrossEntropyLoss(scores, labels *Value, ignore int64) *Value {
	return b.apply(SoftmaxCrossEntropyLoss{ignore}, scores, labels)
}

// Gemm returns x y, each transposed first if requested, plus c, which may be
// nil: matrices (M,K) and (K,N), and c broadcast to (M,N).
func (b *Builder) Gemm(x, y, c *Value, transX, transY bool) *Value {
	return b.apply(Gemm{transX, transY}, present(x, y, c)...)
}

// OneHot returns a row of depth numbers for each id: 1 at the id, 0 elsewhere.
func (b *Builder) OneHot(ids *Value, depth int) *Value { return b.apply(OneHot{depth}, ids) }

// ScatterElements returns x with the updates added at ids along the axis. An id
// that occurs twice adds twice.
func (b *Builder) ScatterElements(x, ids, updates *Value, axis int) *Value {
	return b.apply(ScatterElements{Axis: axis}, x, ids, updates)
}

// present drops the last argument if it is nil.
func present(args ...*Value) []*Value {
	if last := len(args) - 1; args[last] == nil {
		return args[:last]
	}
	return args
}
