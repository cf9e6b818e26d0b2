package attnx

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// An infinity or NaN that no rounding decides has the bound 0, so it may pass; one that
// rounding may decide has no bound.
func TestBoundsOfSpecialValues(t *testing.T) {
	scalar := func(name string, v float32) *onnx.Tensor {
		return proto(format.FromFloat32s(name, []int{1}, []float32{v}))
	}
	weights := []*onnx.Tensor{scalar("zero", 0), scalar("tenth", 0.1), scalar("thousand", 1000), {Name: "none", DataType: onnx.Float, Dims: []int64{2, 0}}, hostileInts("last", 1)}
	node := func(op, out string, in ...string) *onnx.Node { return hostileNode(op, out, nil, in...) }
	almost := []*onnx.Node{node("Mul", "a", "x", "tenth"), node("Mul", "b", "x", "tenth"), node("Sub", "d", "a", "b")} // 0, and its bound is not 0
	bounds := func(input []float32, nodes ...*onnx.Node) (got []float64, limits []float64) {
		x, err := readONNX(saved(t, filepath.Join(t.TempDir(), "m.onnx"), hostileModel(weights, nodes...)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := evaluating{x}.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{2, 2}, input)}, runtime.Numbers{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err = b.Outputs["y"].AsFloat64s(); err != nil {
			t.Fatal(err)
		}
		of, there := b.Bounds[0].Of["y"]
		if limits = make([]float64, len(got)); there {
			if limits, err = of.Float64s(); err != nil {
				t.Fatal(err)
			}
		}
		return got, limits
	}
	for name, c := range map[string]struct {
		nodes   []*onnx.Node
		special int // elements that are not finite
		certain bool
	}{
		"the logarithm of 0 and of -1":                  {[]*onnx.Node{node("Log", "y", "x")}, 2, true},
		"a logarithm divided by 0":                      {[]*onnx.Node{node("Log", "l", "x"), node("Div", "y", "l", "zero")}, 4, true},
		"0 by 0 and others":                             {[]*onnx.Node{node("Div", "y", "x", "zero")}, 4, true},
		"the root of -1":                                {[]*onnx.Node{node("Sqrt", "y", "x")}, 1, true},
		"a sum with an infinity":                        {[]*onnx.Node{node("Log", "l", "x"), node("Add", "y", "l", "x")}, 2, true},
		"the maximum of nothing":                        {[]*onnx.Node{node("ReduceMax", "y", "none", "last")}, 2, true},
		"an overflow":                                   {[]*onnx.Node{node("Abs", "p", "x"), node("Add", "q", "p", "thousand"), node("Exp", "y", "q")}, 4, false},
		"the logarithm of what may not be 0":            {append(almost[:3:3], node("Log", "y", "d")), 4, false},
		"a division by what may not be 0":               {append(almost[:3:3], node("Div", "y", "x", "d")), 4, false},
		"a rounded number of either sign over 0":        {append(almost[:3:3], node("Div", "y", "d", "zero")), 4, false},
		"an infinity times what may not be 0":           {append(almost[:3:3], node("Log", "l", "zero"), node("Mul", "y", "d", "l")), 4, false},
		"the logarithm of a sum that rounding moves":    {append(almost[:3:3], node("Abs", "e", "d"), node("Neg", "f", "e"), node("Log", "y", "f")), 4, false},
		"the logarithm of a square that rounding moves": {append(almost[:3:3], node("Mul", "f", "d", "d"), node("Log", "y", "f")), 4, false},
		"the logarithm of an exact limit":               {[]*onnx.Node{node("Relu", "r", "x"), node("Log", "y", "r")}, 2, true},
	} {
		input := []float32{0, -1, 2, 3}
		if !c.certain {
			input = []float32{0.3, -0.7, 1.7, 3.3} // of which a tenth is rounded
		}
		got, limits := bounds(input, c.nodes...)
		special := 0
		for i, v := range got {
			if !isFinite(v) {
				special++
			}
			if !isFinite(v) && (limits[i] == 0) != c.certain {
				t.Errorf("%s: element %d is %v with the bound %v", name, i, v, limits[i])
			}
		}
		if special != c.special {
			t.Errorf("%s: %v", name, got)
		}
	}
	inf := format.FromFloat64s("y", []int{1}, []float64{math.Inf(1)})
	for limit, unknown := range map[float64]int{0: 0, math.Inf(1): 1} {
		if d := runtime.Compare(inf, inf, format.FromFloat64s("y", []int{1}, []float64{limit})); d.Unknown != unknown || d.Within != (unknown == 0) {
			t.Errorf("bound %v: %+v", limit, d)
		}
	}
	if d := runtime.Compare(inf, format.FromFloat64s("y", []int{1}, []float64{1}), format.FromFloat64s("y", []int{1}, []float64{0})); d.FirstBad == nil {
		t.Error("1 in the place of an infinity passes")
	}
}
