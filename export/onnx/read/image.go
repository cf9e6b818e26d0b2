package read

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// imageFamily is images: resizing, sampling, padding, regions.
var imageFamily = family{
	"Resize":        records(readResize),
	"Upsample":      records(readUpsample),
	"Pad":           records(readPad),
	"CenterCropPad": records(readCenterCropPad),
	"GridSample":    records(readGridSample),
	"AffineGrid":    records(readAffineGrid),
	"RoiAlign":      records(readRoiAlign),
	"MaxRoiPool":    records(readMaxRoiPool),
	"SpaceToDepth":  records(readSpaceToDepth),
	"DepthToSpace":  records(readDepthToSpace),
}

// readPad takes the sizes from attributes before version 11, and for selected
// axes only from version 18 on.
func readPad(n *node) *graph.Value {
	x := n.arg(0)
	rank := len(x.Shape)
	op := graph.Pad{Mode: n.text("mode", "constant"), Before: make(graph.Shape, rank), After: make(graph.Shape, rank)}
	args := []*graph.Value{x}
	var pads []graph.Dim
	var axes []int
	if n.version < 11 && n.domain == "" {
		name := "pads"
		if n.version < 2 {
			name = "paddings"
		}
		pads = graph.Numbers(n.ints(name)...)
		if v := n.float("value", 0); v != 0 {
			args = append(args, n.like(x, v))
		}
	} else {
		pads = n.dims(1)
		if n.has(2) && n.shape(2).Elements().Is(1) {
			args = append(args, n.arg(2))
		}
		if n.has(3) {
			axes = n.integers(3)
		}
	}
	n.pass(nil, 2)
	if axes == nil {
		for axis := range rank {
			axes = append(axes, axis)
		}
	}
	if len(pads) != 2*len(axes) {
		n.invalid("%d sizes of padding for %d axes", len(pads), len(axes))
	}
	for i, axis := range axes {
		axis = n.axis(axis, rank)
		op.Before[axis], op.After[axis] = pads[i], pads[len(axes)+i]
	}
	return n.apply(op, args...)
}

// readCenterCropPad crops an axis that is too long at both ends, and pads one
// that is too short with zeros at both ends.
func readCenterCropPad(n *node) *graph.Value {
	x := n.arg(0)
	sizes, axes := n.dims(1), n.ints("axes")
	if axes == nil {
		for axis := range x.Shape {
			axes = append(axes, axis)
		}
	}
	if len(sizes) != len(axes) {
		n.invalid("%d sizes for %d axes", len(sizes), len(axes))
	}
	op := graph.Pad{Mode: "constant", Before: make(graph.Shape, len(x.Shape)), After: make(graph.Shape, len(x.Shape))}
	for i, axis := range axes {
		axis = n.axis(axis, len(x.Shape))
		more, ok := sizes[i].Sub(x.Shape[axis]).Number()
		if !ok {
			n.open("axis %d of %s becomes %s", axis, x.Shape, sizes[i])
		}
		half := int(math.Trunc(float64(more) / 2)) // the odd element is at the end
		op.Before[axis], op.After[axis] = graph.N(half), graph.N(more-half)
	}
	return n.apply(op, x)
}

// gridModes maps the names of the sampling modes before version 20, and since,
// to those of the graph.
var gridModes = map[string]string{"bilinear": "linear", "bicubic": "cubic", "linear": "linear", "cubic": "cubic", "nearest": "nearest"}

func readGridSample(n *node) *graph.Value {
	mode := n.text("mode", "linear")
	return n.apply(graph.GridSample{Mode: gridModes[mode], Padding: n.text("padding_mode", "zeros"), AlignCorners: n.flag("align_corners", false)}, n.arg(0), n.arg(1))
}

// readAffineGrid multiplies the homogeneous coordinates of a grid by the
// matrices.
func readAffineGrid(n *node) *graph.Value {
	theta, size := n.arg(0), n.integers(1)
	if len(size) != 4 && len(size) != 5 || len(theta.Shape) != 3 {
		n.invalid("a grid of the size %v by matrices %s", size, theta.Shape)
	}
	sizes, axes := size[2:], len(size)-2
	count, ok := format.Elements(sizes)
	if !ok || count > denseLimit/8/(axes+1) {
		n.refuse("a grid of the size %v", size)
	}
	grid := make([]float64, 0, count*(axes+1))
	for i := range count {
		place := format.Index(i, sizes)
		for axis := axes - 1; axis >= 0; axis-- {
			grid = append(grid, coordinate(place[axis], sizes[axis], n.flag("align_corners", false)))
		}
		grid = append(grid, 1)
	}
	points := n.weight("grid", format.FromFloat64s("", []int{count, axes + 1}, grid))
	y := n.b.MatMul(points, n.b.Transpose(n.cast(theta, format.Float64), 0, 2, 1)) // (N,count,axes)
	out := append(append(graph.Shape{theta.Shape[0]}, graph.Numbers(sizes...)...), graph.N(axes))
	return n.cast(n.b.Reshape(y, out...), theta.DType)
}

