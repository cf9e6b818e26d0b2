package ref_test

import (
	"maps"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

func init() { maps.Copy(gradCases, imageGradCases) }

// resizes are the forms of a Resize along axis 1 of five elements.
func resizes() (out []gradCase) {
	for name, op := range map[string]graph.Resize{
		"nearest, larger":        {Size: graph.N(8), Mode: "nearest", Coordinates: "half_pixel", Nearest: "round_prefer_floor"},
		"nearest, smaller":       {Size: graph.N(3), Mode: "nearest", Coordinates: "asymmetric", Nearest: "floor"},
		"linear, larger":         {Size: graph.N(8), Mode: "linear", Coordinates: "half_pixel"},
		"linear, corners":        {Size: graph.N(7), Mode: "linear", Coordinates: "align_corners"},
		"linear, antialias":      {Size: graph.N(3), Mode: "linear", Coordinates: "half_pixel", Antialias: true},
		"cubic, nothing outside": {Size: graph.N(4), Mode: "cubic", Coordinates: "half_pixel", CubicA: -0.5, ExcludeOutside: true},
		"a part, and more":       {Size: graph.N(6), Mode: "linear", Coordinates: "tf_crop_and_resize", Start: 0.4, End: 1.3, Fill: 2},
		"scale":                  {Size: graph.N(8), Scale: 1.7, Mode: "linear", Coordinates: "asymmetric"},
	} {
		op.Axis = 1
		out = append(out, gradCase{name, false, func(b *graph.Builder) *graph.Value {
			return b.Apply(op, 1, param(b, "x", 2, 5, 3))[0]
		}})
	}
	return out
}

func pads() (out []gradCase) {
	for _, mode := range []string{"constant", "edge", "reflect", "wrap"} {
		op := graph.Pad{Mode: mode, Before: graph.Numbers(0, 2, -1), After: graph.Numbers(1, 3, 0)}
		out = append(out, gradCase{mode, false, func(b *graph.Builder) *graph.Value {
			return b.Apply(op, 1, param(b, "x", 2, 4, 3))[0]
		}})
	}
	return append(out, gradCase{"by a number", false, func(b *graph.Builder) *graph.Value {
		op := graph.Pad{Mode: "constant", Before: graph.Numbers(1, 0), After: graph.Numbers(0, 2)}
		return b.Apply(op, 1, param(b, "x", 2, 3), param(b, "by"))[0]
	}})
}

// apart returns x with numbers added that keep its elements from being equal.
func apart(b *graph.Builder, x *graph.Value) *graph.Value {
	shape, _ := x.Shape.Numbers()
	n, _ := format.Elements(shape)
	far := make([]float32, n)
	for i := range far {
		far[i] = float32(i*7%n) * 16
	}
	return b.Add(x, b.Const(format.FromFloat32s("far", shape, far)))
}

var imageGradCases = map[string][]gradCase{
	"Resize": resizes(),
	"Pad":    pads(),
	"TopK": {{"largest", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.TopK{Axis: 1, K: graph.N(2), Largest: true}, 2, apart(b, param(b, "x", 3, 5, 2)))[0]
	}}, {"smallest, without places", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.TopK{K: graph.N(3)}, 1, apart(b, param(b, "x", 6)))[0]
	}}},
}
