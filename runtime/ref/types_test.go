package ref_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Operators that move or compare elements do so in every type; the golden
// cases have mostly floating-point ones. Expected values follow from ONNX's
// definitions by hand.
func TestIntegersAndBooleans(t *testing.T) {
	n, b1 := i64([]int{2, 2}, 7, -7, 3, 4), yes([]int{2, 2}, 1, 0, 0, 1)
	f := f64([]int{3}, -1.5, 0, 2)
	for name, c := range map[string]struct {
		in    []given
		build func(b *graph.Builder, x []*graph.Value) *graph.Value
		want  string
	}{
		"sum":        {[]given{n, i64([]int{}, 2)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Add(x[0], x[1]) }, "I64[2 2] [9 -5 5 6]"},
		"difference": {[]given{n, i64([]int{2}, 1, 2)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Sub(x[0], x[1]) }, "I64[2 2] [6 -9 2 2]"},
		"product":    {[]given{n, i64([]int{2, 1}, 2, 3)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Mul(x[0], x[1]) }, "I64[2 2] [14 -14 9 12]"},
		"quotient":   {[]given{n, i64([]int{}, 2)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Div(x[0], x[1]) }, "I64[2 2] [3 -3 1 2]"},
		"smallest by -1": {[]given{i64([]int{1}, math.MinInt64), i64([]int{1}, -1)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Div(x[0], x[1]) }, "I64[1] [-9223372036854775808]"},
		"transposed": {[]given{n}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Transpose(x[0], 1, 0) }, "I64[2 2] [7 3 -7 4]"},
		"gathered":   {[]given{b1, i64([]int{1}, 1)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Gather(x[0], x[1]) }, "BOOL[1 2] [0 1]"},
		"triangle":   {[]given{n}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.TriluUpper(x[0], graph.N(0)) }, "I64[2 2] [7 -7 0 4]"},
		"beside":     {[]given{b1, b1}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Concat(1, x[0], x[1]) }, "BOOL[2 4] [1 0 1 0 0 1 0 1]"},
		"part":       {[]given{n}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Split(x[0], 1, 1, 1)[1] }, "I64[2 1] [-7 4]"},
		"reshaped":   {[]given{b1}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Reshape(x[0], graph.N(4)) }, "BOOL[4] [1 0 0 1]"},
		"chosen": {[]given{b1, yes([]int{}, 1), yes([]int{2, 1}, 0, 1)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Where(x[0], x[1], x[2]) }, "BOOL[2 2] [1 0 1 1]"},
		"equal booleans": {[]given{b1, yes([]int{}, 1)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Equal(x[0], x[1]) }, "BOOL[2 2] [1 0 0 1]"},
		"equal integers": {[]given{n, i64([]int{2}, 7, 4)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Equal(x[0], x[1]) }, "BOOL[2 2] [1 0 0 1]"},
		"equal floats":   {[]given{f, f64([]int{}, 2)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Equal(x[0], x[1]) }, "BOOL[3] [0 0 1]"},
		"NaN is not NaN": {[]given{f64([]int{1}, math.NaN())}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Equal(x[0], x[0]) }, "BOOL[1] [0]"},

		"float to float":     {[]given{f}, cast(format.Float64), "F64[3] [-1.5 0 2]"},
		"float to integer":   {[]given{f}, cast(format.Int64), "I64[3] [-1 0 2]"},
		"float to boolean":   {[]given{f}, cast(format.Bool), "BOOL[3] [1 0 1]"},
		"integer to float":   {[]given{n}, cast(format.Float32), "F64[2 2] [7 -7 3 4]"},
		"integer to integer": {[]given{n}, cast(format.Int64), "I64[2 2] [7 -7 3 4]"},
		"integer to boolean": {[]given{i64([]int{2}, 0, -3)}, cast(format.Bool), "BOOL[2] [0 1]"},
		"boolean to float":   {[]given{b1}, cast(format.Float32), "F64[2 2] [1 0 0 1]"},
		"boolean to integer": {[]given{b1}, cast(format.Int64), "I64[2 2] [1 0 0 1]"},
		"boolean to boolean": {[]given{b1}, cast(format.Bool), "BOOL[2 2] [1 0 0 1]"},
		"smallest integer":   {[]given{f64([]int{1}, math.MinInt64)}, cast(format.Int64), "I64[1] [-9223372036854775808]"},

		"NaN through Relu":    {[]given{f64([]int{2}, math.NaN(), -1)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Relu(x[0]) }, "F64[2] [NaN 0]"},
		"NaN through Softmax": {[]given{f64([]int{2}, math.NaN(), -1)}, func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Softmax(x[0], 0) }, "F64[2] [NaN NaN]"},
		"rest of the axis": {[]given{n}, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			return b.Slice(x[0], 0, graph.N(1), graph.N(2))
		}, "I64[1 2] [3 4]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := evaluate(t, c.in, c.build)
			if err != nil {
				t.Fatal(err)
			}
			v, err := got.AsFloat64s()
			text := fmt.Sprintf("%s%v %v", got.DType, got.Shape, v)
			if got.DType == format.Int64 {
				exact, _ := got.Int64s()
				text = fmt.Sprintf("%s%v %v", got.DType, got.Shape, exact)
			}
			if err != nil || text != c.want {
				t.Errorf("got %s, %v, want %s", text, err, c.want)
			}
		})
	}
}

func cast(to format.DType) func(b *graph.Builder, x []*graph.Value) *graph.Value {
	return func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Cast(x[0], to) }
}
