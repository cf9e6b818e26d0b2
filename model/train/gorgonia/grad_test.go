package gorgonia

import (
	"fmt"
	"math"
	"slices"
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
	"Gather": {{name: "an id three times", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 3), idsConst(b, "ids", []int{2, 3}, 1, 3, 1, 0, 1, 2))
	}}, {name: "one id", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 1), idsConst(b, "ids", []int{1, 1}, 2))
	}}, {name: "scalars by a scalar id", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4), idsConst(b, "ids", []int{}, 2))
	}}, {name: "rows of rank 2", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 3, 2, 2), idsConst(b, "ids", []int{4}, 2, 0, 2, 2))
	}}, {name: "another axis, an id twice", build: func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1}, 1, paramOf(b, "table", 2, 4, 3), idsConst(b, "ids", []int{2, 2}, 3, 1, 0, 3))[0]
	}}, {name: "the last axis", build: func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1}, 1, paramOf(b, "table", 2, 4), idsConst(b, "ids", []int{3}, 3, 1, 3))[0]
	}}, {name: "another axis by a scalar id", build: func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1}, 1, paramOf(b, "table", 2, 4), idsConst(b, "ids", []int{}, 2))[0]
	}}, {name: "by ids that are computed", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 3, 4)
		return b.Gather(paramOf(b, "table", 4, 2), b.Apply(graph.ArgMax{Axis: 1}, 1, x)[0])
	}}, {name: "tied with a product", build: func(b *graph.Builder) *graph.Value {
		table := paramOf(b, "table", 4, 3)
		return b.MatMul(b.Gather(table, idsConst(b, "ids", []int{2, 2}, 1, 3, 1, 0)), b.Transpose(table, 1, 0))
	}}},
	"MatMul": {{name: "plain", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 3, 4), paramOf(b, "y", 4, 5))
	}}, {name: "more rows and columns than a tile", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 7, 3), paramOf(b, "y", 3, 18))
	}}, {name: "leading axes", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 4), paramOf(b, "y", 4, 5))
	}}, {name: "batch", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 2, 3, 4), paramOf(b, "y", 2, 2, 4, 5))
	}}, {name: "transposed", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 4), b.Transpose(paramOf(b, "y", 5, 4), 1, 0))
	}}, {name: "transposed batch", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 4), b.Transpose(paramOf(b, "y", 2, 5, 4), 0, 2, 1))
	}}, {name: "vectors in matrix form", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 1, 4), paramOf(b, "y", 4, 1))
	}}, {name: "outer product", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 4, 1), paramOf(b, "y", 1, 4))
	}}, {name: "by itself", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 3, 3)
		return b.MatMul(x, b.Transpose(x, 1, 0))
	}}, {name: "leading axes both ways", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 1, 3, 4), paramOf(b, "y", 5, 4, 2))
	}}, {name: "leading axes of the first repeat", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 1, 3, 4), paramOf(b, "y", 2, 3, 4, 2))
	}}, {name: "leading axes of the second repeat", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 2, 4), paramOf(b, "y", 2, 1, 4, 2))
	}}, {name: "a matrix first", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 3, 4), paramOf(b, "y", 2, 4, 5))
	}}, {name: "transposed, and repeated", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 2, 3, 2, 4), b.Transpose(paramOf(b, "y", 2, 1, 5, 4), 0, 1, 3, 2))
	}}, {name: "transposed, the first repeats", build: func(b *graph.Builder) *graph.Value {
		return b.MatMul(paramOf(b, "x", 3, 4), b.Transpose(paramOf(b, "y", 2, 5, 4), 0, 2, 1))
	}}},
	"Gemm": gemms(),
	"Add":  bothWays((*graph.Builder).Add),
	"Sub":  bothWays((*graph.Builder).Sub),
	"Mul":  bothWays((*graph.Builder).Mul),
	"Div":  bothWays((*graph.Builder).Div),
	"Neg":  {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Neg(b.Neg(paramOf(b, "x", 2, 3))) }}},
	"Exp":  {{name: "any", build: func(b *graph.Builder) *graph.Value { return b.Exp(paramOf(b, "x", 2, 3)) }}},
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
	"Sigmoid":    unaries((*graph.Builder).Sigmoid),
	"Erf":        unaries((*graph.Builder).Erf),
	"Sin":        unaries((*graph.Builder).Sin),
	"Cos":        unaries((*graph.Builder).Cos),
	"Abs":        unaries((*graph.Builder).Abs),
	"Reciprocal": unaries((*graph.Builder).Reciprocal),
	"Softplus":   unaries(applied(graph.Softplus)),
	// What is constant but for jumps has no gradient; a second use keeps one.
	"Sign":  unaries(besides(graph.Sign)),
	"Floor": unaries(besides(graph.Floor)),
	"Ceil":  unaries(besides(graph.Ceil)),
	"Round": unaries(besides(graph.Round)),
	"Pow":   bothWays((*graph.Builder).Pow),
	"Max":   bothWays((*graph.Builder).Max),
	"Min":   bothWays((*graph.Builder).Min),
	"Less":  bothWays(asFactor(graph.Less)), "LessOrEqual": bothWays(asFactor(graph.LessOrEqual)),
	"Greater": bothWays(asFactor(graph.Greater)), "GreaterOrEqual": bothWays(asFactor(graph.GreaterOrEqual)),
	"And": bothWays(ofSigns(graph.And)), "Or": bothWays(ofSigns(graph.Or)), "Xor": bothWays(ofSigns(graph.Xor)),
	"Not": {{name: "of what is computed", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Where(b.Not(b.Less(x, b.Scalar(0))), x, b.Exp(x))
	}}},
	"CumSum": slices.Concat(
		everyAxis(cumSum(false, false)), everyAxis(cumSum(true, false)),
		everyAxis(cumSum(false, true)), everyAxis(cumSum(true, true)),
	),
	"ReduceMax": reductions((*graph.Builder).ReduceMax),
	"ReduceMin": reductions(func(b *graph.Builder, x *graph.Value, keep bool, axes ...int) *graph.Value {
		return b.Apply(graph.Reduce{Kind: graph.ReduceMin, Axes: axes, KeepDims: keep}, 1, x)[0]
	}),
	"Expand": {{name: "one size and one more axis", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Expand(paramOf(b, "x", 3, 1), graph.Numbers(2, 3, 4)...))
	}}, {name: "two axes apart", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Expand(paramOf(b, "x", 2, 1, 2, 1, 2), graph.Numbers(2, 3, 2, 2, 2)...))
	}}, {name: "a scalar", build: func(b *graph.Builder) *graph.Value {
		return b.Expand(paramOf(b, "x"), graph.Numbers(2, 3)...)
	}}, {name: "nothing", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Expand(paramOf(b, "x", 2, 3), graph.Numbers(2, 3)...))
	}}},
	"Cast": {{name: "between floating-point types", build: func(b *graph.Builder) *graph.Value {
		return b.Cast(b.Cast(paramOf(b, "x", 2, 3), format.Float64), format.Float32)
	}}, {name: "from integers", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 3), b.Cast(idsConst(b, "i", []int{3}, 2, -1, 5), format.Float32))
	}}, {name: "to integers, truth values and back", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 4, 5)
		whole := b.Cast(x, format.Int64)
		return b.Mul(x, b.Add(b.Cast(whole, format.Float32), b.Cast(b.Cast(whole, format.Bool), format.Float32)))
	}}},
	"Equal": append(bothWays(asFactor(graph.Equal)), gradientCase{name: "as a factor", build: func(b *graph.Builder) *graph.Value {
		e := b.Equal(idsConst(b, "i", []int{2, 3}, 1, 2, 3, 3, 2, 1), idsConst(b, "j", []int{3}, 1, 2, 1))
		return b.Mul(paramOf(b, "x", 2, 3), b.Cast(e, format.Float32))
	}}, gradientCase{name: "of what is computed", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 4, 5)
		e := b.Equal(b.Cast(x, format.Int64), b.Cast(paramOf(b, "y", 5), format.Int64))
		return b.Mul(x, b.Cast(e, format.Float32))
	}}),
	"Where": {{name: "both sides broadcast", build: func(b *graph.Builder) *graph.Value {
		e := b.Equal(idsConst(b, "i", []int{2, 3}, 1, 2, 3, 3, 2, 1), idsConst(b, "j", []int{}, 2))
		return b.Where(e, paramOf(b, "x", 3), paramOf(b, "y", 2, 1))
	}}, {name: "all broadcast", build: func(b *graph.Builder) *graph.Value {
		c := b.Less(paramOf(b, "c", 3, 1), b.Scalar(0))
		return b.Where(c, paramOf(b, "x", 2, 1, 4), paramOf(b, "y", 3, 4))
	}}},
	"GatherElements": {{name: "last axis", build: func(b *graph.Builder) *graph.Value {
		return b.GatherElements(paramOf(b, "x", 2, 3), idsConst(b, "i", []int{2, 2}, 1, 1, 2, 0), -1)
	}}, {name: "middle axis", build: func(b *graph.Builder) *graph.Value {
		return b.GatherElements(paramOf(b, "x", 2, 3, 2), idsConst(b, "i", []int{2, 1, 2}, 1, 1, 2, 0), 1)
	}}, {name: "first axis", build: func(b *graph.Builder) *graph.Value {
		return b.GatherElements(paramOf(b, "x", 3, 2), idsConst(b, "i", []int{1, 2}, 2, 1), 0)
	}}},
	"ScatterElements": {{name: "an id twice", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.ScatterElements(paramOf(b, "x", 2, 3), idsConst(b, "i", []int{2, 2}, 0, 0, 2, 1), paramOf(b, "u", 2, 2), 1))
	}}, {name: "first axis", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.ScatterElements(paramOf(b, "x", 4, 2), idsConst(b, "i", []int{3, 2}, 3, 0, 1, 1, 3, 2), paramOf(b, "u", 3, 2), 0))
	}}, {name: "middle axis", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.ScatterElements(paramOf(b, "x", 2, 3, 2), idsConst(b, "i", []int{2, 1, 2}, 1, 1, 2, 0), paramOf(b, "u", 2, 1, 2), 1))
	}}},
	"OneHot": {{name: "as a factor", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 2, 3), b.OneHot(idsConst(b, "i", []int{2}, 2, 0), 3))
	}}, {name: "of ids that are computed", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3)
		return b.Mul(x, b.OneHot(b.Apply(graph.ArgMax{Axis: 1}, 1, x)[0], 3))
	}}},
	"ArgMax": {{name: "any axis", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 2, 3, 4)
		for axis := range 3 {
			place := b.Apply(graph.ArgMax{Axis: axis, KeepDims: true}, 1, x)[0]
			x = b.Add(x, b.Mul(x, b.Cast(place, format.Float32)))
		}
		return x
	}}, {name: "without its axis", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 3, 3)
		return b.Mul(x, b.Cast(b.Apply(graph.ArgMax{Axis: 0}, 1, x)[0], format.Float32))
	}}},
	"Range": {{name: "as ids", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 2), b.Range(graph.N(1), graph.N(3)))
	}}, {name: "as numbers", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 3), b.Cast(b.Range(graph.N(2), graph.N(5)), format.Float32))
	}}},
	"Positions": {{name: "as ids", build: func(b *graph.Builder) *graph.Value {
		return b.Gather(paramOf(b, "table", 4, 2), b.Positions(idsConst(b, "tokens", []int{2, 3}, 0, 0, 0, 0, 0, 0)))
	}}},
	"ConstantOfShape": {{name: "as a factor", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 2, 3), b.ConstantOfShape(2.5, graph.Numbers(2, 3)...))
	}}},
	"Trilu": {{name: "of a parameter", build: func(b *graph.Builder) *graph.Value {
		return b.TriluUpper(paramOf(b, "x", 2, 3, 4), graph.N(1))
	}}, {name: "lower", build: func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.Trilu{K: graph.N(0)}, 1, paramOf(b, "x", 2, 4, 3))[0]
	}}, {name: "of a constant", build: func(b *graph.Builder) *graph.Value {
		return b.Mul(paramOf(b, "x", 3, 3), b.TriluUpper(b.ConstantOfShape(2, graph.Numbers(3, 3)...), graph.N(1)))
	}}},
	"LayerNormalization": {{name: "any", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 2, 3, 5), paramOf(b, "scale", 5), paramOf(b, "bias", 5), 1e-5)
	}}, {name: "more rows than blocks", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 37, 3), paramOf(b, "scale", 3), paramOf(b, "bias", 3), 1e-2)
	}}, {name: "one row", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 1, 1, 4), paramOf(b, "scale", 4), paramOf(b, "bias", 4), 1e-5)
	}}, {name: "no bias", build: func(b *graph.Builder) *graph.Value {
		return b.LayerNormalization(paramOf(b, "x", 2, 3, 5), paramOf(b, "scale", 5), nil, 1e-5)
	}}, {name: "its mean and inverse deviation too", build: func(b *graph.Builder) *graph.Value {
		r := b.Apply(graph.LayerNormalization{Epsilon: 1e-2}, 3, paramOf(b, "x", 3, 4), paramOf(b, "scale", 4), paramOf(b, "bias", 4))
		return b.Add(b.Mul(r[0], r[1]), r[2])
	}}, {name: "its mean and inverse deviation, no bias", build: func(b *graph.Builder) *graph.Value {
		r := b.Apply(graph.LayerNormalization{Epsilon: 1e-2}, 3, paramOf(b, "x", 3, 4), paramOf(b, "scale", 4))
		return b.Add(b.Mul(r[0], r[1]), r[2])
	}}, {name: "its mean alone", build: func(b *graph.Builder) *graph.Value {
		return b.Exp(b.Apply(graph.LayerNormalization{Epsilon: 1e-2}, 2, paramOf(b, "x", 3, 4), paramOf(b, "scale", 4))[1])
	}}},
	"RMSNormalization": {{name: "any", build: func(b *graph.Builder) *graph.Value {
		return b.RMSNormalization(paramOf(b, "x", 2, 3, 5), paramOf(b, "scale", 5), 1e-5)
	}}, {name: "x used again", build: func(b *graph.Builder) *graph.Value {
		x := paramOf(b, "x", 3, 4)
		return b.Mul(x, b.RMSNormalization(x, paramOf(b, "scale", 4), 1e-2))
	}}, {name: "one row", build: func(b *graph.Builder) *graph.Value {
		return b.RMSNormalization(paramOf(b, "x", 1, 4), paramOf(b, "scale", 4), 1e-5)
	}}},
	"Swish": append(unaries((*graph.Builder).SiLU), unaries(applied(graph.Swish{Alpha: 1.75}))...),
	"RelativePositionBias": {
		relative(graph.RelativePositionBias{Queries: graph.N(3), Keys: graph.N(3), MaxDistance: 5, Bidirectional: true}),
		relative(graph.RelativePositionBias{Queries: graph.N(2), Keys: graph.N(9), MaxDistance: 5}),
	},
	"RotaryEmbedding": {
		rotary(graph.RotaryEmbedding{Scale: 1}, 4),
		rotary(graph.RotaryEmbedding{Scale: 0.5, Interleaved: true}, 4),
		rotary(graph.RotaryEmbedding{Scale: 2}, 7),
		rotary(graph.RotaryEmbedding{Scale: 1, Interleaved: true}, 5),
		{name: "places of each text", build: func(b *graph.Builder) *graph.Value {
			return b.RotaryEmbedding(graph.RotaryEmbedding{Scale: 1}, paramOf(b, "x", 2, 1, 2, 4), idsConst(b, "places", []int{2, 2}, 3, 0, 1, 7), paramOf(b, "angles", 2))
		}},
	},
	"Gelu": append(unaries((*graph.Builder).Gelu), unaries((*graph.Builder).GeluTanh)...),
	"GRU":  recurrentGradients(graph.GRU{Activations: "Sigmoid Tanh", LinearBeforeReset: true}, 3, 1),
	"LSTM": recurrentGradients(graph.LSTM{Activations: "Sigmoid Tanh Tanh"}, 4, 2),
	"Attention": {{name: "causal", build: func(b *graph.Builder) *graph.Value {
		return b.Attention(graph.Attention{Scale: 0.5}, paramOf(b, "q", 2, 2, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 4), maskConst(b))
	}}, {name: "learned mask", build: func(b *graph.Builder) *graph.Value {
		return b.Attention(graph.Attention{Scale: 0.5}, paramOf(b, "q", 2, 2, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 4), paramOf(b, "mask", 2, 3))
	}}, {name: "one of everything", build: func(b *graph.Builder) *graph.Value {
		q := paramOf(b, "q", 1, 1, 1, 1)
		return b.Attention(graph.Attention{Scale: 0.5}, q, q, paramOf(b, "v", 1, 1, 1, 1), b.ConstantOfShape(0, graph.Numbers(1, 1)...))
	}}, attended("no mask", graph.Attention{Scale: 0.5}, 2, 2, nil),
		attended("its own mask", graph.Attention{Scale: 0.5, Causal: true}, 2, 2, nil),
		attended("a window", graph.Attention{Scale: 0.5, Causal: true, Window: 1}, 2, 2, nil),
		attended("its own mask and one that is learned", graph.Attention{Scale: 0.5, Causal: true}, 2, 2, learned(2, 3)),
		attended("a learned mask for each sequence", graph.Attention{Scale: 0.5}, 2, 2, learned(2, 1, 2, 3)),
		attended("a learned mask for all sequences", graph.Attention{Scale: 0.5, Causal: true}, 2, 2, learned(1, 1, 2, 3)),
		attended("a learned mask for each head", graph.Attention{Scale: 0.5}, 2, 2, learned(1, 2, 2, 3)),
		attended("a learned mask for each key", graph.Attention{Scale: 0.5}, 2, 2, learned(1, 3)),
		attended("a mask of truth values", graph.Attention{Scale: 0.5, Causal: true}, 2, 2, func(b *graph.Builder) *graph.Value {
			return b.Const(format.Tensor{Name: "mask", DType: format.Bool, Shape: []int{2, 1, 1, 3}, Data: []byte{1, 0, 1, 1, 1, 0}})
		}),
		attended("two heads of queries for one of keys", graph.Attention{Scale: 0.25, Causal: true}, 4, 2, nil),
		attended("one head of keys for all", graph.Attention{Scale: 0.25, Causal: true, Window: 2}, 3, 1, nil),
		attended("grouped, a learned mask for each head", graph.Attention{Scale: 0.25, Causal: true}, 4, 2, learned(1, 4, 2, 3)),
		gradientCase{name: "grouped, values of another width", build: func(b *graph.Builder) *graph.Value {
			return b.Attention(graph.Attention{Scale: 0.5, Causal: true, Window: 2}, paramOf(b, "q", 2, 4, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 5), nil)
		}}, gradientCase{name: "values of another width", build: func(b *graph.Builder) *graph.Value {
			return b.Attention(graph.Attention{Scale: 0.5, Causal: true}, paramOf(b, "q", 2, 2, 2, 4), paramOf(b, "k", 2, 2, 3, 4), paramOf(b, "v", 2, 2, 3, 5), nil)
		}}, gradientCase{name: "one value for all three", build: func(b *graph.Builder) *graph.Value {
			x := paramOf(b, "x", 1, 2, 3, 4)
			return b.Attention(graph.Attention{Scale: 0.5, Causal: true}, x, x, x, nil)
		}}},
	"SoftmaxCrossEntropyLoss": {{name: "classes on axis 1", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(paramOf(b, "x", 2, 4, 3), idsConst(b, "l", []int{2, 3}, 1, -100, 3, 3, 0, -100), -100)
	}}, {name: "classes last", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(b.Transpose(paramOf(b, "x", 2, 3, 4), 0, 2, 1), idsConst(b, "l", []int{2, 3}, 1, -100, 3, 3, 0, -100), -100)
	}}, {name: "one label", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(paramOf(b, "x", 1, 4, 1), idsConst(b, "l", []int{1, 1}, 2), -100)
	}}, {name: "rows, a class ignored", build: func(b *graph.Builder) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(paramOf(b, "x", 4, 5), idsConst(b, "l", []int{4}, 4, 1, 0, 1), 1)
	}}},
}

