package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Op is an operator with its attributes, such as Softmax{Axis: 1}. It has
// ONNX's name and ONNX's meaning (opset 24), restricted as its type says. The
// exported fields of the type are the attributes; attr.go lists their allowed
// types. This is the only definition of an operator. A consumer that does not
// compute it natively gets its decomposition, and an operator without Grad gets
// the gradient of its decomposition.
type Op interface {
	// Name is the operator's name in ONNX.
	Name() string
	// Infer returns the types of the results for arguments of the given types, or
	// an error if they do not fit. It does not look at the nodes that compute them.
	Infer(args []Type) ([]Type, error)
}

// Composite is an operator with a decomposition into others.
type Composite interface {
	Op
	// Decompose records the operator as other operators and returns the
	// replacements of its results: all of them, or the first ones.
	Decompose(b *Builder, args []*Value) []*Value
}

// Unrolled is a composite whose decomposition has a part for each position along an
// axis, so that it needs the size of that axis as a number. Decompose leaves it
// whole until then.
type Unrolled interface {
	Composite
	// Decomposes reports whether the sizes are known.
	Decomposes(args []*Value) bool
}

// Differentiable is an operator with its own gradient.
type Differentiable interface {
	Op
	// Grad records the derivatives of the loss by the arguments of n, given those
	// by its results (nil for a result without influence). It may return nil for an
	// argument that no derivative passes through. A derivative that is not needed
	// is dropped.
	Grad(b *Builder, n *Node, dy []*Value) []*Value
}

// Counted is an operator with result sizes that depend on data, such as the
// number of nonzero elements. Each such size is a named dimension that belongs
// to the operator. Evaluators bind it when the node has run. Later values may
// depend on it, but no input does.
type Counted interface {
	Op
	// Counts returns these dimensions.
	Counts() []Dim
}

// optional is an operator with optional last results.
type optional interface {
	required() int // number of results that are always present
}

// Input is a tensor that is given in every run.
type Input struct {
	Role role.Role `attr:"role,omitzero"`
}

// Param is a weight.
type Param struct {
	Init Init `attr:"init"` // initialization; not part of what the graph computes
}

// Const is a fixed tensor. Its name is "".
type Const struct {
	Value format.Tensor `attr:"value"`
}

// Name returns "Input".
func (Input) Name() string { return "Input" }

// Name returns "Param".
func (Param) Name() string { return "Param" }

// Name returns "Const".
func (Const) Name() string { return "Const" }

// Infer fails: the type of an input is given.
func (Input) Infer([]Type) ([]Type, error) { return nil, errGiven }

// Infer fails: the type of a parameter is given.
func (Param) Infer([]Type) ([]Type, error) { return nil, errGiven }

// Infer returns the type of the tensor.
func (c Const) Infer(args []Type) ([]Type, error) {
	if err := c.Value.Check(); err != nil {
		return nil, err
	}
	return []Type{{c.Value.DType, Numbers(c.Value.Shape...)}}, expect(args, 0)
}

var errGiven = fmt.Errorf("its type is given and not inferred")

func leaf(op Op) bool {
	switch op.(type) {
	case Input, Param, Const:
		return true
	}
	return false
}

// Init is the distribution of a parameter's initial values: normal with the
// given mean and standard deviation.
type Init struct {
	Mean, Std float64 // Std 0: every element is Mean
}

// Normal is the normal distribution with mean 0.
func Normal(std float64) Init { return Init{Std: std} }

// Constant gives every element the value v.
func Constant(v float64) Init { return Init{Mean: v} }