// coordinate returns the coordinate of element i of an axis of n, from -1 to 1.
func coordinate(i, n int, corners bool) float64 {
	switch {
	case !corners:
		return (2*float64(i)+1)/float64(n) - 1
	case n == 1:
		return -1
	}
	return 2*float64(i)/float64(n-1) - 1
}

// weight records numbers computed for the node as a weight.
func (n *node) weight(name string, t format.Tensor) *graph.Value {
	return n.r.recordTensor(n.name()+"."+name, n.scope, t)
}

func readRoiAlign(n *node) *graph.Value {
	half := "half_pixel"
	if n.version < 16 {
		half = "output_half_pixel"
	}
	op := graph.RoiAlign{
		Height: n.int("output_height", 1), Width: n.int("output_width", 1), Samples: n.int("sampling_ratio", 0), Scale: n.float("spatial_scale", 1),
		HalfPixel: n.choice("coordinate_transformation_mode", half, "half_pixel", "output_half_pixel") == "half_pixel",
		Max:       n.choice("mode", "avg", "avg", "max") == "max",
	}
	return n.apply(op, n.arg(0), n.arg(1), n.arg(2))
}

func readMaxRoiPool(n *node) *graph.Value {
	size := n.ints("pooled_shape")
	if len(size) != 2 {
		n.invalid("regions as %v", size)
	}
	return n.apply(graph.MaxRoiPool{Height: size[0], Width: size[1], Scale: n.float("spatial_scale", 1)}, n.arg(0), n.arg(1))
}

// blocks returns the shape of an image (N,C,H,W) and the size of the blocks.
func (n *node) blocks() (s graph.Shape, size int) {
	n.require("blocksize")
	if s = n.shape(0); len(s) != 4 {
		n.invalid("%s is no image (N,C,H,W)", s)
	}
	if size = n.int("blocksize", 1); size < 1 {
		n.invalid("blocks of %d", size)
	}
	return s, size
}

// divided returns d / size.
func (n *node) divided(d graph.Dim, size int) graph.Dim {
	q, ok := d.Quotient(graph.N(size))
	if _, known := d.Number(); !ok && known {
		n.invalid("%s elements in blocks of %d", d, size)
	} else if !ok {
		n.open("%s elements in blocks of %d", d, size)
	}
	return q
}

// readSpaceToDepth moves blocks of an image into its channels: before the existing
// ones (DCR), or after each of them (CRD).
func readSpaceToDepth(n *node) *graph.Value {
	s, size := n.blocks()
	b, rows, columns := graph.N(size), n.divided(s[2], size), n.divided(s[3], size)
	x := n.b.Reshape(n.arg(0), s[0], s[1], rows, b, columns, b)
	if n.choice("mode", "DCR", "DCR", "CRD") == "CRD" {
		x = n.b.Transpose(x, 0, 1, 3, 5, 2, 4)
	} else {
		x = n.b.Transpose(x, 0, 3, 5, 1, 2, 4)
	}
	return n.b.Reshape(x, s[0], s[1].Mul(graph.N(size*size)), rows, columns)
}

// readDepthToSpace moves channels back into blocks.
func readDepthToSpace(n *node) *graph.Value {
	s, size := n.blocks()
	b, channels := graph.N(size), n.divided(s[1], size*size)
	var x *graph.Value
	if n.choice("mode", "DCR", "DCR", "CRD") == "CRD" {
		x = n.b.Transpose(n.b.Reshape(n.arg(0), s[0], channels, b, b, s[2], s[3]), 0, 1, 4, 2, 5, 3)
	} else {
		x = n.b.Transpose(n.b.Reshape(n.arg(0), s[0], b, b, channels, s[2], s[3]), 0, 3, 4, 1, 5, 2)
	}
	return n.b.Reshape(x, s[0], channels, s[2].Mul(b), s[3].Mul(b))
}