// bothWays is an operator of two arguments of which either broadcasts into the
// other.
func bothWays(op func(b *graph.Builder, x, y *graph.Value) *graph.Value) []gradientCase {
	out := broadcasts(op)
	for _, x := range [][]int{{3, 4}, {}, {2, 3, 1}, {2, 1, 4}, {1, 3, 1}} {
		out = append(out, gradientCase{fmt.Sprint("the first ", x), true, func(b *graph.Builder) *graph.Value {
			return op(b, paramOf(b, "x", x...), paramOf(b, "y", 2, 3, 4))
		}})
	}
	return append(out, gradientCase{"each into the other", true, func(b *graph.Builder) *graph.Value {
		return op(b, paramOf(b, "x", 3, 1), paramOf(b, "y", 2, 1, 4))
	}})
}

// asFactor is a comparison of two values, as a factor of both: it has no
// gradient of its own.
func asFactor(op graph.Op) func(b *graph.Builder, x, y *graph.Value) *graph.Value {
	return func(b *graph.Builder, x, y *graph.Value) *graph.Value {
		holds := b.Cast(b.Apply(op, 1, x, y)[0], format.Float32)
		return b.Mul(b.Add(holds, b.Scalar(1)), b.Mul(x, y))
	}
}

// ofSigns is an operator of truth values that say whether numbers are above 1.
func ofSigns(op graph.Op) func(b *graph.Builder, x, y *graph.Value) *graph.Value {
	return func(b *graph.Builder, x, y *graph.Value) *graph.Value {
		one := b.Scalar(1)
		holds := b.Apply(op, 1, b.Greater(x, one), b.Greater(y, one))[0]
		return b.Where(holds, b.Mul(x, y), b.Sub(x, y))
	}
}

