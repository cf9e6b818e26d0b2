package graph_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// ruleCases says, for every operator, what it makes of arguments that are
// legal, and that it refuses those which are not. An argument and a result are
// written as Print shows them; a result that begins with ! is part of the error.
var ruleCases = []struct {
	op    string
	args  string // separated by spaces
	build func(b *graph.Builder, x []*graph.Value) *graph.Value
	want  string
}{
	{"Gather", "F32(7,C) I64(B,T)", gather, "F32(B,T,C)"},
	{"Gather", "F32(7) I64()", gather, "F32()"},
	{"Gather", "I64(7,2) I64(3)", gather, "I64(3,2)"},
	{"Gather", "F32(7,C) F32(B,T)", gather, "!expected I64"},
	{"Gather", "F32() I64(B)", gather, "!axis 0 is outside"},

	{"MatMul", "F32(B,T,4) F32(4,5)", matMul, "F32(B,T,5)"},
	{"MatMul", "F32(B,H,T,4) F32(B,H,4,S)", matMul, "F32(B,H,T,S)"},
	{"MatMul", "F64(2,3) F64(3,2)", matMul, "F64(2,2)"},
	{"MatMul", "F32(B,T,4) F32(5,4)", matMul, "!inner sizes"},
	{"MatMul", "F32(B,T,4) F32(T,4,5)", matMul, "!do not broadcast"},
	{"MatMul", "F32(4) F32(4,5)", matMul, "!MatMul"},
	{"MatMul", "F32(2,4) F32(4)", matMul, "!MatMul"},
	{"MatMul", "F32(2,4) F64(4,5)", matMul, "!MatMul"},
	{"MatMul", "I64(2,4) I64(4,5)", matMul, "!floating-point"},

	{"Add", "F32(B,T,4) F32(4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{"Add", "F32(B,T,4) F32(B,1,4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{"Add", "I64(T) I64()", two((*graph.Builder).Add), "I64(T)"},
	{"Add", "F32(4) F32(B,T,4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{"Add", "F32(B,1,4) F32(B,T,4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{"Add", "F32(B,1) F32(1,T)", two((*graph.Builder).Add), "F32(B,T)"},
	{"Sub", "F64(B,1) F64(3)", two((*graph.Builder).Sub), "F64(B,3)"},
	{"Div", "F32() F32(B,T)", two((*graph.Builder).Div), "F32(B,T)"},
	{"Equal", "I64(B,1) I64(1,3)", two((*graph.Builder).Equal), "BOOL(B,3)"},
	{"Add", "F32(B,T) F32(B)", two((*graph.Builder).Add), "!dimension 1 from the end is T and B"},
	{"Add", "F32(2) F64(2)", two((*graph.Builder).Add), "!the first argument is F32"},
	{"Sub", "F32(B,T) F32(T)", two((*graph.Builder).Sub), "F32(B,T)"},
	{"Sub", "F32(B,T) F32(B)", two((*graph.Builder).Sub), "!do not broadcast"},
	{"Mul", "F32(B,T) F32()", two((*graph.Builder).Mul), "F32(B,T)"},
	{"Mul", "F32() F32(B,T)", two((*graph.Builder).Mul), "F32(B,T)"},
	{"Mul", "F32(2) F32(3)", two((*graph.Builder).Mul), "!dimension 1 from the end is 2 and 3"},
	{"Div", "F32(B,T) F32(B,1)", two((*graph.Builder).Div), "F32(B,T)"},
	{"Div", "F32(B,T) I64(B,1)", two((*graph.Builder).Div), "!the first argument is F32"},

	{"Neg", "F32(B,T)", one((*graph.Builder).Neg), "F32(B,T)"},
	{"Neg", "BOOL(B,T)", one((*graph.Builder).Neg), "!numbers"},
	{"Exp", "F64()", one((*graph.Builder).Exp), "F64()"},
	{"Exp", "BOOL()", one((*graph.Builder).Exp), "!floating-point"},
	{"Log", "F32(3)", one((*graph.Builder).Log), "F32(3)"},
	{"Log", "I64(3)", one((*graph.Builder).Log), "!floating-point"},
	{"Sqrt", "F32(3)", one((*graph.Builder).Sqrt), "F32(3)"},
	{"Sqrt", "I64(3)", one((*graph.Builder).Sqrt), "!floating-point"},
	{"Tanh", "F32(3)", one((*graph.Builder).Tanh), "F32(3)"},
	{"Tanh", "I64(3)", one((*graph.Builder).Tanh), "!floating-point"},
	{"Relu", "F32(3)", one((*graph.Builder).Relu), "F32(3)"},
	{"Relu", "BOOL(3)", one((*graph.Builder).Relu), "!numbers"},
	{"Gelu", "F32(3)", one((*graph.Builder).Gelu), "F32(3)"},
	{"Gelu", "I64(3)", one((*graph.Builder).Gelu), "!floating-point"},
	{"Identity", "BOOL(B,2)", one((*graph.Builder).Identity), "BOOL(B,2)"},

	{"Softmax", "F32(B,V,T)", softmax(1), "F32(B,V,T)"},
	{"Softmax", "F32(B,V,T)", softmax(-1), "F32(B,V,T)"},
	{"Softmax", "F32(B,V,T)", softmax(3), "!axis 3"},
	{"Softmax", "F32(B,V,T)", softmax(-4), "!axis -4"},
	{"Softmax", "F32()", softmax(0), "!axis 0"},
	{"Softmax", "I64(3)", softmax(0), "!floating-point"},
	{"LogSoftmax", "F32(B,V)", logSoftmax, "F32(B,V)"},
	{"LogSoftmax", "F32()", logSoftmax, "!axis"},

	{"ReduceSum", "F32(B,T,4)", reduceSum(false, -1), "F32(B,T)"},
	{"ReduceSum", "F32(B,T,4)", reduceSum(true, 0, 2), "F32(1,T,1)"},
	{"ReduceSum", "F32(B,T)", reduceSum(false, 0, 1), "F32()"},
	{"ReduceSum", "F32(B,T)", reduceSum(false), "!no axes"},
	{"ReduceSum", "F32(B,T)", reduceSum(false, 1, 0), "F32()"},
	{"ReduceSum", "F32(B,T)", reduceSum(false, 1, -1), "!axes [1 1]"},
	{"ReduceSum", "F32(B,T)", reduceSum(false, 2), "!axes [2]"},
	{"ReduceSum", "BOOL(B,T)", reduceSum(false, 0), "!numbers"},
	{"ReduceMean", "F32(B,T,4)", reduceMean(true, -1), "F32(B,T,1)"},
	{"ReduceMean", "F32(B,T,4)", reduceMean(true, -4), "!axes"},

	{"Reshape", "F32(B,T,6)", reshape("B", "T", "2", "3"), "F32(B,T,2,3)"},
	{"Reshape", "F32(B,T,6)", reshape("T", "B", "6"), "F32(T,B,6)"},
	{"Reshape", "I64()", reshape("1"), "I64(1)"},
	{"Reshape", "F32(B,T,6)", reshape("B", "T", "5"), "!cannot become"},
	{"Reshape", "F32(B,T,6)", reshape("B", "6"), "!cannot become"},
	{"Reshape", "F32(T,T)", reshape("T"), "!cannot become"},
	{"Reshape", "F32(B,T)", reshape("B+T"), "!cannot become"},
	// 2^32·2^32 is 0 in 64 bits.
	{"Reshape", "F32(0)", reshape("4294967296", "4294967296"), "!cannot become"},

	{"Transpose", "F32(B,T,4)", transpose(2, 0, 1), "F32(4,B,T)"},
	{"Transpose", "F32()", transpose(), "F32()"},
	{"Transpose", "F32(B,T)", transpose(0), "!perm"},
	{"Transpose", "F32(B,T)", transpose(0, 0), "!permutation"},
	{"Transpose", "F32(B,T)", transpose(0, 2), "!permutation"},
	{"Transpose", "F32(B,T)", transpose(-1, 0), "F32(T,B)"},
	{"Transpose", "F32(B,T)", transpose(-1, 1), "!permutation"},
	{"Transpose", "F32(B,T)", transpose(0, -3), "![0 -3] is not a permutation"},

	{"Concat", "F32(B,P,4) F32(B,T,4)", concat(1), "F32(B,P+T,4)"},
	{"Concat", "F32(2)", concat(0), "F32(2)"},
	{"Concat", "F32(2,3) F32(2,1) F32(2,2)", concat(1), "F32(2,6)"},
	{"Concat", "F32(B,P,4) F32(B,T,5)", concat(1), "!beside"},
	{"Concat", "F32(2) F64(2)", concat(0), "!beside"},
	{"Concat", "F32(2) F32(2,1)", concat(0), "!beside"},
	{"Concat", "F32(2) F32(2)", concat(1), "!axis 1"},
	{"Concat", "", concat(0), "!it takes one argument"},

	{"Split", "F32(B,T,6)", split(-1, 1, 3, 2), "F32(B,T,3)"},
	{"Split", "F32(B,T,6)", split(-1, 3, 2), "!parts of sizes"},
	{"Split", "F32(B,T,6)", split(1, 3, 3), "!axis 1"},
	{"Split", "F32(B,T,6)", split(3, 6, 0), "!axis 3"},
	{"Split", "F32(6)", split(0, 6, 0), "!part of size 0"},
	{"Split", "F32(6)", split(0, 7, -1), "!part of size -1"},
	// The sum is 6 in 64 bits.
	{"Split", "F32(6)", split(0, math.MaxInt, math.MaxInt, 8), "!part of size"},

	{"Slice", "F32(B,64,4)", slice(1, "0", "T"), "F32(B,T,4)"},
	{"Slice", "F32(64)", slice(0, "P", "P+T"), "F32(T)"},
	{"Slice", "F32(64)", slice(-1, "3", "64"), "F32(61)"},
	{"Slice", "F32(64)", slice(0, "5", "5"), "F32(0)"},
	{"Slice", "F32(B,T,4)", slice(1, "T-1", "T"), "F32(B,1,4)"},
	{"Slice", "F32(B,T,4)", slice(1, "T", "T-1"), "!the length -1 can be negative"},
	{"Slice", "F32(64)", slice(0, "0", "65"), "!axis 0"},
	{"Slice", "F32(64)", slice(0, "-1", "3"), "!positions -1"},
	{"Slice", "F32(64)", slice(0, "4", "3"), "!negative"},
	{"Slice", "F32(64)", slice(0, "3", "T"), "!the length T-3 can be negative"},
	{"Slice", "F32(64)", slice(0, "P", "T"), "!the length -P+T can be negative"},
	{"Slice", "F32(64)", slice(1, "0", "1"), "!axis 1"},

	{"Cast", "BOOL(B)", cast(format.Float32), "F32(B)"},
	{"Cast", "F32(B)", cast(format.Int64), "I64(B)"},
	{"Cast", "F32(B)", cast(format.Invalid), "!no element type"},

	{"Equal", "I64(B,T) I64()", two((*graph.Builder).Equal), "BOOL(B,T)"},
	{"Equal", "I64() I64(B,T)", two((*graph.Builder).Equal), "BOOL(B,T)"},
	{"Equal", "I64(B) F32(B)", two((*graph.Builder).Equal), "!the first argument is I64"},

	{"Where", "BOOL(B,T) F32() F32(T)", where, "F32(B,T)"},
	{"Where", "BOOL(B,T) I64(B,1) I64()", where, "I64(B,T)"},
	{"Where", "F32(B,T) F32() F32()", where, "!Where"},
	{"Where", "BOOL(B,T) F32() I64()", where, "!Where"},
	{"Where", "BOOL(T) F32(B,T) F32()", where, "F32(B,T)"},
	{"Where", "BOOL(T) F32() F32(B,T)", where, "F32(B,T)"},

	{"GatherElements", "F32(B,T,9) I64(B,T,1)", gatherElements, "F32(B,T,1)"},
	{"GatherElements", "F32(B,9) I64(B,3)", gatherElements, "F32(B,3)"},
	{"GatherElements", "F32(B,T,9) I64(B,1,1)", gatherElements, "!ids"},
	{"GatherElements", "F32(B,T,9) I64(B,T)", gatherElements, "!ids"},
	{"GatherElements", "F32(B,T,9) F32(B,T,1)", gatherElements, "!ids"},
	{"GatherElements", "F32() I64()", gatherElements, "!axis"},

	{"Range", "", span("0", "T"), "I64(T)"},
	{"Range", "", span("P", "P+T"), "I64(T)"},
	{"Range", "", span("3", "7"), "I64(4)"},
	{"Range", "", span("7", "3"), "!negative"},
	{"Range", "", span("P", "T"), "!the length -P+T can be negative"},

	{"ConstantOfShape", "", filled(-1e9, "T", "S"), "F32(T,S)"},
	{"ConstantOfShape", "", filled(0), "F32()"},
	{"ConstantOfShape", "", filled(0.1, "2"), "!not a float32"},
	{"ConstantOfShape", "", filled(math.NaN(), "2"), "!not a float32"},
	{"ConstantOfShape", "", filled(0, "-1"), "!negative size"},

	{"Trilu", "F32(B,T,S)", trilu, "F32(B,T,S)"},
	{"Trilu", "F32(B)", trilu, "!no triangle"},

	{"LayerNormalization", "F32(B,T,4) F32(4) F32(4)", layerNorm(1e-5), "F32(B,T,4)"},
	{"LayerNormalization", "F32(B,T,4) F32(4) F32(4)", layerNorm(0), "!epsilon 0"},
	{"LayerNormalization", "F32(B,T,4) F32(4) F32(4)", layerNorm(math.NaN()), "!epsilon NaN"},
	{"LayerNormalization", "F32(B,T,4) F32(5) F32(4)", layerNorm(1), "!scale or bias"},
	{"LayerNormalization", "F32(B,T,4) F32(4) F32(1)", layerNorm(1), "!scale or bias"},
	{"LayerNormalization", "F32(B,T,4) F32(4) F64(4)", layerNorm(1), "!argument 2 is F64"},
	{"LayerNormalization", "F32() F32() F32()", layerNorm(1), "!shape ()"},
	{"LayerNormalization", "I64(4) I64(4) I64(4)", layerNorm(1), "!floating-point"},

	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(T,S)", attention(0.5), "F32(B,H,T,D)"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(T,S)", attention(0), "!scale 0"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(B,1,T,S)", attention(0.5), "F32(B,H,T,D)"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(1,1,T,S)", attention(0.5), "F32(B,H,T,D)"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(1,T,S)", attention(0.5), "!mask F32(1,T,S)"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(S,T)", attention(1), "!mask"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,T,D) F32(T,S)", attention(1), "!v (B,H,T,D)"},
	{"Attention", "F32(B,H,T,D) F32(B,G,S,D) F32(B,G,S,D) F32(T,S)", attention(1), "!k (B,G,S,D)"},
	{"Attention", "F32(B,T,D) F32(B,S,D) F32(B,S,D) F32(T,S)", attention(1), "!q (B,T,D)"},
	{"Attention", "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F64(T,S)", attention(1), "!mask"},
	{"Attention", "I64(B,H,T,D) I64(B,H,S,D) I64(B,H,S,D) I64(T,S)", attention(1), "!floating-point"},

	{"SoftmaxCrossEntropyLoss", "F32(B,V,T) I64(B,T)", loss, "F32()"},
	{"SoftmaxCrossEntropyLoss", "F32(B,T,V) I64(B,T)", loss, "!expected (B,V,T)"},
	{"SoftmaxCrossEntropyLoss", "F32(B,V,T) F32(B,T)", loss, "!I64(B,T)"},
	{"SoftmaxCrossEntropyLoss", "F32(B,V) I64(B)", loss, "F32()"},
	{"SoftmaxCrossEntropyLoss", "F32(B,V) I64(V)", loss, "!expected (B,V,T)"},
	{"SoftmaxCrossEntropyLoss", "F32(B) I64(B)", loss, "!expected (B,V,T)"},
	{"Gemm", "F32(B,3) F32(3,4)", gemm(false, false), "F32(B,4)"},
	{"Gemm", "F32(3,B) F32(3,4) F32(4)", gemm(true, false), "F32(B,4)"},
	{"Gemm", "F32(B,3) F32(4,3) F32(B,1)", gemm(false, true), "F32(B,4)"},
	{"Gemm", "F32(3,B) F32(4,3) F32(B,4)", gemm(true, true), "F32(B,4)"},
	{"Gemm", "F32(B,3) F32(4,3)", gemm(false, false), "!inner sizes"},
	{"Gemm", "F32(B,3) F32(3,4) F32(3)", gemm(false, false), "!cannot be added"},
	{"Gemm", "F32(B,2,3) F32(3,4)", gemm(false, false), "!two matrices"},
	{"Gemm", "I64(2,3) I64(3,4)", gemm(false, false), "!floating-point"},
	{"OneHot", "I64(B,T)", oneHot(5), "F32(B,T,5)"},
	{"OneHot", "I64()", oneHot(5), "F32(5)"},
	{"OneHot", "I64(B)", oneHot(0), "!depth 0"},
	{"OneHot", "F32(B)", oneHot(5), "!ids are F32"},
	{"ScatterElements", "F32(B,5) I64(B,2) F32(B,2)", scatterElements, "F32(B,5)"},
	{"ScatterElements", "F32(B,5) I64(B,2) F32(B,5)", scatterElements, "!updates"},
	{"ScatterElements", "F32(B,5) F32(B,2) F32(B,2)", scatterElements, "!ids"},
	{"SoftmaxCrossEntropyLoss", "I64(B,V,T) I64(B,T)", loss, "!floating-point"},
	{"Gather", "F32(2,7,C) I64(B)", func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.Apply(graph.Gather{Axis: 1}, 1, x...)[0]
	}, "F32(2,B,C)"},
	{"MatMul", "F32(B,1,T,4) F32(H,4,S)", matMul, "F32(B,H,T,S)"},
	{"MatMul", "F32(2,3) F32(B,3,4)", matMul, "F32(B,2,4)"},
	{"Abs", "F32(B,3)", one((*graph.Builder).Abs), "F32(B,3)"},
	{"Abs", "BOOL(3)", one((*graph.Builder).Abs), "!numbers"},
	{"Cos", "F32(B,3)", one((*graph.Builder).Cos), "F32(B,3)"},
	{"Cos", "I64(3)", one((*graph.Builder).Cos), "!floating-point"},
	{"Erf", "F32(B,3)", one((*graph.Builder).Erf), "F32(B,3)"},
	{"Erf", "I64(3)", one((*graph.Builder).Erf), "!floating-point"},
	{"Reciprocal", "F32(B,3)", one((*graph.Builder).Reciprocal), "F32(B,3)"},
	{"Reciprocal", "I64(3)", one((*graph.Builder).Reciprocal), "!floating-point"},
	{"Sigmoid", "F32(B,3)", one((*graph.Builder).Sigmoid), "F32(B,3)"},
	{"Sigmoid", "I64(3)", one((*graph.Builder).Sigmoid), "!floating-point"},
	{"Sign", "F32(B,3)", one((*graph.Builder).Sign), "F32(B,3)"},
	{"Sign", "BOOL(3)", one((*graph.Builder).Sign), "!numbers"},
	{"Sin", "F32(B,3)", one((*graph.Builder).Sin), "F32(B,3)"},
	{"Sin", "I64(3)", one((*graph.Builder).Sin), "!floating-point"},
	{"Floor", "F32(B,3)", apply(graph.Floor), "F32(B,3)"},
	{"Floor", "BOOL(3)", apply(graph.Floor), "!floating-point"},
	{"Ceil", "F32(B,3)", apply(graph.Ceil), "F32(B,3)"},
	{"Ceil", "BOOL(3)", apply(graph.Ceil), "!floating-point"},
	{"Round", "F32(B,3)", apply(graph.Round), "F32(B,3)"},
	{"Round", "BOOL(3)", apply(graph.Round), "!floating-point"},
	{"Softplus", "F32(B,3)", apply(graph.Softplus), "F32(B,3)"},
	{"Softplus", "BOOL(3)", apply(graph.Softplus), "!floating-point"},
	{"Not", "BOOL(B)", one((*graph.Builder).Not), "BOOL(B)"},
	{"Not", "F32(B)", one((*graph.Builder).Not), "!expected BOOL"},
	{"Pow", "F32(B,1) F32(3)", two((*graph.Builder).Pow), "F32(B,3)"},
	{"Pow", "BOOL(3) BOOL(3)", two((*graph.Builder).Pow), "!its arguments are BOOL"},
	{"Max", "F32(B,1) F32(3)", two((*graph.Builder).Max), "F32(B,3)"},
	{"Max", "BOOL(3) BOOL(3)", two((*graph.Builder).Max), "!its arguments are BOOL"},
	{"Min", "F32(B,1) F32(3)", two((*graph.Builder).Min), "F32(B,3)"},
	{"Min", "BOOL(3) BOOL(3)", two((*graph.Builder).Min), "!its arguments are BOOL"},
	{"Less", "I64(B,1) I64(3)", two((*graph.Builder).Less), "BOOL(B,3)"},
	{"Less", "BOOL(3) BOOL(3)", two((*graph.Builder).Less), "!its arguments are BOOL"},
	{"LessOrEqual", "I64(B,1) I64(3)", two((*graph.Builder).LessOrEqual), "BOOL(B,3)"},
	{"LessOrEqual", "BOOL(3) BOOL(3)", two((*graph.Builder).LessOrEqual), "!its arguments are BOOL"},
	{"Greater", "I64(B,1) I64(3)", two((*graph.Builder).Greater), "BOOL(B,3)"},
	{"Greater", "BOOL(3) BOOL(3)", two((*graph.Builder).Greater), "!its arguments are BOOL"},
	{"GreaterOrEqual", "I64(B,1) I64(3)", two((*graph.Builder).GreaterOrEqual), "BOOL(B,3)"},
	{"GreaterOrEqual", "BOOL(3) BOOL(3)", two((*graph.Builder).GreaterOrEqual), "!its arguments are BOOL"},
	{"And", "BOOL(B,1) BOOL(3)", two((*graph.Builder).And), "BOOL(B,3)"},
	{"And", "F32(3) F32(3)", two((*graph.Builder).And), "!its arguments are F32"},
	{"Or", "BOOL(B,1) BOOL(3)", two((*graph.Builder).Or), "BOOL(B,3)"},
	{"Or", "F32(3) F32(3)", two((*graph.Builder).Or), "!its arguments are F32"},
	{"Xor", "BOOL(B,1) BOOL(3)", apply(graph.Xor), "BOOL(B,3)"},
	{"Xor", "F32(3) F32(3)", apply(graph.Xor), "!its arguments are F32"},
	{"Equal", "BOOL(B) BOOL(B)", two((*graph.Builder).Equal), "BOOL(B)"},
	{"ReduceMax", "F32(B,T,4)", func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.ReduceMax(x[0], true, -1) }, "F32(B,T,1)"},
	{"ReduceMax", "BOOL(B)", func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.ReduceMax(x[0], true, 0) }, "!numbers"},
	{"ReduceMin", "F32(B,T)", apply(graph.Reduce{Kind: graph.ReduceMin, Axes: []int{1}}), "F32(B)"},
	{"ReduceMin", "F32(B,T)", apply(graph.Reduce{Kind: graph.ReduceMin}), "!no axes"},
	{"ArgMax", "F32(B,T,4)", apply(graph.ArgMax{Axis: -1}), "I64(B,T)"},
	{"ArgMax", "F32(B,T,4)", apply(graph.ArgMax{Axis: 1, KeepDims: true}), "I64(B,1,4)"},
	{"ArgMax", "F32(B)", apply(graph.ArgMax{Axis: 1}), "!axis 1"},
	{"CumSum", "F32(B,T)", apply(graph.CumSum{Axis: -1}), "F32(B,T)"},
	{"CumSum", "BOOL(B,T)", apply(graph.CumSum{}), "!numbers"},
	{"Expand", "F32(B,1)", apply(graph.Expand{Shape: graph.Shape{dim("T"), dim("B"), dim("3")}}), "F32(T,B,3)"},
	{"Expand", "F32(B,2)", apply(graph.Expand{Shape: graph.Shape{dim("B"), dim("3")}}), "!does not broadcast into"},
	{"Positions", "I64(B,T)", one((*graph.Builder).Positions), "I64(T)"},
	{"Positions", "I64(B)", one((*graph.Builder).Positions), "!not (B,T)"},
	{"LayerNormalization", "F32(B,T,4) F32(4)", apply(graph.LayerNormalization{Epsilon: 1}), "F32(B,T,4)"},
	{"RMSNormalization", "F32(B,T,4) F32(4)", apply(graph.RMSNormalization{Epsilon: 1e-6}), "F32(B,T,4)"},
	{"RMSNormalization", "F32(B,T,4) F32(4)", apply(graph.RMSNormalization{}), "!epsilon 0"},
	{"RMSNormalization", "F32(B,T,4) F32(3)", apply(graph.RMSNormalization{Epsilon: 1}), "!scale or bias"},
	{"Gelu", "F32(3)", apply(graph.Gelu{Approximate: "tanh"}), "F32(3)"},
	{"Gelu", "F32(3)", apply(graph.Gelu{Approximate: "fast"}), "!expected none or tanh"},
	{"Swish", "F32(3)", one((*graph.Builder).SiLU), "F32(3)"},
	{"Swish", "I64(3)", one((*graph.Builder).SiLU), "!floating-point"},
	{"Attention", "F32(B,4,T,D) F32(B,2,S,D) F32(B,2,S,E)", apply(graph.Attention{Scale: 1, Causal: true}), "F32(B,4,T,E)"},
	{"Attention", "F32(B,4,T,D) F32(B,2,S,D) F32(B,2,S,D) BOOL(B,1,1,S)", attention(1), "F32(B,4,T,D)"},
	{"Attention", "F32(B,4,T,D) F32(B,3,S,D) F32(B,3,S,D)", attention(1), "!k (B,3,S,D)"},
	{"Attention", "F32(B,4,T,D) F32(B,4,S,D) F32(B,4,S,D)", apply(graph.Attention{Scale: 1, Window: 3}), "!window 3"},
	{"Attention", "F32(B,4,T,D) F32(B,4,S,D) F32(B,4,S,D)", apply(graph.Attention{Scale: 1, Causal: true, Window: -1}), "!window -1"},
	{"RotaryEmbedding", "F32(B,H,T,8) I64(T) F32(4)", apply(graph.RotaryEmbedding{Scale: 1}), "F32(B,H,T,8)"},
	{"RotaryEmbedding", "F32(B,H,T,8) I64(B,T) F32(2)", apply(graph.RotaryEmbedding{Scale: 1, Interleaved: true}), "F32(B,H,T,8)"},
	{"RotaryEmbedding", "F32(B,H,T,8) I64(T) F32(5)", apply(graph.RotaryEmbedding{Scale: 1}), "!5 angles for 8"},
	{"RotaryEmbedding", "F32(B,H,T,8) I64(B) F32(4)", apply(graph.RotaryEmbedding{Scale: 1}), "!places I64(B)"},
	{"GRU", "F32(T,B,4) F32(6,4) F32(6,2) F32(12) I64(B) F32(B,2)", states(graph.GRU{Activations: "Sigmoid Tanh"}), "F32(T,B,2)"},
	{"GRU", "F32(T,B,4) F32(6,4) F32(8,2) F32(12) I64(B) F32(B,2)", states(graph.GRU{Activations: "Sigmoid Tanh"}), "!argument 2 is (8,2)"},
	{"LSTM", "F32(T,B,4) F32(8,4) F32(8,2) F32(16) I64(B) F32(B,2) F32(B,2) F32(6)", states(graph.LSTM{Activations: "Sigmoid Tanh Tanh"}), "F32(T,B,2)"},
	{"LSTM", "F32(T,B,4) F32(8,4) F32(8,2) F32(16) I64(B) F32(B,2) F32(B,2) F32(6)", states(graph.LSTM{Activations: "Sigmoid Tanh"}), "!2 activations"},
	{"RotaryEmbedding", "F32(B,H,T,D) I64(T) F32(4)", apply(graph.RotaryEmbedding{Scale: 1}), "!4 angles for D"},
	{"RelativePositionBias", "F32(8,H)", apply(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("P").Add(graph.Sym("T")), MaxDistance: 9}), "F32(1,H,T,P+T)"},
	{"RelativePositionBias", "F32(8,H)", apply(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("T"), MaxDistance: 4}), "!8 buckets for distances up to 4"},
	{"RelativePositionBias", "F32(3,H)", apply(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("T"), MaxDistance: 9, Bidirectional: true}), "!3 buckets"},
	{"RelativePositionBias", "F32(8,H)", apply(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("T"), MaxDistance: 1<<16 + 1}), "!up to 65537"},
	{"RelativePositionBias", "F32(N,H)", apply(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("T"), MaxDistance: 9}), "!has N buckets"},
	{"RelativePositionBias", "F32(8)", apply(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("T"), MaxDistance: 9}), "!expected (buckets,heads)"},
}

