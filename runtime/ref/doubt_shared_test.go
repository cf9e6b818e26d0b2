package ref_test

import (
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// A zero point in the middle between two integers moves all integers with it, so
// their differences from it are not in doubt. What uses the integers alone is. Either zero
// point that a runtime may find is within the bounds.
func TestZeroPointsDoubtIsShared(t *testing.T) {
	const n = 64
	for name, c := range map[string]struct {
		build func(b *graph.Builder, q []*graph.Value) *graph.Value
		most  float64 // no bound may be larger, in steps
		least float64 // nor smaller, where the zero point counts
	}{
		"product of differences": {func(b *graph.Builder, q []*graph.Value) *graph.Value {
			x := b.Sub(b.Cast(q[0], format.Int32), b.Cast(q[2], format.Int32))
			x = b.Reshape(b.Transpose(b.Reshape(b.Cast(x, format.Float64), graph.N(n), graph.N(1)), 1, 0), graph.N(1), graph.N(n))
			y := b.Cast(b.MatMul(x, b.Const(format.FromFloat64s("w", []int{n, 1}, slices.Repeat([]float64{1}, n)))), format.Int32)
			return b.Mul(b.Cast(y, format.Float32), q[1])
		}, 10, 0},
		"dequantized": {func(b *graph.Builder, q []*graph.Value) *graph.Value {
			return b.ReduceSum(b.Apply(graph.DequantizeLinear{To: format.Float32}, 1, q[0], q[1], q[2])[0], false, 0)
		}, 10, 0},
		"integers alone": {func(b *graph.Builder, q []*graph.Value) *graph.Value {
			return b.ReduceSum(b.Cast(q[0], format.Float32), false, 0)
		}, 1000, n},
		"another's zero point": {func(b *graph.Builder, q []*graph.Value) *graph.Value {
			return b.ReduceSum(b.Cast(b.Add(b.Cast(q[0], format.Int32), b.Cast(q[2], format.Int32)), format.Float32), false, 0)
		}, 1000, 2 * n},
		"quantized at the zero point": {func(b *graph.Builder, q []*graph.Value) *graph.Value {
			y := b.Apply(graph.QuantizeLinear{To: format.Uint8, Precision: format.Float32}, 1, b.Const(format.FromFloat32s("c", []int{n}, slices.Repeat([]float32{3}, n))), b.Scalar(1), q[2])[0]
			return b.ReduceSum(b.Cast(y, format.Float32), false, 0)
		}, 1000, n},
		"rounded again": {func(b *graph.Builder, q []*graph.Value) *graph.Value {
			sum := b.Sub(b.Cast(q[0], format.Int32), b.Cast(b.Scalar(10), format.Int32))
			y := b.Apply(graph.Requantize{To: format.Int8}, 1, sum, b.Scalar(1), b.Scalar(0.5), b.Scalar(1))[0]
			return b.ReduceSum(b.Cast(y, format.Float32), false, 0)
		}, 1000, n / 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder()
			x := b.Input("x", format.Float32, graph.N(n))
			q := b.Apply(graph.DynamicQuantizeLinear{}, 3, b.Mul(x, b.Scalar(3)))
			b.Output("zero", b.Cast(q[2], format.Float32))
			b.Output("y", c.build(b, q))
			g, err := b.Graph()
			okay(t, err)
			o, err := ref.New(g, nil)
			okay(t, err)
			// Between -10.5 and 244.5 the step is 1 and the zero point 10.5.
			run := func(off float64) map[string]format.Tensor {
				numbers := make([]float64, n)
				for i := range numbers {
					numbers[i] = (float64(i) + 0.2) / 3
				}
				numbers[0], numbers[1] = (-10.5+off)/3, (244.5+off)/3
				return map[string]format.Tensor{"x": format.FromFloat64s("x", []int{n}, numbers)}
			}
			got, err := o.Bounds(run(0), runtime.Numbers{DType: format.Float32})
			okay(t, err)
			if why := got.Bounds[0].Unknown; why != "" {
				t.Fatal(why)
			}
			number := func(from map[string]format.Tensor, name string) float64 {
				x, err := from[name].AsFloat64s()
				okay(t, err)
				return x[0]
			}
			bound := number(got.Bounds[0].Of, "y")
			if !(bound <= c.most && bound >= c.least) {
				t.Errorf("a bound of %g steps, expected %g to %g", bound, c.least, c.most)
			}
			zeros := map[float64]bool{}
			for _, off := range []float64{-1e-6, 1e-6} {
				other, err := o.Run(run(off))
				okay(t, err)
				zeros[number(other, "zero")] = true
				if d := math.Abs(number(other, "y") - number(got.Outputs, "y")); d > bound {
					t.Errorf("with the zero point %g it is off by %g, the bound is %g", number(other, "zero"), d, bound)
				}
			}
			if len(zeros) != 2 {
				t.Errorf("rounding does not move the zero point: %v", zeros)
			}
		})
	}
}

func okay(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
