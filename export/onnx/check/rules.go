package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// rule infers the types and shapes of a node's outputs and refuses inputs that do
// not fit together.
type rule func(c *call)

// ruleOf returns the rule of an operator, nil if there is none here. The types of
// the outputs then follow from those of the inputs, and their shapes are unknown.
func ruleOf(o *schema.Operator) rule {
	switch {
	case !o.Inference && !o.Function:
		return nil
	case o.Domain == "":
		return rules[o.Name]
	}
	return rules[o.Domain+"."+o.Name]
}

// rules are the operators' rules by name, which has the domain before it if that is
// not the standard one.
var rules map[string]rule

func init() {
	rules = map[string]rule{
		"Constant": constantRule, "Cast": func(c *call) { c.named("to", 0, 0); c.keep(0, 0) },
		"CastLike": func(c *call) { c.elem(1, 0); c.keep(0, 0) }, "Dropout": dropout, "Flatten": flatten, "Shape": shapeRule,
		"Size": func(c *call) { c.is(0, onnx.Int64); c.sized(0, nil) }, "ConstantOfShape": constantOfShape,
		"MatMul": func(c *call) { c.elem(0, 0); c.product(0, 1) }, "Gemm": gemm, "MatMulInteger": func(c *call) { c.is(0, onnx.Int32); c.product(0, 1) },
		"QLinearMatMul": func(c *call) { c.elem(7, 0); c.product(0, 3) },
		"Concat":        concat, "Transpose": transpose, "Reshape": reshape, "Expand": expand, "Gather": gather, "GatherElements": gatherElements,
		"GatherND": gatherND, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Slice": slice, "Split": split, "Tile": tile, "Where": where,
		"OneHot": oneHot, "NonZero": nonZero, "EyeLike": eyeLike, "Range": rangeRule, "Trilu": atLeast(2), "TopK": topK,
		"Softmax": axisRule("axis", -1), "LogSoftmax": axisRule("axis", -1), "Hardmax": axisRule("axis", -1), "LpNormalization": axisRule("axis", -1),
		"ArgMax": argReduce, "ArgMin": argReduce, "LayerNormalization": layerNorm, "RMSNormalization": rmsNorm,
		"If": ifRule, "Loop": loop, "SequenceConstruct": sequenceConstruct, "SequenceEmpty": sequenceEmpty, "SequenceLength": func(c *call) { c.is(0, onnx.Int64); c.sized(0, nil) },
		"SequenceAt": sequenceAt, "SequenceInsert": sequenceInsert, "SequenceErase": sequenceErase, "ConcatFromSequence": concatFromSequence,
		"Optional": optional, "OptionalHasElement": func(c *call) { c.is(0, onnx.Bool); c.sized(0, nil) }, "OptionalGetElement": optionalGetElement,
		"MaxPool": pool, "AveragePool": pool, "LpPool": pool, "GlobalAveragePool": globalPool, "GlobalMaxPool": globalPool, "GlobalLpPool": globalPool,
		"BatchNormalization": batchNorm, "Det": det, "DepthToSpace": blocks, "SpaceToDepth": blocks,
		"QuantizeLinear": quantize, "DequantizeLinear": dequantize, "DynamicQuantizeLinear": dynamicQuantize, "Pow": func(c *call) { c.elem(0, 0); c.broadcast(2) },
		"Compress": compress, "RandomNormalLike": like("dtype"), "RandomUniformLike": like("dtype"), "Bernoulli": like("dtype"), "Multinomial": multinomial,
		"RandomNormal": random, "RandomUniform": random, "Pad": pad, "ScatterND": same, "ScatterElements": same, "Scatter": same,
		"IsNaN": truth, "IsInf": truth, "RegexFullMatch": truth, "StringConcat": func(c *call) { c.is(0, onnx.String); c.broadcast(2) },
		"RNN": recurrent, "GRU": recurrent, "LSTM": recurrent, "MeanVarianceNormalization": meanVariance,
		"GroupNormalization":        func(c *call) { c.elem(0, 0) }, // the shape is that of the function's body, where it comes from data
		"NegativeLogLikelihoodLoss": nll, "SoftmaxCrossEntropyLoss": crossEntropy,
	}
	for _, name := range []string{
		"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu", "Clip", "Cos", "Cosh", "CumProd", "CumSum", "Elu", "Erf", "Exp", "Floor",
		"Gelu", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LRN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "PRelu", "Reciprocal", "Relu",
		"Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
	} {
		rules[name] = same
	}
	for _, name := range []string{"Add", "Sub", "Mul", "Div", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"} {
		rules[name] = func(c *call) { c.elem(0, 0); c.arithmetic(2) }
	}
	for _, name := range []string{"Max", "Min", "Sum", "Mean"} {
		rules[name] = func(c *call) { c.elem(0, 0); c.broadcast(len(c.node.Inputs)) }
	}
	for _, name := range []string{"And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"} {
		rules[name] = func(c *call) { c.is(0, onnx.Bool); c.arithmetic(2) }
	}
	for _, name := range []string{"L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"} {
		rules["Reduce"+name] = reduce
	}
}

