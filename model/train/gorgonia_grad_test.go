package train

import (
	"fmt"
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// A gradientCase builds a value from parameters that the test fills and
// differentiates. positive asks for parameters away from 0 and above it.
type gradientCase struct {
	name     string
	positive bool
	build    func(b *graph.Builder) *graph.Value
}

func paramOf(b *graph.Builder, name string, shape ...int) *graph.Value {
	return b.Param(name, graph.Normal(1), shape...)
}

func idsConst(b *graph.Builder, name string, shape []int, x ...int64) *graph.Value {
	return b.Const(format.FromInt64s(name, shape, x))
}

func maskConst(b *graph.Builder) *graph.Value {
	return b.Const(format.FromFloat32s("mask", []int{2, 3}, []float32{0, 0, -1e9, 0, 0, 0}))
}

// gradientCases holds, for every operator, the shapes at which an
// implementation could go wrong: broadcasting every way, axes of length 1, a
// value used twice, an id that comes twice.
var gradientCases = map[string][]gradientCase{
	"Input": {{name: "an input beside parameters", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 3), b.Input("given", format.Float32, graph.N(3)))
	}}},
	"Param": {{name: "used three times", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Add(b.Mul(x, x), x)
	}}, {name: "one element used three times", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 1)
		return b.Add(b.Mul(x, x), x)
	}}, {name: "called as the gradient is", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(paramOf(b, "gradient of loss", 1))
	}}, {name: "no part in the loss", build: func(b *graph.Builder) *graph.Value {
		paramOf(b, "unused", 2)
		return b.Neg(paramOf(b, "x", 2, 3))
	}}},
	"Const": {{name: "constants of equal values stay apart", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2)
		one := b.Const(format.FromFloat32s("one", []int{2}, []float32{2, 3}))
		two := b.Const(format.FromFloat32s("two", []int{2}, []float32{2, 3}))
		return b.Add(b.Mul(x, one), b.Mul(b.Mul(x, x), two))
	}}},
	"Gather": {{name: "another axis", build: func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1}, 1, paramOf(b, "table", 2, 4, 3), idsConst(b, "ids", []int{2, 2}, 3, 1, 0, 3))[0]
	}}, {name: "an id three times", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 3), idsConst(b, "ids", []int{2, 3}, 1, 3, 1, 0, 1, 2))
	}}, {name: "one id", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 1), idsConst(b, "ids", []int{1, 1}, 2))
	}}, {name: "scalars by a scalar id", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4), idsConst(b, "ids", []int{}, 2))
	}}, {name: "tied with a product", build: func(b *graph.Builder) *graph.Value {
		table := paramOf(b, "table", 4, 3)
		return b.MatMul(b.Gather(table, idsConst(b, "ids", []int{2, 2}, 1, 3, 1, 0)), b.Transpose(table, 1, 0))
	}}},
	"MatMul": {{name: "leading dimensions both ways", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 1, 3, 4), paramOf(b, "y", 5, 4, 2))
	}}, {name: "plain", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 3, 4), paramOf(b, "y", 4, 5))
	}}, {name: "more rows and columns than a tile", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 7, 3), paramOf(b, "y", 3, 18))
	}}, {name: "leading axes", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 4), paramOf(b, "y", 4, 5))
	}}, {name: "batch", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 2, 3, 4), paramOf(b, "y", 2, 2, 4, 5))
	}}, {name: "turned", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 4), b.Transpose(paramOf(b, "y", 5, 4), 1, 0))
	}}, {name: "turned batch", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 4), b.Transpose(paramOf(b, "y", 2, 5, 4), 0, 2, 1))
	}}, {name: "vectors in matrix form", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 1, 4), paramOf(b, "y", 4, 1))
	}}, {name: "outer product", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 4, 1), paramOf(b, "y", 1, 4))
	}}, {name: "by itself", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 3, 3)
		return b.MatMul(x, b.Transpose(x, 1, 0))
	}}},
	"Add": broadcasts((*graph.Builder).Add),
	"Sub": broadcasts((*graph.Builder).Sub),
	"Mul": broadcasts((*graph.Builder).Mul),
	"Div": broadcasts((*graph.Builder).Div),
	"Neg": {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Neg(b.Neg(paramOf(b, "x", 2, 3))) }}},
	"Exp": {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Exp(paramOf(b, "x", 2, 3)) }}},
	"Log": {{name: "any", positive: true, build: func(b *graph.Builder) *graph.Value { return b.Log(paramOf(b, "x", 2, 3)) }},
		{name: "of 1 + x", positive: true, build: func(b *graph.Builder) *graph.Value {
			return b.Log(b.Add(paramOf(b, "x", 2, 3), b.Scalar(1)))
		}}},
	"Sqrt": {{name: "any", positive: true, build: func(b *graph.Builder) *graph.Value { return b.Sqrt(paramOf(b, "x", 2, 3)) }}},
	"Tanh": {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Tanh(paramOf(b, "x", 2, 3)) }},
		{name: "a scalar", build: func(b *graph.Builder) *graph.Value { return b.Tanh(paramOf(b, "x")) }}},
	"Relu": {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Relu(paramOf(b, "x", 4, 5)) }}},
	"Softmax": everyAxis((*graph.Builder).Softmax, gradientCase{name: "beside its logarithm", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Add(b.Softmax(x, -1), b.LogSoftmax(x, -1))
	}}),
	"LogSoftmax": everyAxis((*graph.Builder).LogSoftmax),
	"ReduceSum":  reductions((*graph.Builder).ReduceSum),
	"ReduceMean": reductions((*graph.Builder).ReduceMean),
	"Reshape": {{name: "any", build: func(b *graph.Builder) *graph.Value {
		return b.Reshape(paramOf(b, "x", 2, 3, 4), graph.Numbers(6, 1, 4)...)
	}}},
	"Transpose": {{name: "heads", build: func(b *graph.Builder) *graph.Value {
		return b.Transpose(paramOf(b, "x", 2, 3, 2, 4), 0, 2, 1, 3)
	}}, {name: "matrix", build: func(b *graph.Builder) *graph.Value {
		return b.Transpose(paramOf(b, "x", 3, 5), 1, 0)
	}}, {name: "all axes", build: func(b *graph.Builder) *graph.Value {
		return b.Transpose(paramOf(b, "x", 2, 3, 4, 5), 3, 1, 0, 2)
	}}, {name: "axes of length 1", build: func(b *graph.Builder) *graph.Value {
		return b.Transpose(paramOf(b, "x", 1, 3, 1, 4), 2, 1, 0, 3)
	}}},
	"Concat": {{name: "last axis", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Concat(1, x, paramOf(b, "y", 2, 1), x)
	}}, {name: "first axis", build: func(b *graph.Builder) *graph.Value {
		return b.Concat(0, paramOf(b, "x", 1, 3), paramOf(b, "y", 2, 3))
	}}},
	"Split": {{name: "last axis", build: func(b *graph.Builder) *graph.Value {
		p := b.Split(paramOf(b, "x", 2, 6), -1, 2, 1, 3)
		return b.Mul(b.Concat(1, p[0], p[2]), b.Reshape(b.Concat(1, p[1], p[1], p[0], p[1]), graph.Numbers(2, 5)...))
	}}, {name: "one row", build: func(b *graph.Builder) *graph.Value {
		p := b.Split(paramOf(b, "x", 1, 6), -1, 2, 2, 2)
		return b.Mul(p[0], p[2])
	}}, {name: "first axis", build: func(b *graph.Builder) *graph.Value {
		p := b.Split(paramOf(b, "x", 3, 2), 0, 1, 2)
		return b.Mul(p[1], p[0])
	}}, {name: "one of several parts", build: func(b *graph.Builder) *graph.Value {
		return b.Split(paramOf(b, "x", 2, 3, 2), 1, 1, 2)[1]
	}}},
	"Slice": {{name: "first axis", build: func(b *graph.Builder) *graph.Value {
		return b.Slice(paramOf(b, "x", 4, 3), 0, graph.N(1), graph.N(3))
	}}, {name: "one position", build: func(b *graph.Builder) *graph.Value {
		return b.Slice(paramOf(b, "x", 4, 3), 1, graph.N(2), graph.N(3))
	}}, {name: "all of a single one", build: func(b *graph.Builder) *graph.Value {
		return b.Slice(paramOf(b, "x", 1, 1), 1, graph.N(0), graph.N(1))
	}}},
	"Identity": {{name: "any", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Mul(b.Identity(x), x)
	}}},
	"Cast": {{name: "between floating-point types", build: func(b *graph.Builder) *graph.Value {
		return b.Cast(b.Cast(paramOf(b, "x", 2, 3), format.Float64), format.Float32)
	}}, {name: "from integers", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 3), b.Cast(idsConst(b, "i", []int{3}, 2, -1, 5), format.Float32))
	}}},
	"Equal": {{name: "as a factor", build: func(b *graph.Builder) *graph.Value {
		e := b.Equal(idsConst(b, "i", []int{2, 3}, 1, 2, 3, 3, 2, 1), idsConst(b, "j", []int{3}, 1, 2, 1))
		return b.Mul(paramOf(b, "x", 2, 3), b.Cast(e, format.Float32))
	}}},
	"Where": {{name: "both sides broadcast", build: func(b *graph.Builder) *graph.Value {
		e := b.Equal(idsConst(b, "i", []int{2, 3}, 1, 2, 3, 3, 2, 1), idsConst(b, "j", []int{}, 2))
		return b.Where(e, paramOf(b, "x", 3), paramOf(b, "y", 2, 1))
	}}},
	"GatherElements": {{name: "last axis", build: func(b *graph.Builder) *graph.Value {
		return b.GatherElements(paramOf(b, "x", 2, 3), idsConst(b, "i", []int{2, 2}, 1, 1, 2, 0), -1)
	}}, {name: "middle axis", build: func(b *graph.Builder) *graph.Value {
		return b.GatherElements(paramOf(b, "x", 2, 3, 2), idsConst(b, "i", []int{2, 1, 2}, 1, 1, 2, 0), 1)
	}}},
	"Range": {{name: "as ids", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 2), b.Range(graph.N(1), graph.N(3)))
	}}},
	"ConstantOfShape": {{name: "as a factor", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 2, 3), b.ConstantOfShape(2.5, graph.Numbers(2, 3)...))
	}}},
	"Trilu": {{name: "of a parameter", build: func(b *graph.Builder) *graph.Value {
		return b.TriluUpper(paramOf(b, "x", 2, 3, 4), graph.N(1))
	}}, {name: "of a constant", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 3, 3), b.TriluUpper(b.ConstantOfShape(2, graph.Numbers(3, 3)...), graph.N(1)))
	}}},
	"LayerNormalization": {{name: "its mean and deviation too", build: func(b *graph.Builder) *graph.Value {
		r := b.Apply(graph.LayerNormalization{Epsilon: 1e-2}, 3, paramOf(b, "x", 3, 4), paramOf(b, "scale", 4))
		return b.Add(b.Mul(r[0], r[1]), r[2])
	}}, {name: "any", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 2, 3, 5), paramOf(b, "scale", 5), paramOf(b, "bias", 5), 1e-5)
	}}, {name: "more rows than blocks", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 37, 3), paramOf(b, "scale", 3), paramOf(b, "bias", 3), 1e-2)
	}}, {name: "one row", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 1, 1, 4), paramOf(b, "scale", 4), paramOf(b, "bias", 4), 1e-5)
	}}},
	"Gelu":    {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Gelu(paramOf(b, "x", 3, 5)) }}, {name: "tanh", build: func(b *graph.Builder) *graph.Value { return b.GeluTanh(paramOf(b, "x", 3, 5)) }}},
	"Pow":     broadcasts((*graph.Builder).Pow),
	"Max":     broadcasts((*graph.Builder).Max),
	"Min":     broadcasts((*graph.Builder).Min),
	"Sigmoid": elementwise(graph.Sigmoid), "Erf": elementwise(graph.Erf), "Sin": elementwise(graph.Sin), "Cos": elementwise(graph.Cos),
	"Abs": elementwise(graph.Abs), "Sign": elementwise(graph.Sign), "Floor": elementwise(graph.Floor), "Ceil": elementwise(graph.Ceil), "Round": elementwise(graph.Round),
	"Reciprocal": elementwise(graph.Reciprocal), "Softplus": elementwise(graph.Softplus), "Swish": append(elementwise(graph.Swish{Alpha: 1}), elementwise(graph.Swish{Alpha: 1.75})...),
	"ReduceMax": reductions(reduced(graph.ReduceMax)),
	"ReduceMin": reductions(reduced(graph.ReduceMin)),
	"CumSum":    append(everyAxis(cumSum(false, false)), append(everyAxis(cumSum(true, true)), append(everyAxis(cumSum(true, false)), everyAxis(cumSum(false, true))...)...)...),
	"Expand": {{name: "a dimension of 1 and one more", build: func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Expand{Shape: graph.Numbers(2, 3, 4)}, 1, paramOf(b, "x", 3, 1))[0]
	}}},
	"RMSNormalization": {{name: "rows", build: func(b *graph.Builder) *graph.Value {
		return b.RMSNormalization(paramOf(b, "x", 2, 3, 5), paramOf(b, "scale", 5), 1e-5)
	}}},
	"RotaryEmbedding": {rotary(graph.RotaryEmbedding{Scale: 1}, 4), rotary(graph.RotaryEmbedding{Scale: 0.5, Interleaved: true}, 6)},
	"ScatterElements": {{name: "an id twice", build: func(b *graph.Builder) *graph.Value {
		return b.ScatterElements(paramOf(b, "x", 2, 3), idsConst(b, "i", []int{2, 2}, 0, 0, 2, 1), paramOf(b, "u", 2, 2), 1)
	}}},
	"Gemm": {{name: "transposed, with a bias", build: func(b *graph.Builder) *graph.Value {
		return b.Gemm(paramOf(b, "x", 2, 3), paramOf(b, "y", 4, 2), paramOf(b, "c", 4), true, true)
	}}},
	"Attention": {attended(graph.Attention{Scale: 0.5, Causal: true}, 2, 2), attended(graph.Attention{Scale: 0.5, Causal: true, Window: 2}, 2, 2),
		attended(graph.Attention{Scale: 0.5}, 4, 2), attended(graph.Attention{Scale: 0.5, Causal: true}, 3, 1),
		{name: "a mask of truth values", build: func(b *graph.Builder) *graph.Value {
			m := b.Const(format.Tensor{Name: "mask", DType: format.Bool, Shape: []int{2, 1, 1, 3}, Data: []byte{1, 0, 1, 1, 1, 0}})
			return b.Attention(graph.Attention{Scale: 0.5}, paramOf(b, "q", 2, 2, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 4), m)
		}}, {name: "causal by a mask", build: func(b *graph.Builder) *graph.Value {
			return b.Attention(graph.Attention{Scale: 0.5}, paramOf(b, "q", 2, 2, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 4), maskConst(b))
		}}, {name: "learned mask", build: func(b *graph.Builder) *graph.Value {
			return b.Attention(graph.Attention{Scale: 0.5}, paramOf(b, "q", 2, 2, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 4), paramOf(b, "mask", 2, 3))
		}}, {name: "one of everything", build: func(b *graph.Builder) *graph.Value {
			q := paramOf(b, "q", 1, 1, 1, 1)
			return b.Attention(graph.Attention{Scale: 0.5}, q, q, paramOf(b, "v", 1, 1, 1, 1), b.ConstantOfShape(0, graph.Numbers(1, 1)...))
		}}},
	"SoftmaxCrossEntropyLoss": {{name: "classes on axis 1", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(paramOf(b, "x", 2, 4, 3), idsConst(b, "l", []int{2, 3}, 1, -100, 3, 3, 0, -100), -100)
	}}, {name: "classes last", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(b.Transpose(paramOf(b, "x", 2, 3, 4), 0, 2, 1), idsConst(b, "l", []int{2, 3}, 1, -100, 3, 3, 0, -100), -100)
	}}, {name: "one label", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(paramOf(b, "x", 1, 4, 1), idsConst(b, "l", []int{1, 1}, 2), -100)
	}}},
}

