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
	op    graph.Op
	args  string // separated by spaces
	build func(b *graph.Builder, x []*graph.Value) *graph.Value
	want  string
}{
	{graph.Gather, "F32(7,C) I64(B,T)", gather, "F32(B,T,C)"},
	{graph.Gather, "F32(7) I64()", gather, "F32()"},
	{graph.Gather, "I64(7,2) I64(3)", gather, "I64(3,2)"},
	{graph.Gather, "F32(7,C) F32(B,T)", gather, "!int64 ids"},
	{graph.Gather, "F32() I64(B)", gather, "!rank 1 or more"},

	{graph.MatMul, "F32(B,T,4) F32(4,5)", matMul, "F32(B,T,5)"},
	{graph.MatMul, "F32(B,H,T,4) F32(B,H,4,S)", matMul, "F32(B,H,T,S)"},
	{graph.MatMul, "F64(2,3) F64(3,2)", matMul, "F64(2,2)"},
	{graph.MatMul, "F32(B,T,4) F32(5,4)", matMul, "!inner sizes"},
	{graph.MatMul, "F32(B,T,4) F32(T,4,5)", matMul, "!leading axes"},
	{graph.MatMul, "F32(4) F32(4,5)", matMul, "!MatMul"},
	{graph.MatMul, "F32(2,4) F32(4)", matMul, "!MatMul"},
	{graph.MatMul, "F32(2,4) F64(4,5)", matMul, "!MatMul"},
	{graph.MatMul, "I64(2,4) I64(4,5)", matMul, "!floating-point"},

	{graph.Add, "F32(B,T,4) F32(4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{graph.Add, "F32(B,T,4) F32(B,1,4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{graph.Add, "I64(T) I64()", two((*graph.Builder).Add), "I64(T)"},
	{graph.Add, "F32(4) F32(B,T,4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{graph.Add, "F32(B,1,4) F32(B,T,4)", two((*graph.Builder).Add), "F32(B,T,4)"},
	{graph.Add, "F32(B,1) F32(1,T)", two((*graph.Builder).Add), "F32(B,T)"},
	{graph.Sub, "F64(B,1) F64(3)", two((*graph.Builder).Sub), "F64(B,3)"},
	{graph.Div, "F32() F32(B,T)", two((*graph.Builder).Div), "F32(B,T)"},
	{graph.Equal, "I64(B,1) I64(1,3)", two((*graph.Builder).Equal), "BOOL(B,3)"},
	{graph.Add, "F32(B,T) F32(B)", two((*graph.Builder).Add), "!axis -1 is T and B"},
	{graph.Add, "F32(2) F64(2)", two((*graph.Builder).Add), "!is F32 but"},
	{graph.Sub, "F32(B,T) F32(T)", two((*graph.Builder).Sub), "F32(B,T)"},
	{graph.Sub, "F32(B,T) F32(B)", two((*graph.Builder).Sub), "!do not broadcast"},
	{graph.Mul, "F32(B,T) F32()", two((*graph.Builder).Mul), "F32(B,T)"},
	{graph.Mul, "F32() F32(B,T)", two((*graph.Builder).Mul), "F32(B,T)"},
	{graph.Mul, "F32(2) F32(3)", two((*graph.Builder).Mul), "!axis -1 is 2 and 3"},
	{graph.Div, "F32(B,T) F32(B,1)", two((*graph.Builder).Div), "F32(B,T)"},
	{graph.Div, "F32(B,T) I64(B,1)", two((*graph.Builder).Div), "!is F32 but"},

	{graph.Neg, "F32(B,T)", one((*graph.Builder).Neg), "F32(B,T)"},
	{graph.Neg, "I64(B,T)", one((*graph.Builder).Neg), "!floating-point"},
	{graph.Exp, "F64()", one((*graph.Builder).Exp), "F64()"},
	{graph.Exp, "BOOL()", one((*graph.Builder).Exp), "!floating-point"},
	{graph.Log, "F32(3)", one((*graph.Builder).Log), "F32(3)"},
	{graph.Log, "I64(3)", one((*graph.Builder).Log), "!floating-point"},
	{graph.Sqrt, "F32(3)", one((*graph.Builder).Sqrt), "F32(3)"},
	{graph.Sqrt, "I64(3)", one((*graph.Builder).Sqrt), "!floating-point"},
	{graph.Tanh, "F32(3)", one((*graph.Builder).Tanh), "F32(3)"},
	{graph.Tanh, "I64(3)", one((*graph.Builder).Tanh), "!floating-point"},
	{graph.Relu, "F32(3)", one((*graph.Builder).Relu), "F32(3)"},
	{graph.Relu, "I64(3)", one((*graph.Builder).Relu), "!floating-point"},
	{graph.Gelu, "F32(3)", one((*graph.Builder).Gelu), "F32(3)"},
	{graph.Gelu, "I64(3)", one((*graph.Builder).Gelu), "!floating-point"},
	{graph.Identity, "BOOL(B,2)", one((*graph.Builder).Identity), "BOOL(B,2)"},

	{graph.Softmax, "F32(B,V,T)", softmax(1), "F32(B,V,T)"},
	{graph.Softmax, "F32(B,V,T)", softmax(-1), "F32(B,V,T)"},
	{graph.Softmax, "F32(B,V,T)", softmax(3), "!axis 3"},
	{graph.Softmax, "F32(B,V,T)", softmax(-4), "!axis -4"},
	{graph.Softmax, "F32()", softmax(0), "!axis 0"},
	{graph.Softmax, "I64(3)", softmax(0), "!floating-point"},
	{graph.LogSoftmax, "F32(B,V)", logSoftmax, "F32(B,V)"},
	{graph.LogSoftmax, "F32()", logSoftmax, "!axis"},

	{graph.ReduceSum, "F32(B,T,4)", reduceSum(false, -1), "F32(B,T)"},
	{graph.ReduceSum, "F32(B,T,4)", reduceSum(true, 0, 2), "F32(1,T,1)"},
	{graph.ReduceSum, "F32(B,T)", reduceSum(false, 0, 1), "F32()"},
	{graph.ReduceSum, "F32(B,T)", reduceSum(false), "!no axes"},
	{graph.ReduceSum, "F32(B,T)", reduceSum(false, 1, 0), "F32()"},
	{graph.ReduceSum, "F32(B,T)", reduceSum(false, 1, -1), "!twice"},
	{graph.ReduceSum, "F32(B,T)", reduceSum(false, 2), "!axes [2]"},
	{graph.ReduceSum, "I64(B,T)", reduceSum(false, 0), "!floating-point"},
	{graph.ReduceMean, "F32(B,T,4)", reduceMean(true, -1), "F32(B,T,1)"},
	{graph.ReduceMean, "F32(B,T,4)", reduceMean(true, -4), "!axes"},

	{graph.Reshape, "F32(B,T,6)", reshape("B", "T", "2", "3"), "F32(B,T,2,3)"},
	{graph.Reshape, "F32(B,T,6)", reshape("T", "B", "6"), "F32(T,B,6)"},
	{graph.Reshape, "I64()", reshape("1"), "I64(1)"},
	{graph.Reshape, "F32(B,T,6)", reshape("B", "T", "5"), "!cannot become"},
	{graph.Reshape, "F32(B,T,6)", reshape("B", "6"), "!cannot become"},
	{graph.Reshape, "F32(T,T)", reshape("T"), "!cannot become"},
	{graph.Reshape, "F32(B,T)", reshape("B+T"), "!cannot become"},
	// 2^32·2^32 is 0 in 64 bits.
	{graph.Reshape, "F32(0)", reshape("4294967296", "4294967296"), "!cannot become"},

	{graph.Transpose, "F32(B,T,4)", transpose(2, 0, 1), "F32(4,B,T)"},
	{graph.Transpose, "F32()", transpose(), "F32()"},
	{graph.Transpose, "F32(B,T)", transpose(0), "!perm"},
	{graph.Transpose, "F32(B,T)", transpose(0, 0), "!permutation"},
	{graph.Transpose, "F32(B,T)", transpose(0, 2), "!permutation"},
	{graph.Transpose, "F32(B,T)", transpose(-1, 0), "F32(T,B)"},
	{graph.Transpose, "F32(B,T)", transpose(-1, 1), "!permutation"},
	{graph.Transpose, "F32(B,T)", transpose(0, -3), "![0 -3] is not a permutation"},

	{graph.Concat, "F32(B,P,4) F32(B,T,4)", concat(1), "F32(B,P+T,4)"},
	{graph.Concat, "F32(2)", concat(0), "F32(2)"},
	{graph.Concat, "F32(2,3) F32(2,1) F32(2,2)", concat(1), "F32(2,6)"},
	{graph.Concat, "F32(B,P,4) F32(B,T,5)", concat(1), "!beside"},
	{graph.Concat, "F32(2) F64(2)", concat(0), "!beside"},
	{graph.Concat, "F32(2) F32(2,1)", concat(0), "!beside"},
	{graph.Concat, "F32(2) F32(2)", concat(1), "!axis 1"},
	{graph.Concat, "", concat(0), "!takes"},

	{graph.Split, "F32(B,T,6)", split(-1, 1, 3, 2), "F32(B,T,3)"},
	{graph.Split, "F32(B,T,6)", split(-1, 3, 2), "!part 0"},
	{graph.Split, "F32(B,T,6)", split(1, 3, 3), "!axis 1"},
	{graph.Split, "F32(B,T,6)", split(3, 6, 0), "!axis 3"},
	{graph.Split, "F32(6)", split(0, 6, 0), "!part of size 0"},
	{graph.Split, "F32(6)", split(0, 7, -1), "!part of size -1"},
	// The sum is 6 in 64 bits.
	{graph.Split, "F32(6)", split(0, math.MaxInt, math.MaxInt, 8), "!part"},

	{graph.Slice, "F32(B,64,4)", slice(1, "0", "T"), "F32(B,T,4)"},
	{graph.Slice, "F32(64)", slice(0, "P", "P+T"), "F32(T)"},
	{graph.Slice, "F32(64)", slice(-1, "3", "64"), "F32(61)"},
	{graph.Slice, "F32(64)", slice(0, "5", "5"), "F32(0)"},
	{graph.Slice, "F32(B,T,4)", slice(1, "T-1", "T"), "F32(B,1,4)"},
	{graph.Slice, "F32(B,T,4)", slice(1, "T", "T-1"), "!the length -1 can be negative"},
	{graph.Slice, "F32(64)", slice(0, "0", "65"), "!axis 0"},
	{graph.Slice, "F32(64)", slice(0, "-1", "3"), "!positions -1"},
	{graph.Slice, "F32(64)", slice(0, "4", "3"), "!negative"},
	{graph.Slice, "F32(64)", slice(0, "3", "T"), "!the length T-3 can be negative"},
	{graph.Slice, "F32(64)", slice(0, "P", "T"), "!the length -P+T can be negative"},
	{graph.Slice, "F32(64)", slice(1, "0", "1"), "!axis 1"},

	{graph.Cast, "BOOL(B)", cast(format.Float32), "F32(B)"},
	{graph.Cast, "F32(B)", cast(format.Int64), "I64(B)"},
	{graph.Cast, "F32(B)", cast(format.Invalid), "!no element type"},

	{graph.Equal, "I64(B,T) I64()", two((*graph.Builder).Equal), "BOOL(B,T)"},
	{graph.Equal, "I64() I64(B,T)", two((*graph.Builder).Equal), "BOOL(B,T)"},
	{graph.Equal, "I64(B) F32(B)", two((*graph.Builder).Equal), "!is I64 but"},

	{graph.Where, "BOOL(B,T) F32() F32(T)", where, "F32(B,T)"},
	{graph.Where, "BOOL(B,T) I64(B,1) I64()", where, "I64(B,T)"},
	{graph.Where, "F32(B,T) F32() F32()", where, "!Where"},
	{graph.Where, "BOOL(B,T) F32() I64()", where, "!Where"},
	{graph.Where, "BOOL(T) F32(B,T) F32()", where, "!Where"},
	{graph.Where, "BOOL(T) F32() F32(B,T)", where, "!Where"},

	{graph.GatherElements, "F32(B,T,9) I64(B,T,1)", gatherElements, "F32(B,T,1)"},
	{graph.GatherElements, "F32(B,9) I64(B,3)", gatherElements, "F32(B,3)"},
	{graph.GatherElements, "F32(B,T,9) I64(B,1,1)", gatherElements, "!ids"},
	{graph.GatherElements, "F32(B,T,9) I64(B,T)", gatherElements, "!ids"},
	{graph.GatherElements, "F32(B,T,9) F32(B,T,1)", gatherElements, "!ids"},
	{graph.GatherElements, "F32() I64()", gatherElements, "!axis"},

	{graph.Range, "", span("0", "T"), "I64(T)"},
	{graph.Range, "", span("P", "P+T"), "I64(T)"},
	{graph.Range, "", span("3", "7"), "I64(4)"},
	{graph.Range, "", span("7", "3"), "!negative"},
	{graph.Range, "", span("P", "T"), "!the length -P+T can be negative"},

	{graph.ConstantOfShape, "", filled(-1e9, "T", "S"), "F32(T,S)"},
	{graph.ConstantOfShape, "", filled(0), "F32()"},
	{graph.ConstantOfShape, "", filled(0.1, "2"), "!no float32"},
	{graph.ConstantOfShape, "", filled(math.NaN(), "2"), "!no number"},
	{graph.ConstantOfShape, "", filled(0, "-1"), "!negative size"},

	{graph.Trilu, "F32(B,T,S)", trilu, "F32(B,T,S)"},
	{graph.Trilu, "F32(B)", trilu, "!no triangle"},

	{graph.LayerNormalization, "F32(B,T,4) F32(4) F32(4)", layerNorm(1e-5), "F32(B,T,4)"},
	{graph.LayerNormalization, "F32(B,T,4) F32(4) F32(4)", layerNorm(0), "!epsilon 0"},
	{graph.LayerNormalization, "F32(B,T,4) F32(4) F32(4)", layerNorm(math.NaN()), "!no number"},
	{graph.LayerNormalization, "F32(B,T,4) F32(5) F32(4)", layerNorm(1), "!scale"},
	{graph.LayerNormalization, "F32(B,T,4) F32(4) F32(1)", layerNorm(1), "!bias"},
	{graph.LayerNormalization, "F32(B,T,4) F32(4) F64(4)", layerNorm(1), "!bias"},
	{graph.LayerNormalization, "F32() F32() F32()", layerNorm(1), "!shape ()"},
	{graph.LayerNormalization, "I64(4) I64(4) I64(4)", layerNorm(1), "!floating-point"},

	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(T,S)", attention(0.5), "F32(B,H,T,D)"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(T,S)", attention(0), "!scale 0"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(B,1,T,S)", attention(0.5), "F32(B,H,T,D)"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(1,1,T,S)", attention(0.5), "!mask (1,1,T,S)"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(1,T,S)", attention(0.5), "!mask (1,T,S)"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F32(S,T)", attention(1), "!mask"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,T,D) F32(T,S)", attention(1), "!v (B,H,T,D)"},
	{graph.Attention, "F32(B,H,T,D) F32(B,G,S,D) F32(B,G,S,D) F32(T,S)", attention(1), "!k (B,G,S,D)"},
	{graph.Attention, "F32(B,T,D) F32(B,S,D) F32(B,S,D) F32(T,S)", attention(1), "!q (B,T,D)"},
	{graph.Attention, "F32(B,H,T,D) F32(B,H,S,D) F32(B,H,S,D) F64(T,S)", attention(1), "!mask"},
	{graph.Attention, "I64(B,H,T,D) I64(B,H,S,D) I64(B,H,S,D) I64(T,S)", attention(1), "!floating-point"},

	{graph.SoftmaxCrossEntropyLoss, "F32(B,V,T) I64(B,T)", loss, "F32()"},
	{graph.SoftmaxCrossEntropyLoss, "F32(B,T,V) I64(B,T)", loss, "!wants (B,V,T)"},
	{graph.SoftmaxCrossEntropyLoss, "F32(B,V,T) F32(B,T)", loss, "!I64(B,T)"},
	{graph.SoftmaxCrossEntropyLoss, "F32(B,V) I64(B)", loss, "F32()"},
	{graph.SoftmaxCrossEntropyLoss, "F32(B,V) I64(V)", loss, "!wants (B,V,T)"},
	{graph.SoftmaxCrossEntropyLoss, "F32(B) I64(B)", loss, "!wants (B,V,T)"},
	{graph.Gemm, "F32(B,3) F32(3,4)", gemm(false, false), "F32(B,4)"},
	{graph.Gemm, "F32(3,B) F32(3,4) F32(4)", gemm(true, false), "F32(B,4)"},
	{graph.Gemm, "F32(B,3) F32(4,3) F32(B,1)", gemm(false, true), "F32(B,4)"},
	{graph.Gemm, "F32(3,B) F32(4,3) F32(B,4)", gemm(true, true), "F32(B,4)"},
	{graph.Gemm, "F32(B,3) F32(4,3)", gemm(false, false), "!inner sizes"},
	{graph.Gemm, "F32(B,3) F32(3,4) F32(3)", gemm(false, false), "!cannot be added"},
	{graph.Gemm, "F32(B,2,3) F32(3,4)", gemm(false, false), "!two matrices"},
	{graph.Gemm, "I64(2,3) I64(3,4)", gemm(false, false), "!floating-point"},
	{graph.OneHot, "I64(B,T)", oneHot(5), "F32(B,T,5)"},
	{graph.OneHot, "I64()", oneHot(5), "F32(5)"},
	{graph.OneHot, "I64(B)", oneHot(0), "!depth 0"},
	{graph.OneHot, "F32(B)", oneHot(5), "!ids are F32"},
	{graph.ScatterElements, "F32(B,5) I64(B,2) F32(B,2)", scatterElements, "F32(B,5)"},
	{graph.Sum, "F32(B,1,1,S) F32(T,S)", sum, "F32(B,1,T,S)"},
	{graph.Sum, "F32(3) F32(B,1) F32()", sum, "F32(B,3)"},
	{graph.Sum, "F32(B,2)", sum, "F32(B,2)"},
	{graph.Sum, "F32(B,T) F32(T,B)", sum, "!axis -1 is T and B"},
	{graph.Sum, "F32(B) F64(B)", sum, "!is F64"},
	{graph.Sum, "I64(B) I64(B)", sum, "!floating-point"},
	{graph.ScatterElements, "F32(B,5) I64(B,2) F32(B,5)", scatterElements, "!updates"},
	{graph.ScatterElements, "F32(B,5) F32(B,2) F32(B,2)", scatterElements, "!ids"},
	{graph.SoftmaxCrossEntropyLoss, "I64(B,V,T) I64(B,T)", loss, "!floating-point"},
}

func TestRules(t *testing.T) {
	accepted, refused := map[graph.Op]bool{}, map[graph.Op]bool{}
	for _, c := range ruleCases {
		b := graph.NewBuilder()
		var args []*graph.Value
		for _, a := range strings.Fields(c.args) {
			args = append(args, input(b, a))
		}
		v := c.build(b, args)
		b.Output("out", v)
		_, err := b.Graph()
		where := c.op.String() + " of " + c.args + " to " + c.want
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
		} else if text(v) != c.want || v.Op != c.op {
			t.Errorf("%s: got %s %s", where, v.Op, text(v))
		}
	}
	for _, info := range graph.Ops() {
		always := info.Op == graph.Identity // it refuses nothing
		if !info.Op.Leaf() && (!accepted[info.Op] || !refused[info.Op] && !always) {
			t.Errorf("%s has no case that is accepted, or none that is refused", info.Name)
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

	sum             = func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Sum(x...) }
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
		return b.Attention(x[0], x[1], x[2], x[3], scale)
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
