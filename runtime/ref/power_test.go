package ref_test

import (
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// The derivatives of x to the y where the formulas multiply 0 by infinity are
// PyTorch's.
func TestGradOfPowAtZero(t *testing.T) {
	b := graph.NewBuilder()
	x, y := b.Param("x", graph.Normal(1), 4), b.Param("y", graph.Normal(1), 4)
	b.Output("loss", b.ReduceSum(b.Pow(x, y), false, 0))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if g, err = graph.Grad("loss")(g); err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, []format.Tensor{
		format.FromFloat32s("x", []int{4}, []float32{0, 0, 0, 1}),
		format.FromFloat32s("y", []int{4}, []float32{0, 1, 2, 0})})
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.Run(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]float64{"grad.x": {0, 1, 0, 0}, "grad.y": {0, 0, 0, 0}} {
		if d, err := got[name].Float64s(); err != nil || !slices.Equal(d, want) {
			t.Errorf("%s is %v, %v, expected %v", name, d, err, want)
		}
	}
}