// noGradient are the operators that no derivative passes through, and why.
var noGradient = map[string]string{
	"OneHot": "of integers", "Positions": "integers", "ArgMax": "integers",
	"Less": "a BOOL", "LessOrEqual": "a BOOL", "Greater": "a BOOL", "GreaterOrEqual": "a BOOL",
	"And": "a BOOL", "Or": "a BOOL", "Xor": "a BOOL", "Not": "a BOOL",
}

// elementwise is an operator of one argument away from its kinks.
func elementwise(op graph.Op) []gradientCase {
	return []gradientCase{{"any", true, func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Mul(b.Apply(op, 1, x)[0], x)
	}}, {"a scalar", true, func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x")
		return b.Add(b.Apply(op, 1, b.Neg(x))[0], x)
	}}}
}

func reduced(k graph.ReduceKind) func(b *graph.Builder, x *graph.Value, keep bool, axes ...int) *graph.Value {
	return func(b *graph.Builder, x *graph.Value, keep bool, axes ...int) *graph.Value {
		return b.Apply(graph.Reduce{Kind: k, Axes: axes, KeepDims: keep}, 1, x)[0]
	}
}

func cumSum(exclusive, reverse bool) func(b *graph.Builder, x *graph.Value, axis int) *graph.Value {
	return func(b *graph.Builder, x *graph.Value, axis int) *graph.Value {
		return b.Apply(graph.CumSum{Axis: axis, Exclusive: exclusive, Reverse: reverse}, 1, x)[0]
	}
}

