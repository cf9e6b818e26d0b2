package ref_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// Where an output as a whole follows roundings in proportion, a row may not: tanh(10⁷·t) of a t
// that is 0 but for the rounding of 1/3 has saturated before the rounding is as large as it can be.
func TestRowsBend(t *testing.T) {
	const n = 4
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(1), graph.N(n))
	third := b.Div(x, b.Scalar(3))
	straight := b.Mul(third, b.Scalar(1e10))
	bent := b.Tanh(b.Mul(b.Sub(third, b.Div(b.Mul(x, b.Scalar(2)), b.Scalar(6))), b.Scalar(1e8)))
	b.Output("y", b.Concat(0, straight, bent))
	g, err := b.Graph()
	okay(t, err)
	o, err := ref.New(g, nil)
	okay(t, err)
	inputs := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{1, n}, []float32{1, 1.25, 1.5, 1.75})}
	for row, bends := range []bool{false, true} {
		why, err := o.Bends(inputs, runtime.Numbers{DType: format.Float32}, "y", []int{row, 1})
		okay(t, err)
		t.Logf("row %d: %q", row, why)
		if (why != "") != bends {
			t.Errorf("row %d: %q", row, why)
		}
	}
}
