package ref

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// repeatedTerm returns n equal terms in float32.
func repeatedTerm(v float32, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

func constant(v float64, shape ...int) array { return filled(func() float64 { return v }, shape...) }

// The terms of products, convolutions, softmax and running sums round alike where they are
// equal. What float32 does with them stays within 6 deviations, and would not if they
// rounded as by chance.
func TestAlikeTerms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	u := units{value: 0x1p-24, tiny: 0x1p-126, sums: 0x1p-24}
	const n = 1600
	slipOf := func(op graph.Op, out array, args ...array) float64 {
		c := call{args: args, shapes: [][]int{out.shape}}
		slips := roundingRules[reflect.TypeOf(op)].slip(op, c, []array{out}, u)
		return slips[0].deviation[len(out.f)-1]
	}
	for name, one := range map[string]func(x, w float32) (deviation, e, chance float64){
		"MatMul": func(x, w float32) (float64, float64, float64) {
			a, b := constant(float64(x), 2, n), constant(float64(w), n, 3)
			out := matMul(a, b, []int{2, 3})
			sum := float32Sum(repeatedTerm(x*w, n), 1)
			return slipOf(graph.MatMul{}, out, a, b), sum - out.f[0], sumError(n, n*square(float64(x*w)), sum, u, true)
		},
		"Gemm": func(x, w float32) (float64, float64, float64) {
			a, b := constant(float64(x), 2, n), constant(float64(w), 3, n)
			out := matMul(a, transposed(b, true), []int{2, 3})
			sum := float32Sum(repeatedTerm(x*w, n), 1)
			return slipOf(graph.Gemm{TransB: true}, out, a, b), sum - out.f[0], sumError(n, n*square(float64(x*w)), sum, u, true)
		},
		"Conv": func(x, w float32) (float64, float64, float64) {
			a, b := constant(float64(x), 1, 64, 6, 6), constant(float64(w), 2, 64, 5, 5)
			op := graph.Conv{Strides: []int{1, 1}, Pads: []int{0, 0, 0, 0}, Dilations: []int{1, 1}, Group: 1}
			out, err := kernels[reflect.TypeOf(op)].compute(op, call{args: []array{a, b}, shapes: [][]int{{1, 2, 2, 2}}})
			if err != nil {
				t.Fatal(err)
			}
			sum := float32Sum(repeatedTerm(x*w, n), 1)
			return slipOf(op, out[0], a, b), sum - out[0].f[0], sumError(n, n*square(float64(x*w)), sum, u, true)
		},
		"CumSum": func(x, _ float32) (float64, float64, float64) {
			a := constant(float64(x), n)
			out := newArray(floats, []int{n})
			for i := range out.f {
				out.f[i] = float64(x) * float64(i+1)
			}
			sum := float32Sum(repeatedTerm(x, n), 1)
			return slipOf(graph.CumSum{}, out, a), sum - out.f[n-1], sumError(n, n*square(float64(x)), sum, u, false)
		},
		"Softmax": func(x, _ float32) (float64, float64, float64) {
			a := constant(-float64(x), n)
			a.f[0] = 0
			e := float32(math.Exp(-float64(x)))
			exact := 1 + (n-1)*math.Exp(-float64(x))
			out := mapped(a, func(v float64) float64 { return math.Exp(v) / exact })
			sum := float64(1)
			for range n - 1 {
				sum = float64(float32(sum) + e)
			}
			y := out.f[n-1]
			return slipOf(graph.Softmax{Axis: 0}, out, a), float64(float32(float64(e)/sum)) - y, sumError(n, n*square(float64(e)), sum, u, false) / sum * y
		},
	} {
		beyond := 0
		for range 100 {
			deviation, e, chance := one(float32(1+rng.Float64()), float32(1+rng.Float64()))
			if e = math.Abs(e); e > 6*deviation {
				t.Errorf("%s: off by %.3g, deviation %.3g", name, e, deviation)
			}
			if e > 6*chance*uniform {
				beyond++
			}
		}
		if beyond < 10 {
			t.Errorf("%s: only %d of 100 sums show that equal terms round alike", name, beyond)
		}
	}
}

// Elements that are computed from the same numbers have the same errors: those of a
// channel without variation do not average out in its mean.
func TestAlikeElements(t *testing.T) {
	const channels, outputs, side = 16, 24, 12
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(1), graph.N(channels), graph.N(side), graph.N(side))
	w := b.Input("w", format.Float32, graph.N(outputs), graph.N(channels), graph.N(1), graph.N(1))
	y := b.Apply(graph.Conv{Strides: []int{1, 1}, Pads: []int{0, 0, 0, 0}, Dilations: []int{1, 1}, Group: 1}, 1, x, w)[0]
	b.Output("y", b.ReduceMean(y, false, 2, 3))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	squares, n, most := 0.0, 0, 0.0
	for range 40 {
		pixels, weights := make([]float32, 0, channels*side*side), make([]float32, outputs*channels)
		for range channels {
			pixels = append(pixels, repeatedTerm(float32(100+rng.NormFloat64()), side*side)...)
		}
		for i := 0; i < len(weights); i += 2 { // large terms that cancel
			weights[i] = float32(rng.NormFloat64())
			weights[i+1] = -weights[i]
		}
		bounded, err := o.Bounds(map[string]format.Tensor{
			"x": format.FromFloat32s("x", []int{1, channels, side, side}, pixels),
			"w": format.FromFloat32s("w", []int{outputs, channels, 1, 1}, weights),
		}, runtime.Numbers{})
		if err != nil {
			t.Fatal(err)
		}
		exact, _ := bounded.Outputs["y"].Float64s()
		limits, _ := bounded.Bounds[0].Of["y"].Float64s()
		for i := range outputs {
			sum := float32(0)
			for c := range channels {
				sum += weights[i*channels+c] * pixels[c*side*side]
			}
			share := math.Abs(float64(sum)-exact[i]) / limits[i]
			squares, n, most = squares+square(share*sigmas), n+1, max(most, share)
		}
	}
	if rms := math.Sqrt(squares / float64(n)); rms > 0.6 || most > 0.5 { // 1.2 and 0.85 with errors that follow the place alone
		t.Errorf("the means of channels without variation are off by %.3g deviations, at most %.3g of the bound", rms, most)
	}
}
