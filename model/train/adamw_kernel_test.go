package train

import (
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/model"
)

// TestAdamWSameBits compares the processor's own kernel with plain Go, at every
// length around its step, zeros and subnormals among the numbers.
func TestAdamWSameBits(t *testing.T) {
	f := adamwFactors{scale: 0.7, keep: 0.999, beta1: 0.9, rest1: 0.1, beta2: 0.99, rest2: 0.01, rate: 1e-3, root: 3, epsilon: 1e-8}
	stream := model.NewStream(1, "adamw")
	random := func(n int, at uint64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(stream.IntN(at+uint64(i), 2001)-1000) / 512
			if i%7 == 3 {
				x[i] = 0
			}
			if i%11 == 5 {
				x[i] = 1e-41
			}
		}
		return x
	}
	for n := range 40 {
		w, g, m, v := random(n, 0), random(n, 100), random(n, 200), random(n, 300)
		for i := range v {
			v[i] = float32(math.Abs(float64(v[i])))
		}
		w2, m2, v2 := slices.Clone(w), slices.Clone(m), slices.Clone(v)
		adamw(w, g, m, v, &f)
		adamwPlain(w2, g, m2, v2, &f)
		if !slices.Equal(w, w2) || !slices.Equal(m, m2) || !slices.Equal(v, v2) {
			t.Fatalf("%d elements: the kernel gives %v %v %v, plain Go %v %v %v", n, w, m, v, w2, m2, v2)
		}
	}
}
