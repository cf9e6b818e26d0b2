package read

import (
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// floats returns an attribute with a list of numbers, nil if there is none.
func (n *node) floats(name string) []float64 {
	a := n.attribute(name, onnx.AttrFloats)
	if a == nil {
		return nil
	}
	out := make([]float64, len(a.Floats))
	for i, v := range a.Floats {
		out[i] = float64(v)
	}
	return out
}

// numbers returns the elements of argument i, which must be known; nil if it is
// omitted or empty.
func (n *node) numbers(i int) []float64 {
	if !n.has(i) {
		return nil
	}
	e := n.known(i)
	switch {
	case e == nil:
		n.open("its input %.80q is computed from data", n.value(i).name)
	case e.len() == 0:
		return nil
	case !e.dtype.Float():
		n.invalid("its input %.80q is %s, expected numbers", n.value(i).name, e.dtype)
	}
	return e.floats
}

// resized describes how the axes of an image change.
type resized struct {
	axes   []int
	scales []float64   // by axis, 0 if derived from the size
	sizes  []graph.Dim // by axis
}

// readUpsample resizes by scales, which are in an attribute before version 9.
func readUpsample(n *node) *graph.Value {
	scales := n.floats("scales")
	if n.version >= 9 {
		scales = n.numbers(1)
	}
	return n.resizeOld(scales)
}

// resizeOld is Upsample, and Resize before version 11. ONNX does not define the
// nearest element there; this uses ONNX Runtime's.
func (n *node) resizeOld(scales []float64) *graph.Value {
	op := graph.Resize{Mode: n.text("mode", "nearest"), Coordinates: "asymmetric"}
	if op.Mode == "bilinear" {
		op.Mode = "linear"
	}
	how := n.byScales(scales, nil)
	nearest := "floor"
	for _, s := range scales {
		if s < 1 && s != 0 {
			nearest = "ceil"
		}
	}
	if op.Mode == "nearest" {
		op.Nearest = nearest
	}
	return n.resize(op, how, nil)
}

func readResize(n *node) *graph.Value {
	if n.version < 11 {
		return n.resizeOld(n.numbers(1))
	}
	op := graph.Resize{
		Mode: n.text("mode", "nearest"), Coordinates: n.text("coordinate_transformation_mode", "half_pixel"),
		ExcludeOutside: n.flag("exclude_outside", false), Antialias: n.flag("antialias", false),
	}
	nearest, a, fill := n.text("nearest_mode", "round_prefer_floor"), n.float("cubic_coeff_a", -0.75), n.float("extrapolation_value", 0)
	switch op.Mode {
	case "nearest":
		op.Nearest, op.ExcludeOutside, op.Antialias = nearest, false, false
	case "cubic":
		op.CubicA = a
	}
	n.pass(nil, 1)
	var roi []float64
	if op.Coordinates == "tf_crop_and_resize" {
		op.Fill = fill
		roi = n.numbers(1)
	}
	axes := n.ints("axes")
	policy := n.text("keep_aspect_ratio_policy", "stretch")
	if scales := n.numbers(2); scales != nil {
		n.pass(nil, 3)
		return n.resize(op, n.byScales(scales, axes), roi)
	}
	return n.resize(op, n.bySizes(axes, policy), roi)
}

// axesOr returns the axes of an attribute, all if it is missing.
func (n *node) axesOr(axes []int, count int) []int {
	rank := len(n.shape(0))
	out := []int{}
	for _, axis := range axes {
		out = append(out, n.axis(axis, rank))
	}
	if axes == nil {
		for axis := range rank {
			out = append(out, axis)
		}
	}
	if len(out) != count {
		n.invalid("%d scales or sizes for %d axes", count, len(out))
	}
	return out
}

// byScales rounds the sizes as ONNX does, in float32.
func (n *node) byScales(scales []float64, axes []int) resized {
	how := resized{axes: n.axesOr(axes, len(scales)), scales: scales}
	for i, axis := range how.axes {
		d := n.shape(0)[axis]
		size, known := d.Number()
		switch s := scales[i]; {
		case !(s > 0) || s > math.MaxInt32:
			n.invalid("a scale of %g", s)
		case s == math.Trunc(s):
			d = d.Mul(graph.N(int(s)))
		case known:
			d = graph.N(int(float32(size) * float32(s)))
		default:
			n.open("axis %d of %s is resized by %g", axis, n.shape(0), s)
		}
		how.sizes = append(how.sizes, d)
	}
	return how
}

// bySizes sets the sizes of axes, or the nearest sizes that keep the aspect
// ratio.
func (n *node) bySizes(axes []int, policy string) resized {
	sizes := n.dims(3)
	how := resized{axes: n.axesOr(axes, len(sizes)), sizes: sizes, scales: make([]float64, len(sizes))}
	if policy == "stretch" {
		return how
	}
	wanted, ok := graph.Shape(sizes).Numbers()
	from, known := n.shape(0).Numbers()
	if !ok || !known {
		n.open("%s is resized to %s with its aspect ratio", n.shape(0), graph.Shape(sizes))
	}
	scale := 0.0
	for i, axis := range how.axes {
		s := float64(wanted[i]) / float64(from[axis])
		switch {
		case i == 0:
			scale = s
		case policy == "not_larger":
			scale = min(scale, s)
		case policy == "not_smaller":
			scale = max(scale, s)
		default:
			n.refuse("aspect ratio %.80q", policy)
		}
	}
	how.sizes = make([]graph.Dim, len(sizes))
	for i, axis := range how.axes {
		how.scales[i], how.sizes[i] = scale, graph.N(int(scale*float64(from[axis])+0.5))
	}
	return how
}

// resize resizes one axis after the other. Integers are rounded once, at the
// end.
func (n *node) resize(op graph.Resize, how resized, roi []float64) *graph.Value {
	x := n.arg(0)
	if roi != nil && len(roi) != 2*len(how.axes) {
		n.invalid("a region of %d numbers for %d axes", len(roi), len(how.axes))
	}
	t := x.DType
	exact := op.Mode == "nearest" || t.Float()
	if !exact {
		x = n.b.Cast(x, format.Float64)
	}
	for i, axis := range how.axes {
		op.Axis, op.Size, op.Scale, op.Start, op.End = axis, how.sizes[i], how.scales[i], 0, 0
		if op.Coordinates == "tf_crop_and_resize" {
			op.Start, op.End = 0, 1
			if roi != nil {
				op.Start, op.End = roi[i], roi[len(how.axes)+i]
			}
		}
		whole := roi == nil || op.Start == 0 && op.End == 1
		if op.Size == x.Shape[axis] && (op.Scale == 0 || op.Scale == 1) && whole {
			continue
		}
		x = n.apply(op, x)
	}
	if exact {
		return x
	}
	bits, signed := t.Integer()
	return n.b.Cast(n.clipped(n.apply(graph.Round, x), bits, signed), t)
}
