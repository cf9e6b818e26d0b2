package ref

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// A remainder has the error of what is divided, except where rounding may bring that to a
// multiple of the divisor: only there is no bound known.
func TestRemaindersAreBounded(t *testing.T) {
	for _, op := range []graph.Op{graph.FMod, graph.Mod} {
		b := graph.NewBuilder()
		x, y := b.Input("x", format.Float32, graph.N(4)), b.Input("y", format.Float32, graph.N(4))
		b.Output("r", b.Apply(op, 1, b.Mul(x, y), b.Scalar(1.5))[0])
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{4}, []float32{1.1, -7.7, 3 / 1.003, 10.1}), "y": format.FromFloat32s("y", []int{4}, []float32{1.003, 1.003, 1.003, 1.003})}
		got, err := o.Bounds(in, runtime.Numbers{})
		if err != nil {
			t.Fatal(err)
		}
		bounds, err := got.Bounds[0].Of["r"].Float64s()
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range bounds {
			if jumps := i == 2; jumps != math.IsInf(e, 1) || !jumps && (e < 1e-8 || e > 1e-5) {
				t.Errorf("%s: element %d has the bound %g", op.Name(), i, e)
			}
		}
	}
}