// rotary turns vectors of d elements by two angles.
func rotary(r graph.RotaryEmbedding, d int) gradientCase {
	return gradientCase{fmt.Sprint(r, d), false, func(b *graph.Builder) *graph.Value {
		return b.RotaryEmbedding(r, paramOf(b, "x", 2, 2, 3, d), idsConst(b, "places", []int{3}, 0, 2, 5), paramOf(b, "angles", 2))
	}}
}

// attended has 2 queries for 3 keys, and values of another width than keys.
func attended(a graph.Attention, heads, groups int) gradientCase {
	return gradientCase{fmt.Sprint(a, heads, groups), false, func(b *graph.Builder) *graph.Value {
		return b.Attention(a, paramOf(b, "q", 2, heads, 2, 4), paramOf(b, "k", 2, groups, 3, 4), paramOf(b, "v", 2, groups, 3, 5), nil)
	}}
}

// broadcasts is an operator of two arguments with every way to broadcast.
func broadcasts(op func(b *graph.Builder, x, y *graph.Value) *graph.Value) []gradientCase {
	var out []gradientCase
	for _, y := range [][]int{{2, 3, 4}, {3, 4}, {4}, {}, {1}, {2, 1, 1}, {2, 3, 1}, {1, 3, 1}, {2, 1, 4}, {1, 1, 1}} {
		out = append(out, gradientCase{fmt.Sprint(y), true, func(b *graph.Builder) *graph.Value {
			return op(b, paramOf(b, "x", 2, 3, 4), paramOf(b, "y", y...))
		}})
	}
	for _, x := range [][]int{{}, {1}, {1, 1}, {1, 1, 1, 1}, {1, 2, 1}} {
		out = append(out, gradientCase{fmt.Sprint("same shape ", x), true, func(b *graph.Builder) *graph.Value {
			return op(b, paramOf(b, "x", x...), paramOf(b, "y", x...))
		}})
	}
	return append(out, gradientCase{"two axes apart of five", true, func(b *graph.Builder) *graph.Value {
		return op(b, paramOf(b, "x", 2, 3, 2, 2, 2), paramOf(b, "y", 2, 1, 2, 1, 2))
	}}, gradientCase{"by itself", true, func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return op(b, x, x)
	}})
}

