package graph

import "github.com/attnx/attnx/format"

// Op is an operator. Its String is ONNX's name for it, except for the three
// kinds of leaf (Input, Param, Const), which in ONNX are graph inputs and
// initializers.
type Op uint8

// The operators, in the order of the table.
const (
	Input Op = iota
	Param
	Const
	Gather
	MatMul
	Add
	Sub
	Mul
	Div
	Neg
	Exp
	Log
	Sqrt
	Tanh
	Relu
	Softmax
	LogSoftmax
	ReduceSum
	ReduceMean
	Reshape
	Transpose
	Concat
	Split
	Slice
	Identity
	Cast
	Equal
	Where
	GatherElements
	Range
	ConstantOfShape
	Trilu
	LayerNormalization
	Gelu
	Attention
	SoftmaxCrossEntropyLoss
	Gemm
	OneHot
	ScatterElements
	Sum
	opCount
)

// OpInfo is a row of the op table.
type OpInfo struct {
	Op        Op
	Name      string
	Args      int    // number of arguments; -1 for one or more (the rule says how many)
	Attrs     string // the fields of Attr it uses
	Doc       string // what it computes, in one line
	Composite bool   // Decompose can write it with the others
	Derived   bool   // made by passes, and by networks that are only run: the Gorgonia engine, which differentiates for itself, need not know it

	// rule gives the result's shape and element type, or says what is wrong.
	rule func(args []*Value, a Attr) (Shape, format.DType, error)
}

