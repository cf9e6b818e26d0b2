package ref_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// The logarithm of what underflows, and a quotient by what may be 0, are unknown element by element,
// and say why.
func TestPoles(t *testing.T) {
	for name, c := range map[string]struct {
		x       []float64
		unknown []bool
		build   func(b *graph.Builder, x *graph.Value) *graph.Value
	}{
		"the logarithm of a softmax": {[]float64{0, 30, 300}, []bool{true, true, false}, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Name("far", b.Log(b.Softmax(x, -1)))
		}},
		"the logarithm of a power": {[]float64{0, -80, -100}, []bool{false, false, true}, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Name("far", b.Log(b.Exp(x)))
		}},
		"a quotient": {[]float64{1, 2, 0.1}, []bool{false, false, true}, func(b *graph.Builder, x *graph.Value) *graph.Value {
			tenth := scalar(b, x, 0.1)
			return b.Name("far", b.Div(x, b.Sub(b.Mul(b.Div(x, tenth), tenth), tenth)))
		}},
	} {
		limits, why, _ := boundsOf(t, format.Float32, c.x, c.build)
		for i, unknown := range c.unknown {
			if math.IsInf(limits[i], 0) != unknown || !strings.HasPrefix(why, "far of ") {
				t.Errorf("%s: %v, %q", name, limits, why)
				break
			}
		}
	}
}

// Where nothing rounds, what leads at all is certain, and the rival is the second.
func TestCertificatesWithoutRoundings(t *testing.T) {
	for _, x := range [][]float64{{-1, 2, 3}, {3, 1, 1}, {1, 1, 0}} {
		_, _, got := boundsOf(t, format.Float32, x, func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Relu(x) })
		c, tie := got[0], x[0] == x[1]
		if c.Bound != 0 || c.Certain() == tie || c.Any == tie || c.Rival != 1 {
			t.Errorf("%v: %+v", x, c)
		}
	}
}
