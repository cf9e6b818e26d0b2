package ref

import (
	"math"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

// Nothing is known of a region with an end that rounding may take to the next element, of one
// with a number of points that it may change, and of a matrix without an inverse. Their
// neighbours have their bounds.
func TestStepsOfRegions(t *testing.T) {
	u := unitsOf(t)
	scale := float64(float32(0.1))
	regions := array{kind: floats, shape: []int{2, 5}, f: []float64{0, 0, 0, 5, 8, 0, 0, 0, 6, 8}} // 5·scale is a half
	e := regionDoubt(graph.MaxRoiPool{Scale: scale}, call{args: []array{{}, regions}}, array{f: make([]float64, 4)}, u)
	if !math.IsNaN(e.deviation[0]) || !math.IsNaN(e.most[1]) || e.deviation[2] != 0 || e.most[3] != 0 {
		t.Errorf("%v", e)
	}
	align := graph.RoiAlign{Scale: scale, Width: 1, Height: 1, HalfPixel: true}
	if !regionStep(align, 0, 10, 1, 20, 1e-6) { // one point, or two
		t.Error("10 times the scale is 1 or more")
	}
	if regionStep(align, 0, 13, 1, 20, 1e-6) {
		t.Error("1.3 is no whole number")
	}
	align.Scale = 0.25
	if regionStep(align, 0, 8, 1, 20, 1e-6) {
		t.Error("2 is computed without rounding")
	}
	out := array{kind: floats, shape: []int{2}, f: []float64{0, 5}}
	e = determinantError(call{args: []array{{kind: floats, shape: []int{2, 2, 2}, f: []float64{1, 2, 0, 0, 1, -3, 2, -1}}}}, out, u)
	if !math.IsNaN(e.deviation[0]) || !(e.deviation[1] > 0 && e.deviation[1] < 10*u.sums*5) {
		t.Errorf("%v", e)
	}
}

// unitsOf returns those of float32.
func unitsOf(t *testing.T) units {
	t.Helper()
	const u = 1.0 / (1 << 24)
	return units{value: u, tiny: u * 0x1p-126, sums: u, most: math.MaxFloat32, room: math.MaxFloat32}
}
