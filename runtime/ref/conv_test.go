package ref

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// plainConv is the convolution by its definition, without tiles.
func plainConv(op graph.Conv, x, w array, shape []int) array {
	out := newArray(floats, shape)
	plane, taps := 1, 1
	for i, n := range x.shape[2:] {
		plane, taps = plane*n, taps*w.shape[2+i]
	}
	each := shape[1] / op.Group
	for i := range out.f {
		at := position(i, shape)
		for c := range w.shape[1] {
			for t := range taps {
				place, inside := 0, true
				for axis, k := range position(t, w.shape[2:]) {
					p := at[2+axis]*op.Strides[axis] - op.Pads[axis] + k*op.Dilations[axis]
					inside = inside && p >= 0 && p < x.shape[2+axis]
					place = place*x.shape[2+axis] + p
				}
				if inside {
					channel := at[1]/each*w.shape[1] + c
					out.f[i] += x.f[(at[0]*x.shape[1]+channel)*plane+place] * w.f[(at[1]*w.shape[1]+c)*taps+t]
				}
			}
		}
	}
	return out
}

// Sums of small integers are exact in any order: a convolution in tiles is the one of
// the definition, at sizes on both sides of every tile's, and its transpose is that of
// the same matrix: ⟨conv(x), y⟩ = ⟨x, transpose(y)⟩.
func TestConvIsTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	integer := func() float64 { return float64(r.IntN(17) - 8) }
	for _, c := range []struct {
		x, w []int
		op   graph.Conv
	}{
		{[]int{2, 3, 200}, []int{5, 3, 4}, graph.Conv{Strides: []int{1}, Pads: []int{2, 1}, Dilations: []int{1}, Group: 1}},
		{[]int{1, 40, 9, 11}, []int{130, 40, 3, 3}, graph.Conv{Strides: []int{1, 1}, Pads: []int{1, 1, 1, 1}, Dilations: []int{1, 1}, Group: 1}},
		{[]int{2, 6, 13, 17}, []int{4, 3, 3, 2}, graph.Conv{Strides: []int{2, 3}, Pads: []int{1, 0, 2, 3}, Dilations: []int{2, 1}, Group: 2}},
		{[]int{1, 70, 5, 5}, []int{70, 1, 3, 3}, graph.Conv{Strides: []int{1, 1}, Pads: []int{1, 1, 1, 1}, Dilations: []int{1, 1}, Group: 70}},
		{[]int{1, 300, 3, 3}, []int{7, 300, 1, 1}, graph.Conv{Strides: []int{1, 1}, Pads: make([]int, 4), Dilations: []int{1, 1}, Group: 1}},
		{[]int{1, 2, 4, 5, 6}, []int{3, 2, 2, 3, 2}, graph.Conv{Strides: []int{1, 2, 1}, Pads: []int{1, 1, 0, 0, 1, 1}, Dilations: []int{1, 1, 3}, Group: 1}},
		{[]int{1, 1, 3, 3}, []int{1, 1, 2, 2}, graph.Conv{Strides: []int{4, 4}, Pads: []int{3, 3, 3, 3}, Dilations: []int{1, 1}, Group: 1}},
	} {
		types := []graph.Type{{DType: format.Float32, Shape: graph.Numbers(c.x...)}, {DType: format.Float32, Shape: graph.Numbers(c.w...)}}
		inferred, err := c.op.Infer(types)
		if err != nil {
			t.Fatal(err)
		}
		shape, _ := inferred[0].Shape.Numbers()
		x, w := filled(integer, c.x...), filled(integer, c.w...)
		got, err := kernels[reflect.TypeOf(c.op)].compute(c.op, call{args: []array{x, w}, shapes: [][]int{shape}})
		if err != nil {
			t.Fatal(err)
		}
		want := plainConv(c.op, x, w, shape)
		for i, v := range want.f {
			if got[0].f[i] != v {
				t.Fatalf("%v over %v: element %v is %g, by the definition %g", c.w, c.x, position(i, shape), got[0].f[i], v)
			}
		}
		y := filled(integer, shape...)
		transpose := graph.ConvTranspose{Strides: c.op.Strides, Pads: c.op.Pads, Dilations: c.op.Dilations, Group: c.op.Group, OutputPadding: make([]int, len(c.op.Strides))}
		back := convTranspose(transpose, call{args: []array{y, w}, shapes: [][]int{c.x}})
		if a, b := dot(want.f, y.f), dot(x.f, back.f); a != b {
			t.Errorf("%v over %v: the transpose is not that of the convolution: %g and %g", c.w, c.x, a, b)
		}
	}
}

func dot(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}
