package ref_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/ref"
)

// A derivative of a smooth function by central differences of width 2h errs by
// h²·f”'/6 plus the rounding of f over h. With float32 parameters moved by
// exact powers of two and h = 2⁻¹⁰ extrapolated to h = 0 (Richardson) from two
// widths, both stay below 1e-8 of the largest derivative.
const derivativeBound = 1e-6

type gradCase struct {
	name     string
	positive bool
	build    func(b *graph.Builder) *graph.Value
}

func param(b *graph.Builder, name string, shape ...int) *graph.Value {
	return b.Param(name, graph.Normal(1), shape...)
}

func fixedIDs(b *graph.Builder, name string, shape []int, x ...int64) *graph.Value {
	return b.Const(format.FromInt64s(name, shape, x))
}

func causal(b *graph.Builder) *graph.Value {
	return b.Const(format.FromFloat32s("mask", []int{2, 3}, []float32{0, 0, -1e9, 0, 0, 0}))
}

// binary returns the ways in which two arguments broadcast to one another.
func binary(f func(b *graph.Builder, x, y *graph.Value) *graph.Value) []gradCase {
	var out []gradCase
	for _, shape := range [][]int{{2, 3, 4}, {4}, {}, {3, 1}, {2, 1, 4}, {1, 1, 1}, {1, 3, 4}} {
		out = append(out, gradCase{fmt.Sprint("broadcast ", shape), true, func(b *graph.Builder) *graph.Value {
			return f(b, param(b, "x", 2, 3, 4), param(b, "y", shape...))
		}}, gradCase{fmt.Sprint("the other way ", shape), true, func(b *graph.Builder) *graph.Value {
			return f(b, param(b, "y", shape...), param(b, "x", 2, 3, 4))
		}})
	}
	out = append(out, gradCase{"both ways", true, func(b *graph.Builder) *graph.Value {
		return f(b, param(b, "x", 3, 1), param(b, "y", 2, 1, 4))
	}})
	return append(out, gradCase{"with itself", true, func(b *graph.Builder) *graph.Value {
		x := param(b, "x", 3)
		return f(b, x, x)
	}})
}

func unary(f func(b *graph.Builder, x *graph.Value) *graph.Value) []gradCase {
	return []gradCase{{"matrix", true, func(b *graph.Builder) *graph.Value { return f(b, param(b, "x", 2, 3)) }},
		{"twice", true, func(b *graph.Builder) *graph.Value { x := param(b, "x", 3); return b.Mul(f(b, x), f(b, x)) }}}
}

