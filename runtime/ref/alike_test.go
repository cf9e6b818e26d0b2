package ref

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

// float32Sum adds in float32 from the first to the last, in a number of lanes that are added at the
// end, as vector units do.
func float32Sum(x []float32, lanes int) float64 {
	part := make([]float32, lanes)
	for i, v := range x {
		part[i%lanes] += v
	}
	sum := float32(0)
	for _, v := range part {
		sum += v
	}
	return float64(sum)
}

// Equal terms round in the same direction: the error of their sum grows with their number,
// and the slip of a sum grows with it. Terms that differ keep the slip of sumError.
func TestAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	u := units{value: 0x1p-24, tiny: 0x1p-126 * 0x1p-24, sums: 0x1p-24}
	beyond := 0 // sums whose error by chance alone would not explain
	for _, n := range []int{3, 64, 512, 5000} {
		for range 200 {
			kinds := make([]float32, 1+rng.IntN(2))
			for i := range kinds {
				kinds[i] = float32(1 + 0.03*rng.Float64())
			}
			x, exact := make([]float32, n), 0.0
			terms := newArray(floats, []int{n})
			s2 := 0.0
			for i := range x {
				x[i] = kinds[rng.IntN(len(kinds))]
				terms.f[i] = float64(x[i])
				exact += terms.f[i]
				s2 += square(terms.f[i])
			}
			out := newArray(floats, nil)
			out.f[0] = exact
			slip := reduceSlip(graph.Reduce{Kind: graph.ReduceSum, Axes: []int{0}}, call{args: []array{terms}}, out, u)
			for _, lanes := range []int{1, 8} {
				e := math.Abs(float32Sum(x, lanes) - exact)
				if e > 6*slip.deviation[0] {
					t.Errorf("%d terms of %v in %d lanes: off by %.3g, deviation %.3g", n, kinds, lanes, e, slip.deviation[0])
				}
				if e > 6*sumError(n, s2, exact, u, false)*uniform {
					beyond++
				}
			}
		}
	}
	if beyond < 50 {
		t.Errorf("only %d sums show that equal terms round alike", beyond)
	}
	for _, n := range []int{64, 512, 5000} {
		terms, s2 := newArray(floats, []int{n}), 0.0
		out := newArray(floats, nil)
		for i := range terms.f {
			terms.f[i] = rng.NormFloat64() + 0.5
			out.f[0] += terms.f[i]
			s2 += square(terms.f[i])
		}
		slip := reduceSlip(graph.Reduce{Kind: graph.ReduceSum, Axes: []int{0}}, call{args: []array{terms}}, out, u)
		if n == 512 { // terms that cancel: the sum is 0 and has no grid
			for i := range terms.f[:510] {
				terms.f[i] = []float64{0x1p-26, 0x1p-26, -0x1p-25}[i%3]
			}
			clear(terms.f[510:])
			out.f[0], s2 = 0, 0
			for _, v := range terms.f {
				out.f[0] += v
				s2 += square(v)
			}
			slip = reduceSlip(graph.Reduce{Kind: graph.ReduceSum, Axes: []int{0}}, call{args: []array{terms}}, out, u)
		}
		if chance := sumError(n, s2, out.f[0], u, false) * uniform; slip.deviation[0] > 1.5*chance {
			t.Errorf("%d terms that differ: deviation %.3g, by chance %.3g", n, slip.deviation[0], chance)
		}
	}
}