// apply records an operator that has no method of its own.
func apply(op graph.Op) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Apply(op, 1, x...)[0] }
}

// states records a recurrent operator, and returns the states of all steps.
func states(op graph.Op) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Apply(op, 0, x...)[0] }
}

func TestRules(t *testing.T) {
	accepted, refused := map[string]bool{}, map[string]bool{}
	for _, c := range ruleCases {
		b := graph.NewBuilder()
		var args []*graph.Value
		for _, a := range strings.Fields(c.args) {
			args = append(args, input(b, a))
		}
		v := c.build(b, args)
		b.Output("out", v)
		_, err := b.Graph()
		where := c.op + " of " + c.args + " to " + c.want
		if part, bad := strings.CutPrefix(c.want, "!"); bad {
			refused[c.op] = true
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error is %v", where, err)
			}
			continue
		}
		accepted[c.op] = true
		if err != nil {
			t.Errorf("%s: %v", where, err)
		} else if text(v) != c.want || v.Op().Name() != c.op {
			t.Errorf("%s: got %s %s", where, v.Op().Name(), text(v))
		}
	}
	for _, op := range graph.Operators() {
		switch op.(type) {
		case graph.Input, graph.Param, graph.Const:
			continue
		}
		always := op == graph.Identity // it refuses nothing
		if name := op.Name(); !accepted[name] || !refused[name] && !always {
			t.Errorf("%s has no case that is accepted, or none that is refused", name)
		}
	}
}