// gradCases holds the shapes at which a rule could go wrong, for every operator
// that a parameter's influence passes through.
var gradCases = map[string][]gradCase{
	"Param": {{"used three times", false, func(b *graph.Builder) *graph.Value {
		x := param(b, "x", 2, 3)
		return b.Add(b.Mul(x, x), x)
	}}, {"no part in the loss", false, func(b *graph.Builder) *graph.Value {
		param(b, "unused", 2)
		return b.Neg(param(b, "x", 2))
	}}, {"is the loss", false, func(b *graph.Builder) *graph.Value { return param(b, "x", 2) }}},
	"Gather": {{"another axis", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1}, 1, param(b, "table", 2, 4, 3), fixedIDs(b, "ids", []int{2, 2}, 3, 1, 0, 3))[0]
	}}, {"ids from the end", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{FromEnd: true}, 1, param(b, "table", 4, 3), fixedIDs(b, "ids", []int{3}, -1, 0, -4))[0]
	}}, {"ids from the end of another axis", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1, FromEnd: true}, 1, param(b, "table", 2, 4, 3), fixedIDs(b, "ids", []int{3}, -2, 3, -2))[0]
	}}, {"an id three times", false, func(b *graph.Builder) *graph.Value {
		return b.Gather(param(b, "table", 4, 3), fixedIDs(b, "ids", []int{2, 3}, 1, 3, 1, 0, 1, 2))
	}}, {"scalars by a scalar id", false, func(b *graph.Builder) *graph.Value {
		return b.Gather(param(b, "table", 4), fixedIDs(b, "ids", []int{}, 2))
	}}, {"rows of rank 2", false, func(b *graph.Builder) *graph.Value {
		return b.Gather(param(b, "table", 3, 2, 2), fixedIDs(b, "ids", []int{4}, 2, 0, 2, 2))
	}}, {"a vocabulary that is scattered", false, func(b *graph.Builder) *graph.Value {
		return b.Gather(param(b, "table", 2500, 1), fixedIDs(b, "ids", []int{2, 2}, 2, 2499, 2, 0))
	}}, {"tied with a product", false, func(b *graph.Builder) *graph.Value {
		table := param(b, "table", 4, 3)
		return b.MatMul(b.Gather(table, fixedIDs(b, "ids", []int{2, 2}, 1, 3, 1, 0)), b.Transpose(table, 1, 0))
	}}},
	"MatMul": {{"leading dimensions both ways", false, func(b *graph.Builder) *graph.Value {
		return b.MatMul(param(b, "x", 2, 1, 3, 4), param(b, "y", 5, 4, 2))
	}}, {"a matrix first", false, func(b *graph.Builder) *graph.Value { return b.MatMul(param(b, "x", 3, 4), param(b, "y", 2, 4, 5)) }}, {"matrices", false, func(b *graph.Builder) *graph.Value { return b.MatMul(param(b, "x", 3, 4), param(b, "y", 4, 5)) }},
		{"leading axes", false, func(b *graph.Builder) *graph.Value { return b.MatMul(param(b, "x", 2, 3, 4), param(b, "y", 4, 5)) }},
		{"batch", false, func(b *graph.Builder) *graph.Value {
			return b.MatMul(param(b, "x", 2, 2, 3, 4), param(b, "y", 2, 2, 4, 5))
		}},
		{"by itself", false, func(b *graph.Builder) *graph.Value {
			x := param(b, "x", 3, 3)
			return b.MatMul(x, b.Transpose(x, 1, 0))
		}}},
	"LSTM": recurrentGradients(graph.LSTM{Activations: "Sigmoid Tanh Tanh", Reverse: true}, 4, 2),
	"GRU":  append(recurrentGradients(graph.GRU{Activations: "Sigmoid Tanh"}, 3, 1), recurrentGradients(graph.GRU{Activations: "Sigmoid Tanh", LinearBeforeReset: true}, 3, 1)...),
	"RNN":  recurrentGradients(graph.RNN{Activations: "Tanh"}, 1, 1),
	"ReduceProd": {{"no zero", true, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.ReduceProd{Axes: []int{0, 2}, KeepDims: true}, 1, param(b, "x", 2, 3, 2))[0]
	}}, {"zeros", true, func(b *graph.Builder) *graph.Value { // one in the first row, two in the second
		zeros := b.Const(format.FromFloat32s("zeros", []int{3, 3}, []float32{1, 0, 1, 0, 1, 0, 1, 1, 1}))
		return b.Apply(graph.ReduceProd{Axes: []int{1}}, 1, b.Mul(param(b, "x", 3, 3), zeros))[0]
	}}},
	"GatherND": {{"a batch, negative ids", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.GatherND{BatchDims: 1}, 1, param(b, "x", 2, 3, 2, 2), fixedIDs(b, "ids", []int{2, 3, 2}, 0, 1, -1, 0, 0, 1, 2, -2, 1, 1, 2, 0))[0]
	}}},
	"ScatterND": {{"replaced", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.ScatterND{}, 1, param(b, "x", 3, 2, 2), fixedIDs(b, "ids", []int{2, 2}, 0, 1, -1, 0), param(b, "updates", 2, 2))[0]
	}}, {"added", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.ScatterND{Reduction: "add"}, 1, param(b, "x", 3, 2), fixedIDs(b, "ids", []int{3, 1}, 0, 2, 0), param(b, "updates", 3, 2))[0]
	}}},
	"Gemm": gemms(),
	"Add":  binary((*graph.Builder).Add), "Sub": binary((*graph.Builder).Sub),
	"Mul": binary((*graph.Builder).Mul), "Div": binary((*graph.Builder).Div),
	"Neg": unary((*graph.Builder).Neg), "Exp": unary((*graph.Builder).Exp), "Log": unary((*graph.Builder).Log),
	"Sqrt": unary((*graph.Builder).Sqrt), "Tanh": unary((*graph.Builder).Tanh), "Gelu": append(unary((*graph.Builder).Gelu), unary((*graph.Builder).GeluTanh)...),
	"Identity": unary((*graph.Builder).Identity),
	"Relu": append(unary((*graph.Builder).Relu), gradCase{"negative", true, func(b *graph.Builder) *graph.Value {
		return b.Relu(b.Neg(param(b, "x", 3)))
	}}),
	"Cast": unary(func(b *graph.Builder, x *graph.Value) *graph.Value {
		return b.Cast(b.Cast(x, format.Float64), format.Float32)
	}),
	"Softmax":    axisCases((*graph.Builder).Softmax),
	"LogSoftmax": axisCases((*graph.Builder).LogSoftmax),
	"ReduceSum":  reductions((*graph.Builder).ReduceSum),
	"ReduceMean": reductions((*graph.Builder).ReduceMean),
	"Reshape": {{"three axes to two", false, func(b *graph.Builder) *graph.Value {
		return b.Reshape(param(b, "x", 2, 3, 4), graph.N(6), graph.N(4))
	}}},
	"Transpose": {{"cycle", false, func(b *graph.Builder) *graph.Value { return b.Transpose(param(b, "x", 2, 3, 4), 2, 0, 1) }}},
	"Concat": {{"middle, one twice", false, func(b *graph.Builder) *graph.Value {
		x := param(b, "x", 2, 2, 3)
		return b.Concat(1, x, param(b, "y", 2, 1, 3), x)
	}}},
	"Split": {{"all parts", false, func(b *graph.Builder) *graph.Value {
		s := b.Split(param(b, "x", 2, 6), 1, 1, 2, 3)
		return b.Concat(1, b.Mul(s[1], s[0]), b.Exp(s[2]))
	}}, {"one part unused", false, func(b *graph.Builder) *graph.Value { return b.Exp(b.Split(param(b, "x", 4, 2), 0, 1, 2, 1)[1]) }},
		{"one part twice", false, func(b *graph.Builder) *graph.Value {
			x := param(b, "x", 4, 2)
			return b.Mul(b.Split(x, 0, 2, 2)[0], b.Split(x, 0, 2, 2)[0])
		}}},
	"Slice": {{"middle", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Slice(param(b, "x", 2, 5), 1, graph.N(1), graph.N(4)))
	}}, {"all", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Slice(param(b, "x", 3), 0, graph.N(0), graph.N(3)))
	}}},
	"Where": {{"broadcast", false, func(b *graph.Builder) *graph.Value {
		c := b.Const(format.Tensor{Name: "c", DType: format.Bool, Shape: []int{2, 3}, Data: []byte{1, 0, 1, 0, 0, 1}})
		return b.Where(c, param(b, "x", 3), b.Exp(param(b, "y", 2, 1)))
	}}},
	"GatherElements": {{"last axis, an id twice", false, func(b *graph.Builder) *graph.Value {
		return b.GatherElements(param(b, "x", 2, 3), fixedIDs(b, "ids", []int{2, 2}, 0, 0, 2, 1), 1)
	}}, {"first axis", false, func(b *graph.Builder) *graph.Value {
		return b.GatherElements(param(b, "x", 3, 2), fixedIDs(b, "ids", []int{1, 2}, 2, 1), 0)
	}}, {"ids from the end", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.GatherElements{Axis: 1, FromEnd: true}, 1, param(b, "x", 2, 3), fixedIDs(b, "ids", []int{2, 2}, -1, 0, -1, -3))[0]
	}}},
	"Pow": binary((*graph.Builder).Pow), "Max": binary((*graph.Builder).Max), "Min": binary((*graph.Builder).Min),
	"Sigmoid": unary((*graph.Builder).Sigmoid), "Erf": unary((*graph.Builder).Erf), "Sin": unary((*graph.Builder).Sin), "Cos": unary((*graph.Builder).Cos),
	"Reciprocal": unary((*graph.Builder).Reciprocal), "Softplus": unary(applied(graph.Softplus)),
	"Abs": append(unary((*graph.Builder).Abs), gradCase{"negative", true, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Abs(b.Neg(param(b, "x", 3))))
	}}),
	"Sign": unary(jump(graph.Sign)), "Floor": unary(jump(graph.Floor)), "Ceil": unary(jump(graph.Ceil)), "Round": unary(jump(graph.Round)),
	"Swish":     append(unary((*graph.Builder).SiLU), unary(applied(graph.Swish{Alpha: 1.75}))...),
	"ReduceMax": reductions(reduced(graph.ReduceMax)), "ReduceMin": reductions(reduced(graph.ReduceMin)),
	"CumSum": append(append(axisCases(cumSum(false, false)), axisCases(cumSum(true, false))...), append(axisCases(cumSum(false, true)), axisCases(cumSum(true, true))...)...),
	"Expand": {{"a dimension of 1 and one more", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Apply(graph.Expand{Shape: graph.Numbers(2, 3, 4)}, 1, param(b, "x", 3, 1))[0])
	}}, {"nothing", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Apply(graph.Expand{Shape: graph.Numbers(2, 3)}, 1, param(b, "x", 2, 3))[0])
	}}},
	"RMSNormalization": {{"rows", false, func(b *graph.Builder) *graph.Value {
		return b.RMSNormalization(param(b, "x", 2, 3, 4), param(b, "scale", 4), 1e-5)
	}}, {"x used again", false, func(b *graph.Builder) *graph.Value {
		x := param(b, "x", 3, 4)
		return b.Mul(x, b.RMSNormalization(x, param(b, "scale", 4), 1e-2))
	}}},
	"RelativePositionBias": {
		{"both sides", false, func(b *graph.Builder) *graph.Value {
			return b.Exp(b.RelativePositionBias(graph.RelativePositionBias{Queries: graph.N(3), Keys: graph.N(3), MaxDistance: 5, Bidirectional: true}, param(b, "table", 8, 2)))
		}},
		{"behind a past", false, func(b *graph.Builder) *graph.Value {
			return b.Exp(b.RelativePositionBias(graph.RelativePositionBias{Queries: graph.N(2), Keys: graph.N(9), MaxDistance: 5}, param(b, "table", 8, 2)))
		}}},
	"RotaryEmbedding": {rotary(graph.RotaryEmbedding{Scale: 1}, 4), rotary(graph.RotaryEmbedding{Scale: 0.5, Interleaved: true}, 4),
		rotary(graph.RotaryEmbedding{Scale: 2}, 7), rotary(graph.RotaryEmbedding{Scale: 1, Interleaved: true}, 5),
		{"places of each text", false, func(b *graph.Builder) *graph.Value {
			return b.RotaryEmbedding(graph.RotaryEmbedding{Scale: 1}, param(b, "x", 2, 1, 2, 4), fixedIDs(b, "places", []int{2, 2}, 3, 0, 1, 7), param(b, "angles", 2))
		}}},
	"ScatterElements": {{"an id twice", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.ScatterElements(param(b, "x", 2, 3), fixedIDs(b, "ids", []int{2, 2}, 0, 0, 2, 1), param(b, "u", 2, 2), 1))
	}}, {"ids from the end", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Apply(graph.ScatterElements{Axis: 1, FromEnd: true}, 1, param(b, "x", 2, 3), fixedIDs(b, "ids", []int{2, 2}, -1, 0, -2, 1), param(b, "u", 2, 2))[0])
	}}},
	"Trilu": {{"lower", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Apply(graph.Trilu{K: graph.N(0)}, 1, param(b, "x", 2, 3, 3))[0])
	}}, {"upper", false, func(b *graph.Builder) *graph.Value { return b.Exp(b.TriluUpper(param(b, "x", 3, 3), graph.N(1))) }}},
	"LayerNormalization": {{"without bias", false, func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(param(b, "x", 2, 3, 4), param(b, "scale", 4), nil, 1e-5)
	}}, {"its mean and deviation too", false, func(b *graph.Builder) *graph.Value {
		r := b.Apply(graph.LayerNormalization{Epsilon: 1e-2}, 3, param(b, "x", 3, 4), param(b, "scale", 4), param(b, "bias", 4))
		return b.Add(b.Mul(r[0], r[1]), r[2])
	}}, {"its mean alone", false, func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Apply(graph.LayerNormalization{Epsilon: 1e-2}, 2, param(b, "x", 3, 4), param(b, "scale", 4))[1])
	}}, {"rows", false, func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(param(b, "x", 2, 3, 4), param(b, "scale", 4), param(b, "bias", 4), 1e-5)
	}}, {"x used again", false, func(b *graph.Builder) *graph.Value {
		x := param(b, "x", 3, 4)
		return b.Mul(x, b.LayerNormalization(x, param(b, "scale", 4), param(b, "bias", 4), 1e-2))
	}}},
	"Attention": {
		attended("causal", graph.Attention{Scale: 0.5, Causal: true}, 2, 2, nil),
		attended("a window", graph.Attention{Scale: 0.5, Causal: true, Window: 2}, 2, 2, nil),
		attended("grouped", graph.Attention{Scale: 0.25}, 4, 2, nil),
		attended("one head of keys, causal", graph.Attention{Scale: 0.25, Causal: true}, 3, 1, nil),
		attended("grouped, a mask that learns", graph.Attention{Scale: 0.25, Causal: true}, 4, 2, func(b *graph.Builder) *graph.Value { return param(b, "mask", 1, 4, 2, 3) }),
		attended("grouped, a mask of all heads", graph.Attention{Scale: 0.25}, 4, 2, func(b *graph.Builder) *graph.Value { return param(b, "mask", 2, 1, 1, 3) }),
		attended("a mask of truth values", graph.Attention{Scale: 0.5, Causal: true}, 2, 2, func(b *graph.Builder) *graph.Value {
			return b.Const(format.Tensor{Name: "mask", DType: format.Bool, Shape: []int{2, 1, 1, 3}, Data: []byte{1, 0, 1, 1, 1, 0}})
		}), {"a mask of numbers", false, func(b *graph.Builder) *graph.Value {
			return b.Attention(graph.Attention{Scale: 0.5}, param(b, "q", 2, 2, 2, 4), param(b, "k", 2, 2, 3, 4), param(b, "v", 2, 2, 3, 4), causal(b))
		}}, {"a mask that learns", false, func(b *graph.Builder) *graph.Value {
			x := param(b, "x", 1, 2, 3, 4)
			return b.Attention(graph.Attention{Scale: 0.25}, x, x, x, param(b, "mask", 3, 3))
		}}},
	"SoftmaxCrossEntropyLoss": {{"ignored labels", false, func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(param(b, "x", 2, 5, 3), fixedIDs(b, "labels", []int{2, 3}, 4, -100, 0, 1, 1, -100), -100)
	}}, {"rows", false, func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(param(b, "x", 4, 5), fixedIDs(b, "labels", []int{4}, 4, -1, 0, 1), -1)
	}}, {"classes turned", false, func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(b.Transpose(param(b, "x", 2, 3, 5), 0, 2, 1), fixedIDs(b, "labels", []int{2, 3}, 4, -100, 0, 1, 1, 3), -100)
	}}, {"a vocabulary that is scattered", false, func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(param(b, "x", 2, 2500), fixedIDs(b, "labels", []int{2}, 2499, 7), -100)
	}}},
}