func same(c *call)  { c.same(0, 0) }
func truth(c *call) { c.is(0, onnx.Bool); c.keep(0, 0) }

// keep gives an output the shape of an input.
func (c *call) keep(in, out int) {
	if dims, ok := c.shape(in); ok {
		c.sized(out, dims)
	}
}

// atLeast returns the rule of operators that keep their input's shape and need
// at least the given number of axes.
func atLeast(rank int) rule {
	return func(c *call) {
		c.elem(0, 0)
		if dims, ok := c.shape(0); ok {
			if len(dims) < rank {
				refuse("input 0 has %d axes, expects %d or more", len(dims), rank)
			}
			c.sized(0, dims)
		}
	}
}

// axisRule returns the rule of operators that keep their input's shape and have
// an axis attribute.
func axisRule(name string, newest int64) rule {
	return func(c *call) {
		c.same(0, 0)
		if dims, ok := c.shape(0); ok {
			otherwise := newest
			if a := c.op.Attribute(name); a != nil && a.Default != nil {
				otherwise = a.Default.Int
			}
			axis(c.int(name, otherwise), len(dims), 0)
		}
	}
}

// like returns the rule of operators with the shape of their input, and its
// type unless an attribute gives another one.
func like(attribute string) rule {
	return func(c *call) {
		if c.attribute(attribute) != nil {
			c.named(attribute, 0, 0)
		} else {
			c.elem(0, 0)
		}
		c.keep(0, 0)
	}
}

// arithmetic broadcasts two inputs, as from opset 7 on. Before, an attribute
// selected another kind of broadcasting, and the result has the shape of the
// first input.
func (c *call) arithmetic(n int) {
	if c.op.Attribute("broadcast") != nil {
		c.keep(0, 0)
		return
	}
	c.broadcast(n)
}

// broadcast gives the output the shape to which the first n inputs broadcast.
func (c *call) broadcast(n int) {
	if !c.shapes(n) {
		return
	}
	var list [][]onnx.Dim
	for i := range n {
		dims, _ := c.shape(i)
		list = append(list, dims)
	}
	c.sized(0, broadcast(list))
}

// broadcast returns the shape to which shapes broadcast: axis by axis from the last,
// sizes are equal or 1.
func broadcast(list [][]onnx.Dim) []onnx.Dim {
	rank := 0
	for _, dims := range list {
		rank = max(rank, len(dims))
	}
	out := make([]onnx.Dim, rank)
	for i := range out {
		size, names := int64(1), []onnx.Dim{}
		for _, dims := range list {
			j := i - (rank - len(dims))
			if j < 0 {
				continue
			}
			d := dims[j]
			switch {
			case d.Open:
				if len(names) == 0 || names[0].Param != d.Param || d.Param == "" {
					names = append(names, d)
				}
			case d.Value != 1 && size != 1 && d.Value != size:
				refuse("sizes %d and %d do not broadcast", size, d.Value)
			case d.Value != 1:
				size = d.Value
			}
		}
		switch {
		case size != 1 || len(names) == 0:
			out[i] = onnx.Dim{Value: size}
		case len(names) == 1:
			out[i] = names[0]
		default:
			out[i] = onnx.Dim{Open: true}
		}
	}
	return out
}

// product gives the output the shape of a product of matrices.
func (c *call) product(left, right int) {
	a, okA := c.shape(left)
	b, okB := c.shape(right)
	if !okA || !okB {
		return
	}
	if len(a) == 0 || len(b) == 0 {
		refuse("a product with a value that has no axes")
	}
	l, r := a, b
	if len(a) == 1 {
		l = []onnx.Dim{{Value: 1}, a[0]}
	}
	if len(b) == 1 {
		r = []onnx.Dim{b[0], {Value: 1}}
	}
	inner, other := l[len(l)-1], r[len(r)-2]
	if !inner.Open && !other.Open && inner.Value != other.Value {
		refuse("the first factor has %d columns, the second %d rows", inner.Value, other.Value)
	}
	out := broadcast([][]onnx.Dim{l[:len(l)-2], r[:len(r)-2]})
	if len(a) != 1 {
		out = append(out, l[len(l)-2])
	}
	if len(b) != 1 {
		out = append(out, r[len(r)-1])
	}
	c.sized(0, out)
}