type build = func(b *graph.Builder, x []*graph.Value) *graph.Value

func one(f func(b *graph.Builder, x *graph.Value) *graph.Value) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return f(b, x[0]) }
}

func two(f func(b *graph.Builder, x, y *graph.Value) *graph.Value) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return f(b, x[0], x[1]) }
}

var (
	gather = two((*graph.Builder).Gather)
	matMul = two((*graph.Builder).MatMul)

	scatterElements = func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.ScatterElements(x[0], x[1], x[2], -1) }

	logSoftmax = func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.LogSoftmax(x[0], -1) }
	where      = func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Where(x[0], x[1], x[2]) }
	trilu      = func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.TriluUpper(x[0], graph.N(1)) }
	loss       = func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(x[0], x[1], -100)
	}
	gatherElements = func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.GatherElements(x[0], x[1], -1) }
)

func softmax(axis int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Softmax(x[0], axis) }
}

func reduceSum(keep bool, axes ...int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.ReduceSum(x[0], keep, axes...) }
}

func reduceMean(keep bool, axes ...int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.ReduceMean(x[0], keep, axes...) }
}

func dims(texts []string) (s []graph.Dim) {
	for _, d := range texts {
		s = append(s, dim(d))
	}
	return s
}

func reshape(s ...string) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Reshape(x[0], dims(s)...) }
}