// applied returns the recording of an operator of one argument.
func applied(op graph.Op) func(b *graph.Builder, x *graph.Value) *graph.Value {
	return func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Apply(op, 1, x)[0] }
}

// jump is a function that jumps, away from where it does.
func jump(op graph.Op) func(b *graph.Builder, x *graph.Value) *graph.Value {
	return func(b *graph.Builder, x *graph.Value) *graph.Value {
		return b.Mul(b.Apply(op, 1, b.Add(x, b.Scalar(0.3)))[0], x)
	}
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
func rotary(r graph.RotaryEmbedding, d int) gradCase {
	return gradCase{fmt.Sprint(r, d), false, func(b *graph.Builder) *graph.Value {
		return b.RotaryEmbedding(r, param(b, "x", 2, 2, 3, d), fixedIDs(b, "places", []int{3}, 0, 2, 5), param(b, "angles", 2))
	}}
}

// attended has 2 queries for 3 keys, and values of another width than keys.
func attended(name string, a graph.Attention, heads, groups int, mask func(b *graph.Builder) *graph.Value) gradCase {
	return gradCase{name, false, func(b *graph.Builder) *graph.Value {
		var m *graph.Value
		if mask != nil {
			m = mask(b)
		}
		return b.Attention(a, param(b, "q", 2, heads, 2, 4), param(b, "k", 2, groups, 3, 4), param(b, "v", 2, groups, 3, 5), m)
	}}
}

func gemms() (out []gradCase) {
	for _, ta := range []bool{false, true} {
		for _, tb := range []bool{false, true} {
			for _, c := range [][]int{nil, {4}, {3, 4}, {3, 1}, {}} {
				out = append(out, gradCase{fmt.Sprint(ta, tb, c), false, func(b *graph.Builder) *graph.Value {
					x, y := []int{3, 2}, []int{2, 4}
					if ta {
						x = []int{2, 3}
					}
					if tb {
						y = []int{4, 2}
					}
					var z *graph.Value
					if c != nil {
						z = param(b, "c", c...)
					}
					return b.Gemm(param(b, "x", x...), param(b, "y", y...), z, ta, tb)
				}})
			}
		}
	}
	return out
}

func axisCases(f func(b *graph.Builder, x *graph.Value, axis int) *graph.Value) (out []gradCase) {
	for axis := range 3 {
		out = append(out, gradCase{fmt.Sprint("axis ", axis), false, func(b *graph.Builder) *graph.Value { return f(b, param(b, "x", 2, 3, 4), axis) }})
	}
	return out
}

func reductions(f func(b *graph.Builder, x *graph.Value, keep bool, axes ...int) *graph.Value) (out []gradCase) {
	for _, keep := range []bool{true, false} {
		for _, axes := range [][]int{{0}, {2}, {0, 2}, {0, 1, 2}} {
			out = append(out, gradCase{fmt.Sprint(keep, axes), false, func(b *graph.Builder) *graph.Value { return f(b, param(b, "x", 2, 3, 4), keep, axes...) }})
		}
	}
	return out
}

// noDerivative are the operators without a rule, and why.
var noDerivative = map[string]string{
	"Input": "is given", "Const": "is fixed", "Range": "integers", "OneHot": "of integers", "Positions": "integers", "ArgMax": "integers",
	"Equal": "a BOOL", "Less": "a BOOL", "LessOrEqual": "a BOOL", "Greater": "a BOOL", "GreaterOrEqual": "a BOOL",
	"And": "a BOOL", "Or": "a BOOL", "Xor": "a BOOL", "Not": "a BOOL", "ConstantOfShape": "has no arguments",
	"IsNaN": "a BOOL", "NonZero": "integers", "ArgMin": "integers", "BitwiseNot": "of integers", "BitwiseAnd": "of integers", "BitwiseOr": "of integers",
	"BitwiseXor": "of integers", "ShiftLeft": "of integers", "ShiftRight": "of integers", "UnpackBits": "of integers", "Requantize": "of integers",
	"NonMaxSuppression": "integers", "TfIdfVectorizer": "of integers", "QuantizeLinear": "steps", "PowerOfTwo": "steps", "Trees": "steps",
	"BitCast":               "takes numbers apart",
	"MayRound":              "its decomposition is Identity",
	"Dropout":               "its decomposition is Identity",
	"RoundTo8Bits":          "steps",
	"DynamicQuantizeLinear": "its scale is rounded to float32: TestGradOfDynamicScale",
}

// TestGradByCentralDifferences evaluates the derivatives that graph.Grad writes
// with the oracle, as they are and after every pass that a training step goes
// through, and compares them with differences of the loss.
func TestGradByCentralDifferences(t *testing.T) {
	for _, op := range slices.Concat(graph.Operators(), graph.Imported()) {
		_, none := noDerivative[op.Name()]
		if none != (len(gradCases[op.Name()]) == 0) {
			t.Errorf("%s has a case and a reason to have none, or neither", op.Name())
		}
		for _, c := range gradCases[op.Name()] {
			t.Run(op.Name()+"/"+c.name, func(t *testing.T) {
				b := graph.NewBuilder()
				v := c.build(b)
				if len(v.Shape) > 0 { // weights in front of the sum tell elements apart
					shape, _ := v.Shape.Numbers()
					n, _ := format.Elements(shape)
					w := make([]float32, n)
					stream := model.NewStream(3, "weights of the sum")
					for i := range w {
						w[i] = float32(stream.IntN(uint64(i), 64))/16 - 2
					}
					axes := make([]int, len(shape))
					for i := range axes {
						axes[i] = i
					}
					v = b.ReduceSum(b.Mul(v, b.Const(format.FromFloat32s("sum.weights", shape, w))), false, axes...)
				}
				b.Output("loss", b.Name("the.loss", b.Mul(v, b.Scalar(0.5))))
				g, err := b.Graph()
				if err != nil {
					t.Fatal(err)
				}
				weights := model.NewWeights(g, 5)
				for _, w := range weights {
					x, _ := w.Float32s()
					for i := range x { // few bits, so that a step of 2⁻¹⁰ is exact
						x[i] = float32(math.Round(float64(x[i])*64) / 64)
						if c.positive {
							x[i] = float32(math.Abs(float64(x[i]))) + 0.5
						}
					}
				}
				checkDerivatives(t, g, weights, nil)
			})
		}
	}
}

// standard keeps what every runtime has a node for.
func standard(n *graph.Node) bool {
	switch n.Op.(type) {
	case graph.LayerNormalization, graph.Gemm, graph.OneHot:
		return true
	}
	return false
}

// checkDerivatives compares the gradients of output "loss" with differences.
func checkDerivatives(t *testing.T, g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) {
	t.Helper()
	forms := map[string]map[string]format.Tensor{}
	for name, passes := range map[string][]graph.Pass{
		"grad":            {graph.Grad("loss")},
		"grad, rewritten": {graph.Grad("loss"), graph.DecomposeAll, graph.Fold, graph.Merge},
		"of rows":         {graph.Fold, graph.Rows, graph.Grad("loss"), graph.Decompose(standard), graph.Fold, graph.Merge},
		"of primitives":   {graph.DecomposeAll, graph.Grad("loss")},
	} {
		if !fixtures.Exhaustive() && name == "grad, rewritten" {
			continue // each of its passes is in another form
		}
		d, err := graph.Apply(g, passes...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// A pass may drop a parameter without influence: its gradient stays.
		kept := []format.Tensor{}
		for _, w := range weights {
			if d.Lookup(w.Name) != nil {
				kept = append(kept, w)
			}
		}
		o, err := ref.New(d, kept)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if forms[name], err = o.Run(inputs); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	o, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	loss := func() float64 {
		out, err := o.Run(inputs)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := out["loss"].AsFloat64s()
		return x[0]
	}
	for _, w := range weights {
		x, _ := w.Float32s()
		stride := max(1, len(x)/10)
		if fixtures.Exhaustive() {
			stride = max(1, len(x)/40)
		}
		top := 0.0
		wants := map[int]float64{}
		for i := 0; i < len(x); i += stride {
			at := x[i]
			difference := func(h float32) float64 {
				x[i] = at + h
				up := loss()
				width := float64(x[i])
				x[i] = at - h
				down := loss()
				width -= float64(x[i])
				x[i] = at
				return (up - down) / width
			}
			wide, near := difference(1.0/512), difference(1.0/1024)
			wants[i] = near + (near-wide)/3
			top = max(top, math.Abs(wants[i]))
		}
		for name, outputs := range forms {
			gradient, there := outputs[role.GradientOf(w.Name).Name()]
			if !there { // a pass before Grad may drop a parameter without influence
				gradient = format.FromFloat64s("", w.Shape, make([]float64, len(x)))
			}
			got, err := gradient.AsFloat64s()
			if err != nil || len(got) != len(x) {
				t.Fatalf("%s: gradient of %s: %d elements, want %d (%v)", name, w.Name, len(got), len(x), err)
			}
			for i, want := range wants {
				if d := math.Abs(got[i] - want); !(d <= derivativeBound*max(1, top)) {
					t.Fatalf("%s: gradient of %s[%d] is %.9g, differences give %.9g", name, w.Name, i, got[i], want)
				}
			}
		}
	}
}

// TestGradGolden compares the loss and the gradients of whole networks with
// PyTorch's, in float64. The constants of the graph are float32: Gelu's factors
// and 1/√D are off by up to 6e-8 of themselves, and so may the results be.
func TestGradGolden(t *testing.T) {
	all, err := fixtures.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range all {
		t.Run(name, func(t *testing.T) {
			forward, err := build(g.Config)
			if err != nil {
				t.Fatal(err)
			}
			step, err := model.Step(forward, g.InputIDs.Shape[0], g.InputIDs.Shape[1])
			if err != nil {
				t.Fatal(err)
			}
			var weights []format.Tensor
			for _, w := range g.Weights {
				x := make([]float32, len(w.Data))
				for i, v := range w.Data {
					x[i] = float32(v)
				}
				weights = append(weights, format.FromFloat32s(w.Name, w.Shape, x))
			}
			o, err := ref.New(step, weights)
			if err != nil {
				t.Fatal(err)
			}
			integers := func(name string, x fixtures.Tensor) format.Tensor {
				out := make([]int64, len(x.Data))
				for i, v := range x.Data {
					out[i] = int64(v)
				}
				return format.FromInt64s(name, x.Shape, out)
			}
			out, err := o.Run(map[string]format.Tensor{"input_ids": integers("input_ids", g.InputIDs), "labels": integers("labels", g.Labels)})
			if err != nil {
				t.Fatal(err)
			}
			compare := func(name string, want []float64) {
				got, err := out[name].AsFloat64s()
				if err != nil || len(got) != len(want) {
					t.Fatalf("%s: %d numbers, want %d (%v)", name, len(got), len(want), err)
				}
				top := 1e-3 // the bias of keys moves all scores alike: its gradient is 0 but for rounding
				for _, w := range want {
					top = max(top, math.Abs(w))
				}
				for i, w := range want {
					if d := math.Abs(got[i] - w); !(d <= 1e-6*top) {
						t.Fatalf("%s[%d] is %.12g, PyTorch has %.12g", name, i, got[i], w)
					}
				}
			}
			compare("loss", []float64{g.Loss})
			for _, want := range g.Gradients {
				compare(role.GradientOf(want.Name).Name(), want.Data)
			}
		})
	}
}
