package ref_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// Exact numbers whose quotient lies between two integers may become either, because the quotient is
// rounded. Others are certain, and so are those that a power of two divides.
func TestExactNumbersBetweenIntegers(t *testing.T) {
	for name, c := range map[string]struct {
		x     []float32
		scale float64 // 0: dynamically, x minus the zero point
		sums  bool    // x are sums of products, rounded to integers again
		ties  int     // so many of x, from the first on, lie between two integers
	}{
		"the range from -2 to 2":      {x: []float32{-2, 2, 1, 0.5}, ties: 2},
		"a range of 255 steps":        {x: []float32{-2, 127. / 64, 1, 0.5}},
		"nothing":                     {x: []float32{0, 0, 0, 0}},
		"tenths":                      {x: []float32{0.25, 0.35, 0.3, 0.12}, scale: 0.1, ties: 2},
		"halves":                      {x: []float32{0.25, 0.75, 0.3, 0.12}, scale: 0.5},
		"beyond the largest integer":  {x: []float32{100.05, -100.05, 3, 4}, scale: 0.1},
		"sums times three tenths":     {x: []float32{5, 15, 4, 9}, scale: 0.3, sums: true, ties: 2},
		"sums times a half":           {x: []float32{5, 15, 4, 9}, scale: 0.5, sums: true},
		"sums beyond the largest one": {x: []float32{1005, -1005, 4, 9}, scale: 0.3, sums: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder()
			x := b.Input("x", format.Float32, graph.N(len(c.x)))
			var y *graph.Value
			switch {
			case c.sums:
				y = b.Apply(graph.Requantize{To: format.Int8}, 1, b.Cast(x, format.Int32), b.Scalar(c.scale), b.Scalar(1), b.Scalar(1))[0]
			case c.scale == 0:
				q := b.Apply(graph.DynamicQuantizeLinear{}, 3, x)
				y = b.Sub(b.Cast(q[0], format.Int32), b.Cast(q[2], format.Int32))
			default:
				y = b.Apply(graph.QuantizeLinear{To: format.Int8, Precision: format.Float32}, 1, x, b.Scalar(c.scale))[0]
			}
			y = b.Cast(y, format.Float32)
			for i := range c.x { // apart, since those of one output are judged together
				b.Output(fmt.Sprint(i), b.Slice(y, 0, graph.N(i), graph.N(i+1)))
			}
			g, err := b.Graph()
			okay(t, err)
			o, err := ref.New(g, nil)
			okay(t, err)
			got, err := o.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{len(c.x)}, c.x)}, runtime.Numbers{DType: format.Float32})
			okay(t, err)
			if why := got.Bounds[0].Unknown; why != "" {
				t.Fatal(why)
			}
			for i, v := range c.x {
				bound, err := got.Bounds[0].Of[fmt.Sprint(i)].AsFloat64s()
				okay(t, err)
				if tie := i < c.ties; tie && !(bound[0] >= 1 && bound[0] <= 8) || !tie && !(bound[0] < 1e-3) {
					t.Errorf("%g: a bound of %g steps, between two integers: %v", v, bound[0], tie)
				}
			}
		})
	}
}

// Of numbers about the middle between two integers, those that division and multiplication by
// reciprocals round to other integers are in doubt, and few others are.
func TestReciprocalsAreWithinBounds(t *testing.T) {
	const n = 256
	b := graph.NewBuilder()
	q := b.Apply(graph.DynamicQuantizeLinear{}, 3, b.Input("x", format.Float32, graph.N(n)))
	y := b.Cast(b.Sub(b.Cast(q[0], format.Int32), b.Cast(q[2], format.Int32)), format.Float32)
	for i := range n {
		b.Output(fmt.Sprint(i), b.Slice(y, 0, graph.N(i), graph.N(i+1)))
	}
	g, err := b.Graph()
	okay(t, err)
	o, err := ref.New(g, nil)
	okay(t, err)
	rng := rand.New(rand.NewPCG(5, 6))
	differ, doubted, tried := 0, 0, 0
	for range 20 {
		least, most := -float32(rng.Float64()), float32(rng.Float64())
		x := make([]float32, n)
		x[0], x[1] = least, most
		for i := 2; i < n; i++ { // within 1/2048 of the middle, some 60 roundings of a quotient of 127
			at := math.Round((float64(least)+rng.Float64()*float64(most-least))/float64(most-least)*255) + 0.5 + (rng.Float64()-0.5)*0x1p-10
			x[i] = min(max(float32(at*float64(most-least)/255), least), most)
		}
		got, err := o.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{n}, x)}, runtime.Numbers{DType: format.Float32})
		okay(t, err)
		divided, multiplied := (most-least)/255, (most-least)*(float32(1)/255)
		reciprocal := 1 / multiplied
		round := func(x float32) float64 { return math.RoundToEven(float64(x)) }
		for i := 2; i < n; i++ {
			bound, err := got.Bounds[0].Of[fmt.Sprint(i)].AsFloat64s()
			okay(t, err)
			tried++
			if bound[0] >= 1 {
				doubted++
			}
			if d := math.Abs(round(x[i]/divided) - round(x[i]*reciprocal)); d > 0 {
				differ++
				if d > bound[0] {
					t.Errorf("%g in the range from %g to %g: %g divided, %g multiplied, a bound of %g", x[i], least, most, x[i]/divided, x[i]*reciprocal, bound[0])
				}
			}
		}
	}
	t.Logf("%d of %d differ, %d are in doubt", differ, tried, doubted)
	if differ < tried/500 || doubted > tried/2 {
		t.Errorf("%d of %d differ, %d are in doubt", differ, tried, doubted)
	}
}

// Equal numbers between two integers round alike, up in one runtime and down in another, so that
// a sum of n of them differs by n steps.
func TestEqualNumbersRoundAlike(t *testing.T) {
	for n := 1; n <= 64; n++ {
		b := graph.NewBuilder()
		q := b.Apply(graph.DynamicQuantizeLinear{}, 3, b.Input("x", format.Float32, graph.N(n+1)))
		y := b.Cast(b.Sub(b.Cast(q[0], format.Int32), b.Cast(q[2], format.Int32)), format.Float32)
		b.Output("sum", b.ReduceSum(b.Slice(y, 0, graph.N(1), graph.N(n+1)), false, 0))
		g, err := b.Graph()
		okay(t, err)
		o, err := ref.New(g, nil)
		okay(t, err)
		x := make([]float32, n+1) // 2 in the range from -2 to 2
		for i := range x {
			x[i] = 2
		}
		x[0] = -2
		got, err := o.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{n + 1}, x)}, runtime.Numbers{DType: format.Float32})
		okay(t, err)
		bound, err := got.Bounds[0].Of["sum"].AsFloat64s()
		okay(t, err)
		if !(bound[0] >= float64(n) && bound[0] <= 4*float64(n)) {
			t.Errorf("%d numbers: a bound of %g steps", n, bound[0])
		}
	}
}