// table is the one list of operators. A new operator is a row here, a case in
// each consumer, and a file in fixtures/ops.
var table = [opCount]OpInfo{
	{Op: Input, Name: "Input", Doc: "a tensor given for every run"},
	{Op: Param, Name: "Param", Attrs: "Init", Doc: "a weight"},
	{Op: Const, Name: "Const", Attrs: "Value", Doc: "a fixed tensor"},
	{Op: Gather, Name: "Gather", Args: 2, Attrs: "Axis", Doc: "rows of a table (V,...) by ids: shape of the ids, then of a row", rule: gatherRule},
	{Op: MatMul, Name: "MatMul", Args: 2, Doc: "(...,M,K) times (K,N), or times (...,K,N) with the same leading axes", rule: matMulRule},
	{Op: Add, Name: "Add", Args: 2, Doc: "a + b, b broadcast into a", rule: arithmeticRule},
	{Op: Sub, Name: "Sub", Args: 2, Doc: "a - b, b broadcast into a", rule: arithmeticRule},
	{Op: Mul, Name: "Mul", Args: 2, Doc: "a · b, b broadcast into a", rule: arithmeticRule},
	{Op: Div, Name: "Div", Args: 2, Doc: "a / b, b broadcast into a", rule: arithmeticRule},
	{Op: Neg, Name: "Neg", Args: 1, Doc: "-x", rule: floatRule},
	{Op: Exp, Name: "Exp", Args: 1, Doc: "e to the x", rule: floatRule},
	{Op: Log, Name: "Log", Args: 1, Doc: "natural logarithm", rule: floatRule},
	{Op: Sqrt, Name: "Sqrt", Args: 1, Doc: "square root", rule: floatRule},
	{Op: Tanh, Name: "Tanh", Args: 1, Doc: "hyperbolic tangent", rule: floatRule},
	{Op: Relu, Name: "Relu", Args: 1, Doc: "max(x, 0)", rule: floatRule},
	{Op: Softmax, Name: "Softmax", Args: 1, Attrs: "Axis", Doc: "exp(x) over its sum along the axis", rule: axisRule},
	{Op: LogSoftmax, Name: "LogSoftmax", Args: 1, Attrs: "Axis", Doc: "logarithm of Softmax", rule: axisRule},
	{Op: ReduceSum, Name: "ReduceSum", Args: 1, Attrs: "Axes KeepDims", Doc: "sum over the axes", rule: reduceRule},
	{Op: ReduceMean, Name: "ReduceMean", Args: 1, Attrs: "Axes KeepDims", Doc: "mean over the axes", rule: reduceRule},
	{Op: Reshape, Name: "Reshape", Args: 1, Attrs: "Shape", Doc: "the same elements in another shape", rule: reshapeRule},
	{Op: Transpose, Name: "Transpose", Args: 1, Attrs: "Perm", Doc: "axes in another order", rule: transposeRule},
	{Op: Concat, Name: "Concat", Args: -1, Attrs: "Axis", Doc: "arguments one after the other along the axis", rule: concatRule},
	{Op: Split, Name: "Split", Args: 1, Attrs: "Axis Sizes Result", Doc: "one of the parts along the axis", rule: splitRule},
	{Op: Slice, Name: "Slice", Args: 1, Attrs: "Axis Start Limit", Doc: "positions Start up to, not including, Limit along the axis", rule: sliceRule},
	{Op: Identity, Name: "Identity", Args: 1, Doc: "x", rule: sameRule},
	{Op: Cast, Name: "Cast", Args: 1, Doc: "x in the value's element type", rule: nil},
	{Op: Equal, Name: "Equal", Args: 2, Doc: "a = b as BOOL, b broadcast into a", rule: equalRule},
	{Op: Where, Name: "Where", Args: 3, Doc: "b where a holds, else c; b and c broadcast into a", rule: whereRule},
	{Op: GatherElements, Name: "GatherElements", Args: 2, Attrs: "Axis", Doc: "x[i,j,ids[i,j,k]] for the last axis, likewise for others", rule: gatherElementsRule},
	{Op: Range, Name: "Range", Attrs: "Start Limit", Doc: "the integers from Start up to, not including, Limit", rule: rangeRule},
	{Op: ConstantOfShape, Name: "ConstantOfShape", Attrs: "Shape Fill", Doc: "a tensor of one number", rule: constantOfShapeRule},
	{Op: Trilu, Name: "Trilu", Args: 1, Attrs: "Upper K", Doc: "one triangle of the last two axes, zero elsewhere", rule: triluRule},
	{Op: LayerNormalization, Name: "LayerNormalization", Args: 3, Attrs: "Epsilon Result", Doc: "x to mean 0, variance 1 over the last axis, then times scale plus bias; result 1 is the mean, 2 the inverse deviation", Composite: true, rule: layerNormalizationRule},
	{Op: Gelu, Name: "Gelu", Args: 1, Doc: "Gaussian error linear unit, tanh form (arXiv:1606.08415)", Composite: true, rule: floatRule},
	{Op: Attention, Name: "Attention", Args: 4, Attrs: "Scale", Doc: "softmax(q kᵀ · scale + mask) v for q (B,H,T,D), k and v (B,H,S,D), mask (T,S) or (B,1,T,S)", Composite: true, rule: attentionRule},
	{Op: SoftmaxCrossEntropyLoss, Name: "SoftmaxCrossEntropyLoss", Args: 2, Attrs: "IgnoreIndex", Doc: "mean of -log softmax(scores)[label] over labels that count; scores (B,V,T) or (N,V), labels (B,T) or (N)", Composite: true, rule: lossRule},
	{Op: Gemm, Name: "Gemm", Args: -1, Attrs: "TransA TransB", Doc: "a b or a b + c for matrices, a and b transposed first if asked; c broadcast into the product", Derived: true, rule: gemmRule},
	{Op: OneHot, Name: "OneHot", Args: 1, Attrs: "Depth", Doc: "ids to rows of Depth numbers: 1 at the id, 0 elsewhere", Derived: true, rule: oneHotRule},
	{Op: ScatterElements, Name: "ScatterElements", Args: 3, Attrs: "Axis", Doc: "x with updates added at ids along the axis: what GatherElements read", Derived: true, rule: scatterElementsRule},
	{Op: Sum, Name: "Sum", Args: -1, Doc: "sum of the arguments, broadcast to one another", Derived: true, rule: sumRule},
}

// Ops returns the op table. Every consumer has a test that ranges over it.
func Ops() []OpInfo { return table[:] }

// Info returns the row of op.
func (op Op) Info() OpInfo {
	if op < opCount {
		return table[op]
	}
	return OpInfo{Op: op, Name: "unknown"}
}

// String returns ONNX's name of op.
func (op Op) String() string { return op.Info().Name }

// Leaf reports whether op computes nothing: its value is given.
func (op Op) Leaf() bool { return op <= Const }
