package ref_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// TestPlacesBeyondAllImages samples where no image is: the result is that of what is
// outside, or an error, and comes at once.
func TestPlacesBeyondAllImages(t *testing.T) {
	far := []float64{1e300, -1e300, math.Inf(1), math.Inf(-1), math.NaN(), 0}
	for _, mode := range []string{"nearest", "linear", "cubic"} {
		for _, padding := range []string{"zeros", "border", "reflection"} {
			b := graph.NewBuilder()
			grid := b.Input("grid", format.Float64, graph.Numbers(1, 6, 1)...)
			x := b.Input("x", format.Float64, graph.Numbers(1, 1, 3)...)
			b.Output("y", b.Apply(graph.GridSample{Mode: mode, Padding: padding}, 1, x, grid)[0])
			y := runOne(t, b, map[string]format.Tensor{"x": format.FromFloat64s("x", []int{1, 1, 3}, []float64{1, 2, 4}), "grid": format.FromFloat64s("grid", []int{1, 6, 1}, far)})
			if y[5] != 2 || padding == "zeros" && y[0] != 0 || padding == "border" && (y[0] != 4 || y[1] != 1) {
				t.Errorf("%s, %s: %v", mode, padding, y)
			}
		}
	}
	b := graph.NewBuilder()
	x, regions := b.Input("x", format.Float64, graph.Numbers(1, 1, 2, 2)...), b.Input("regions", format.Float64, graph.Numbers(1, 4)...)
	b.Output("y", b.Apply(graph.RoiAlign{Height: 1, Width: 1, Scale: 1}, 1, x, regions, b.Const(format.FromInt64s("images", []int{1}, []int64{0})))[0])
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range far[:5] {
		_, err := o.Run(map[string]format.Tensor{"x": format.FromFloat64s("x", []int{1, 1, 2, 2}, make([]float64, 4)), "regions": format.FromFloat64s("regions", []int{1, 4}, []float64{0, 0, v, 1})})
		if err == nil {
			t.Errorf("a region to %g is pooled", v)
		}
	}
}

// runOne runs a graph and returns the elements of its output y.
func runOne(t *testing.T, b *graph.Builder, inputs map[string]format.Tensor) []float64 {
	t.Helper()
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	y, err := out["y"].AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	return y
}