func transpose(perm ...int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Transpose(x[0], perm...) }
}

func concat(axis int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Concat(axis, x...) }
}

// split returns the second part, or the only one.
func split(axis int, sizes ...int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value {
		parts := b.Split(x[0], axis, sizes...)
		return parts[min(1, len(parts)-1)]
	}
}

func slice(axis int, start, limit string) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.Slice(x[0], axis, dim(start), dim(limit))
	}
}

func cast(t format.DType) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Cast(x[0], t) }
}

func span(start, limit string) build {
	return func(b *graph.Builder, _ []*graph.Value) *graph.Value { return b.Range(dim(start), dim(limit)) }
}

func filled(fill float64, s ...string) build {
	return func(b *graph.Builder, _ []*graph.Value) *graph.Value { return b.ConstantOfShape(fill, dims(s)...) }
}

func layerNorm(epsilon float64) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.LayerNormalization(x[0], x[1], x[2], epsilon)
	}
}

func attention(scale float64) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.Apply(graph.Attention{Scale: scale}, 1, x...)[0]
	}
}

func gemm(transA, transB bool) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value {
		switch len(x) {
		case 2:
			return b.Gemm(x[0], x[1], nil, transA, transB)
		case 3:
			return b.Gemm(x[0], x[1], x[2], transA, transB)
		}
		panic("gemm of " + fmt.Sprint(len(x)))
	}
}

func oneHot(depth int) build {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.OneHot(x[0], depth) }
}