// operators lists every operator that attnx's own networks use, in the order of
// its files. Parse accepts them; every consumer has a test that ranges over
// them. A new operator is one type in one file of this folder, a line here, and
// a golden file in fixtures/ops. A user's own operators are passed to Parse.
var operators = []Op{
	Input{}, Param{}, Const{},
	Neg, Exp, Log, Sqrt, Tanh, Relu, Sigmoid, Erf, Sin, Cos, Abs, Sign, Floor, Ceil, Round, Reciprocal, Softplus, Not, Identity,
	Add, Sub, Mul, Div, Pow, Max, Min, Equal, Less, LessOrEqual, Greater, GreaterOrEqual, And, Or, Xor,
	Where{}, Cast{},
	Gather{}, GatherElements{}, ScatterElements{}, OneHot{},
	MatMul{}, Gemm{},
	Softmax{}, LogSoftmax{},
	Reduce{Kind: ReduceSum}, Reduce{Kind: ReduceMean}, Reduce{Kind: ReduceMax}, Reduce{Kind: ReduceMin}, ArgMax{}, CumSum{},
	Reshape{}, Transpose{}, Concat{}, Split{}, Slice{}, Expand{}, Trilu{},
	Range{}, ConstantOfShape{}, Positions{},
	LayerNormalization{}, RMSNormalization{},
	Gelu{}, Swish{},
	Attention{}, RotaryEmbedding{}, RelativePositionBias{},
	LSTM{}, GRU{},
	SoftmaxCrossEntropyLoss{},
}

// Operators returns one value of every operator that attnx's own networks use,
// with zero attributes. Every consumer supports them.
func Operators() []Op { return operators }

// imported lists the operators that occur only in models of other tools, one
// family per line. The oracle computes them, and Parse accepts them. Other
// consumers may refuse them by name. An operator that all consumers support
// moves to operators. Their golden files are ONNX's backend suite.
var imported = slices.Concat(
	[]Op{Tan, Asin, Acos, Atan, Sinh, Cosh, Asinh, Acosh, Atanh, IsNaN, BitwiseNot},
	[]Op{Mod, FMod, BitwiseAnd, BitwiseOr, BitwiseXor, ShiftLeft, ShiftRight},
	countedOps,
	convOps,
	poolOps,
	channelOps,
	imageOps,
	quantizeOps,
	statisticsOps,
	recurrentOps,
	attendingOps,
	scatterOps,
	rankingOps,
	signalOps,
	treeOps,
	[]Op{Dropout{}},
)

// Imported returns one value of every operator that occurs only in models of
// other tools, with zero attributes.
func Imported() []Op { return imported }

// expect checks that there are n arguments.
func expect(args []Type, n int) error {
	if len(args) != n {
		return fmt.Errorf("it takes %d arguments, got %d", n, len(args))
	}
	return nil
}

// expectFrom checks that there are least to most arguments.
func expectFrom(args []Type, least, most int) error {
	if len(args) < least || len(args) > most {
		return fmt.Errorf("it takes %d to %d arguments, got %d", least, most, len(args))
	}
	return nil
}

func expectFloat(args ...Type) error {
	for i, t := range args {
		if !t.DType.Float() {
			return fmt.Errorf("argument %d is %s, expected a floating-point type", i, t.DType)
		}
		if t.DType != args[0].DType {
			return fmt.Errorf("argument %d is %s, the first is %s", i, t.DType, args[0].DType)
		}
	}
	return nil
}

// expectNumbers reports elements that are neither integers nor floating-point
// numbers.
func expectNumbers(t Type) error {
	if bits, _ := t.DType.Integer(); bits == 0 && !t.DType.Float() {
		return fmt.Errorf("its argument is %s, expected numbers", t.DType)
	}
	return nil
}

func expectAxis(axis int, s Shape) error {
	if axis < 0 || axis >= len(s) {
		return fmt.Errorf("axis %d is outside shape %s", axis, s)
	}
	return nil
}

// one returns the types of an operator with one result.
func one(t format.DType, s Shape) []Type { return []Type{{t, s}} }

// broadcast returns the shape to which the given ones broadcast: dimension by
// dimension, aligned at the last one; a dimension of size 1 repeats.
func broadcast(shapes ...Shape) (Shape, error) {
	var out Shape
	for _, s := range shapes {
		if len(s) > len(out) {
			out = append(append(Shape(nil), s[:len(s)-len(out)]...), out...)
		}
		lead := len(out) - len(s)
		for i, d := range s {
			switch {
			case out[lead+i].Is(1):
				out[lead+i] = d
			case !d.Is(1) && d != out[lead+i]:
				return nil, fmt.Errorf("%s and %s do not broadcast to one shape: dimension %d from the end is %s and %s", shapes[0], s, len(s)-i, out[lead+i], d)
			}
		}
	}
	return out, nil
}