func everyAxis(op func(b *graph.Builder, x *graph.Value, axis int) *graph.Value, more ...gradientCase) []gradientCase {
	for axis := range 3 {
		more = append(more, gradientCase{fmt.Sprint("axis ", axis), false, func(b *graph.Builder) *graph.Value {
			return op(b, paramOf(b, "x", 2, 3, 4), axis)
		}}, gradientCase{fmt.Sprint("axis of length 1, ", axis), false, func(b *graph.Builder) *graph.Value {
			// Its softmax is 1 whatever x is: a second use keeps a gradient.
			x := paramOf(b, "x", 1, 1, 1)
			return b.Add(op(b, x, axis), x)
		}})
	}
	return more
}

func reductions(op func(b *graph.Builder, x *graph.Value, keep bool, axes ...int) *graph.Value) []gradientCase {
	var out []gradientCase
	for _, axes := range [][]int{{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2}} {
		for _, keep := range []bool{false, true} {
			out = append(out, gradientCase{fmt.Sprint(axes, keep), false, func(b *graph.Builder) *graph.Value {
				return op(b, paramOf(b, "x", 2, 3, 4), keep, axes...)
			}})
		}
	}
	return append(out, gradientCase{"lengths 1", false, func(b *graph.Builder) *graph.Value {
		return op(b, paramOf(b, "x", 1, 1), false, 0, 1)
	}})
}