// unaries is a function of one argument, below zero and above.
func unaries(f func(b *graph.Builder, x *graph.Value) *graph.Value) []gradientCase {
	return []gradientCase{
		{name: "any", build: func(b *graph.Builder) *graph.Value { return f(b, paramOf(b, "x", 3, 5)) }},
		{name: "positive", positive: true, build: func(b *graph.Builder) *graph.Value { return f(b, paramOf(b, "x", 2, 3)) }},
		{name: "a scalar", build: func(b *graph.Builder) *graph.Value { return f(b, paramOf(b, "x")) }},
		{name: "twice", build: func(b *graph.Builder) *graph.Value {
			x := paramOf(b, "x", 3)
			return b.Mul(f(b, x), f(b, x))
		}},
	}
}

// applied returns the recording of an operator of one argument.
func applied(op graph.Op) func(b *graph.Builder, x *graph.Value) *graph.Value {
	return func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Apply(op, 1, x)[0] }
}

// besides is an operator of one argument as a factor of this argument.
func besides(op graph.Op) func(b *graph.Builder, x *graph.Value) *graph.Value {
	return func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Mul(b.Apply(op, 1, x)[0], x) }
}

func cumSum(exclusive, reverse bool) func(b *graph.Builder, x *graph.Value, axis int) *graph.Value {
	return func(b *graph.Builder, x *graph.Value, axis int) *graph.Value {
		return b.Apply(graph.CumSum{Axis: axis, Exclusive: exclusive, Reverse: reverse}, 1, x)[0]
	}
}