func constantRule(c *call) {
	var held *onnx.Attribute
	count := 0
	for _, name := range []string{"value", "sparse_value", "value_int", "value_ints", "value_float", "value_floats", "value_string", "value_strings"} {
		if a := c.attribute(name); a != nil {
			held = a
			count++
		}
	}
	if count != 1 {
		refuse("a Constant has one value, this one has %d", count)
	}
	list := func(t onnx.DataType, n int) { c.is(0, t); c.sized(0, fixed([]int64{int64(n)})) }
	single := func(t onnx.DataType) { c.is(0, t); c.sized(0, nil) }
	switch held.Name {
	case "value":
		if held.Tensor != nil {
			c.is(0, held.Tensor.DataType)
			c.sized(0, fixed(held.Tensor.Dims))
		}
	case "sparse_value":
		if len(held.Sparse) > 0 && held.Sparse[0].Values != nil {
			c.is(0, held.Sparse[0].Values.DataType)
			c.sized(0, fixed(held.Sparse[0].Dims))
		}
	case "value_int":
		single(onnx.Int64)
	case "value_ints":
		list(onnx.Int64, len(held.Ints))
	case "value_float":
		single(onnx.Float)
	case "value_floats":
		list(onnx.Float, len(held.Floats))
	case "value_string":
		single(onnx.String)
	case "value_strings":
		list(onnx.String, len(held.Strings))
	}
}

func dropout(c *call) {
	c.same(0, 0)
	if c.has(1) && c.op.Since >= 12 {
		if dims, ok := c.shape(1); ok && len(dims) != 0 {
			refuse("the ratio has %d axes, expects none", len(dims))
		}
	}
	if c.has(2) {
		if dims, ok := c.shape(2); ok && len(dims) != 0 {
			refuse("training_mode has %d axes, expects none", len(dims))
		}
	}
	if len(c.outs) > 1 {
		if c.op.Since >= 10 {
			c.is(1, onnx.Bool)
		} else {
			c.elem(0, 1)
		}
		c.keep(0, 1)
	}
}

func gemm(c *call) {
	c.elem(0, 0)
	if c.op.Since >= 13 {
		rows, inner, columns := unknown(), unknown(), unknown()
		left, right := []*onnx.Dim{rows, inner}, []*onnx.Dim{inner, columns}
		if int32(c.int("transA", 0)) != 0 { // as ONNX reads it
			slices.Reverse(left)
		}
		if int32(c.int("transB", 0)) != 0 {
			slices.Reverse(right)
		}
		c.unify(0, left...)
		c.unify(1, right...)
		c.sized(0, []onnx.Dim{*rows, *columns})
		return
	}
	a, okA := c.shape(0)
	b, okB := c.shape(1)
	if !okA || !okB {
		return
	}
	if len(a) != 2 || len(b) != 2 {
		refuse("factors with %d and %d axes, expects 2", len(a), len(b))
	}
	rows, columns := a[0], b[1]
	if c.int("transA", 0) != 0 {
		rows = a[1]
	}
	if c.int("transB", 0) != 0 {
		columns = b[0]
	}
	c.sized(0, []onnx.Dim{rows, columns})
}

func random(c *call) {
	c.named("dtype", 0, onnx.Float)
	if a := c.attribute("shape"); a != nil {
		for _, d := range a.Ints {
			if d < 0 {
				refuse("shape %v is not a size", a.Ints)
			}
		}
		c.sized(0, fixed(a.Ints))
	}
}

func multinomial(c *call) {
	c.named("dtype", 0, onnx.Int32)
	size := onnx.Dim{Value: c.int("sample_size", 1)}
	if dims, ok := c.shape(0); ok {
		if len(dims) != 2 {
			refuse("input 0 has %d axes, expects 2", len(dims))
		}
		c.sized(0, []onnx.Dim{dims[0], size})
		return
	}
	c.sized(0, []onnx.Dim{{Open: true}, size})
}