// TestGradients compares every operator's gradient with central differences.
func TestGradients(t *testing.T) {
	for _, op := range graph.Operators() {
		cases := gradientCases[op.Name()]
		if _, none := noGradient[op.Name()]; none != (len(cases) == 0) {
			t.Errorf("%s has a case and a reason to have none, or neither", op.Name())
		}
		for _, c := range cases {
			t.Run(op.Name()+"/"+c.name, func(t *testing.T) { checkGradient(t, c) })
		}
	}
}

// TestDecomposedGradients does the same to the forms without composites.
func TestDecomposedGradients(t *testing.T) {
	for _, op := range graph.Operators() {
		for _, c := range gradientCases[op.Name()] {
			if _, composite := op.(graph.Composite); composite {
				t.Run(op.Name()+"/"+c.name, func(t *testing.T) { checkGradient(t, c, graph.DecomposeAll) })
			}
		}
	}
}

// gradientStep is the step of the central differences: with errors of order
// h² from the cut-off series and 1e-16/h from rounding, both then stay below
// 1e-9 for numbers of order 1.
const gradientStep = 1e-5

// gradientTolerance leaves room for operators whose third derivative is large.
const gradientTolerance = 1e-7

func checkGradient(t *testing.T, c gradientCase, passes ...graph.Pass) {
	t.Helper()
	g := lossGraph(t, c, passes...)
	p, err := compile[float64](g, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	values := fillParams(t, p, c.positive)
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	var got [][]float64
	for i := range p.params {
		got = append(got, make([]float64, len(values[i])))
		if s := p.grads[i]; s >= 0 {
			copy(got[i], p.slots[s].f)
		}
	}
	forward, err := compile[float64](g, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	fillParams(t, forward, c.positive)
	loss := func(x *float64, v float64) float64 {
		old := *x
		*x = v
		defer func() { *x = old }()
		for i, g := range forward.params {
			if err := forward.set(g, format.FromFloat64s(g.name, g.shape, values[i])); err != nil {
				t.Fatal(err)
			}
		}
		if err := forward.run(); err != nil {
			t.Fatal(err)
		}
		return forward.slots[forward.outputs[0].slot].f[0]
	}
	for i, g := range p.params {
		for j := range values[i] {
			x := &values[i][j]
			want := (loss(x, *x+gradientStep) - loss(x, *x-gradientStep)) / (2 * gradientStep)
			if d := math.Abs(got[i][j] - want); !(d <= gradientTolerance*max(1, math.Abs(want))) {
				t.Errorf("gradient of %s[%d] = %.12g, central difference %.12g", g.name, j, got[i][j], want)
			}
		}
	}
}

// lossGraph makes the value of a case a loss that weighs every element
// differently.
func lossGraph(t *testing.T, c gradientCase, passes ...graph.Pass) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder()
	v := c.build(b)
	shape, _ := v.Shape.Numbers()
	n, _ := format.Elements(shape)
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(i%7) - 2.5
	}
	loss := b.Mul(v, b.Const(format.FromFloat32s("weight of each", shape, w)))
	if len(shape) > 0 {
		axes := make([]int, len(shape))
		for i := range axes {
			axes[i] = i
		}
		loss = b.ReduceSum(loss, false, axes...)
	}
	b.Output("loss", loss)
	g, err := b.Graph()
	if err == nil {
		g, err = graph.Apply(g, passes...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fillParams gives parameters and inputs numbers of order 1, none at a kink.
func fillParams[E element](t *testing.T, p *program[E], positive bool) [][]float64 {
	t.Helper()
	var values [][]float64
	for _, g := range append(append([]given(nil), p.params...), p.inputs...) {
		n, _ := format.Elements(g.shape)
		x := make([]float32, n)
		model.NewStream(7, g.name).FillNormal(x, 1)
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(x[i])
			if positive {
				v[i] = 0.5 + math.Abs(v[i])
			}
		}
		values = append(values, v)
		if err := p.set(g, format.FromFloat64s(g.name, g.shape, v)); err != nil {
			t.Fatal(err)
		}
	}
	return values
}
