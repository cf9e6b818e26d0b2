package ref_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// A tensor without elements may declare any number of rows: no operator may
// walk over them one by one, nor divide by what is not there.
func TestEmptyTensorsOfManyRows(t *testing.T) {
	const many = 1 << 50
	rows := func(shape ...int) given { return f64(shape) }
	for name, c := range map[string]struct {
		in    []given
		build func(b *graph.Builder, x []*graph.Value) *graph.Value
	}{
		"Exp":     {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Exp(x[0]) }},
		"Add":     {[]given{rows(many, 0), rows(1, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Add(x[0], x[1]) }},
		"Softmax": {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Softmax(x[0], 1) }},
		"LogSoftmax, first axis": {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			return b.LogSoftmax(x[0], 0)
		}},
		"ReduceMean": {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			return b.ReduceMean(x[0], false, 0)
		}},
		"MatMul, no columns":           {[]given{rows(many, 0), rows(0, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.MatMul(x[0], x[1]) }},
		"MatMul, nothing to the right": {[]given{f64([]int{1, 2}, 1, 2), rows(2, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.MatMul(x[0], x[1]) }},
		"Transpose":                    {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Transpose(x[0], 1, 0) }},
		"Concat":                       {[]given{rows(many, 0), rows(1, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Concat(0, x[0], x[1]) }},
		"Slice": {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			return b.Slice(x[0], 0, graph.N(many/2), graph.N(many))
		}},
		"Gather": {[]given{rows(many, 0), i64([]int{2}, 0, many-1)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Gather(x[0], x[1]) }},
		"Trilu":  {[]given{rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.TriluUpper(x[0], graph.N(1)) }},
		"LayerNormalization": {[]given{rows(many, 0), rows(0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			return b.LayerNormalization(x[0], x[1], x[1], 1)
		}},
		"Attention": {[]given{rows(1, 1, many, 0), rows(1, 1, 0, 0), rows(many, 0)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			return b.Attention(graph.Attention{Scale: 1}, x[0], x[1], x[1], x[2])
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := evaluate(t, c.in, c.build)
			if err != nil || got.Elements() != 0 {
				t.Errorf("got %v%v, %v", got.DType, got.Shape, err)
			}
		})
	}
}

// What a sum, a mean and a maximum of nothing are: 0, NaN, and no row at all.
func TestSumsOfNothing(t *testing.T) {
	sum, err := evaluate(t, []given{f64([]int{2, 0})}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.ReduceSum(x[0], false, 1)
	})
	if err != nil || floats(t, sum)[0] != 0 || floats(t, sum)[1] != 0 {
		t.Errorf("the sum is %v, %v, want 0", sum, err)
	}
	mean, err := evaluate(t, []given{f64([]int{2, 0})}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.ReduceMean(x[0], false, 1)
	})
	if err != nil || !math.IsNaN(floats(t, mean)[0]) {
		t.Errorf("the mean is %v, %v, want NaN", mean, err)
	}
	product, err := evaluate(t, []given{f64([]int{2, 0}), f64([]int{0, 3})}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.MatMul(x[0], x[1])
	})
	if err != nil || product.Elements() != 6 || floats(t, product)[5] != 0 {
		t.Errorf("the product is %v, %v, want 0", product, err)
	}
	// The mean of -log p over no labels: PyTorch and ONNX give NaN.
	loss, err := evaluate(t, []given{f64([]int{1, 2, 1}, 1, 2), i64([]int{1, 1}, -100)}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(x[0], x[1], -100)
	})
	if err != nil || loss.DType != format.Float64 || !math.IsNaN(floats(t, loss)[0]) {
		t.Errorf("the loss is %v, %v, want NaN", loss, err)
	}
}
