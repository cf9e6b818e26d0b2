package ref

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// TestScatteredTermsCancel adds updates whose sum is small where they are large. The bound
// covers what float32 does; elements without an update are exact.
func TestScatteredTermsCancel(t *testing.T) {
	x := []float32{3, 0.1, 7}
	updates := []float32{1e5 / 3, 1e4 / 7, -1e5 / 3, -1e4 / 7}
	at := []int64{1, 1, 1, 1}
	for name, op := range map[string]graph.Op{"ScatterND": graph.ScatterND{Reduction: "add"}, "ScatterElements": graph.ScatterElements{}} {
		b := graph.NewBuilder()
		shape := []int{4}
		if name == "ScatterND" {
			shape = []int{4, 1}
		}
		b.Output("y", b.Apply(op, 1, b.Const(format.FromFloat32s("x", []int{3}, x)), b.Const(format.FromInt64s("at", shape, at)), b.Const(format.FromFloat32s("updates", []int{4}, updates)))[0])
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := o.Bounds(nil, runtime.Numbers{DType: format.Float32})
		if err != nil {
			t.Fatal(err)
		}
		bound, _ := all.Bounds[0].Of["y"].Float64s()
		exact, _ := all.Outputs["y"].Float64s()
		sum := x[1]
		for _, u := range updates {
			sum += u
		}
		off := math.Abs(float64(sum) - exact[1])
		if len(bound) != 3 || !(off > 1e-4 && off < bound[1] && bound[1] < 100*off) {
			t.Errorf("%s is off by %.3g, the bounds are %v", name, off, bound)
		}
		r, err := o.AttributeAt(nil, runtime.Numbers{DType: format.Float32}, "y", []int{1})
		if err != nil || !(r.Worst > off && r.Worst < 1000*off) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if r, err := o.AttributeAt(nil, runtime.Numbers{DType: format.Float32}, "y", []int{2}); err != nil || r.Worst != 0 {
			t.Errorf("%s, an element without an update: %+v, %v", name, r, err)
		}
	}
}