// learned is a mask that is a parameter.
func learned(shape ...int) func(b *graph.Builder) *graph.Value {
	return func(b *graph.Builder) *graph.Value { return paramOf(b, "mask", shape...) }
}

// attended has two queries for three keys.
func attended(name string, a graph.Attention, heads, groups int, mask func(b *graph.Builder) *graph.Value) gradientCase {
	return gradientCase{name: name, build: func(b *graph.Builder) *graph.Value {
		var m *graph.Value
		if mask != nil {
			m = mask(b)
		}
		return b.Attention(a, paramOf(b, "q", 2, heads, 2, 4), paramOf(b, "k", 2, groups, 3, 4), paramOf(b, "v", 2, groups, 3, 4), m)
	}}
}

// relative is the bias of two heads.
func relative(r graph.RelativePositionBias) gradientCase {
	return gradientCase{name: fmt.Sprint(r.Keys, r.Bidirectional), build: func(b *graph.Builder) *graph.Value {
		return b.RelativePositionBias(r, paramOf(b, "table", 8, 2))
	}}
}

// rotary turns vectors of d elements by two angles.
func rotary(r graph.RotaryEmbedding, d int) gradientCase {
	return gradientCase{name: fmt.Sprint(r, d), build: func(b *graph.Builder) *graph.Value {
		return b.RotaryEmbedding(r, paramOf(b, "x", 2, 2, 3, d), idsConst(b, "places", []int{3}, 0, 2, 5), paramOf(b, "angles", 2))
	}}
}

// gemms has every way to transpose and to add.
func gemms() (out []gradientCase) {
	for _, transposed := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		x, y := []int{3, 2}, []int{2, 4}
		if transposed[0] {
			x = []int{2, 3}
		}
		if transposed[1] {
			y = []int{4, 2}
		}
		for _, c := range [][]int{nil, {4}, {3, 4}, {3, 1}, {}} {
			out = append(out, gradientCase{name: fmt.Sprint(transposed, c), build: func(b *graph.Builder) *graph.Value {
				var z *graph.Value
				if c != nil {
					z = paramOf(b, "c", c...)
				}
				return b.Gemm(paramOf(b, "x", x...), paramOf(b, "y", y...), z, transposed[0], transposed[1])
			}})
		}
	}
	return out
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
		if len(cases) == 0 {
			t.Errorf("no case for %s", op.Name())
		}
		for _, c := range cases {
			t.Run(op.Name()+"/"+c.name, func(t *testing.T) {
				if !has(lossGraph(t, c), op) {
					t.Errorf("the case has no %s", op.Name())
				}
				checkGradient(t, c)
			})
		}
	}
}

func has(g *graph.Graph, op graph.Op) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return n.Op.Name() == op.Name() })
}

// TestDecomposedGradients does the same to the forms without composites.
func TestDecomposedGradients(t *testing.T) {
	for _, op := range graph.Operators() {
		if _, ok := op.(graph.Composite); !ok {
			continue
		}
		for _, c := range gradientCases[op.Name()] {
			t.Run(op.Name()+"/"+c.name, func(t *testing.T) { checkGradient(t, c, graph.DecomposeAll) })
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
	p, err := compile[float64](g, nil, paramNames(g), false)
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
	forward, err := compile[float64](g, nil, nil, false)
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

// recurrentGradients are networks of two texts: one of them shorter, and both to the end.
func recurrentGradients(op graph.Op, gates, states int) []gradientCase {
	const T, B, I, H = 3, 2, 2, 2
	of := func(lengths func(b *graph.Builder) *graph.Value) func(b *graph.Builder) *graph.Value {
		return func(b *graph.Builder) *graph.Value {
			args := []*graph.Value{paramOf(b, "x", T, B, I), paramOf(b, "w", gates*H, I), paramOf(b, "r", gates*H, H), paramOf(b, "bias", 2*gates*H), lengths(b), paramOf(b, "h", B, H)}
			if states == 2 {
				args = append(args, paramOf(b, "c", B, H), paramOf(b, "peepholes", 3*H))
			}
			out := b.Apply(op, 0, args...)
			return b.Concat(0, out[0], b.Reshape(out[states], graph.Numbers(1, B, H)...)) // y, and the last h or c
		}
	}
	return []gradientCase{
		{name: "a shorter text", build: of(func(b *graph.Builder) *graph.Value { return idsConst(b, "lengths", []int{B}, 3, 2) })},
		{name: "to the end", build: of(func(b *graph.Builder) *graph.Value { return b.Unending(graph.N(B)) })},
	}
}
