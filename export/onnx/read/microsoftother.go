package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readCDist is the distance of each row of the first matrix from each of the second:
// √(Σ(a-b)²), or without the root.
func readCDist(n *node) *graph.Value {
	b, x, y := n.b, n.arg(0), n.arg(1)
	if len(x.Shape) != 2 || len(y.Shape) != 2 {
		n.invalid("rows of %s and %s", x.Shape, y.Shape)
	}
	d := b.Sub(b.Reshape(x, x.Shape[0], graph.N(1), x.Shape[1]), b.Reshape(y, graph.N(1), y.Shape[0], y.Shape[1]))
	squares := b.ReduceSum(b.Mul(d, d), false, 2)
	if n.choice("metric", "sqeuclidean", "sqeuclidean", "euclidean") == "euclidean" {
		return b.Sqrt(squares)
	}
	return squares
}

// readExpandDims inserts a dimension of 1.
func readExpandDims(n *node) *graph.Value {
	x := n.arg(0)
	axis := n.axis(n.integer(1), len(x.Shape)+1)
	s := append(append(append(graph.Shape{}, x.Shape[:axis]...), graph.N(1)), x.Shape[axis:]...)
	return n.b.Reshape(x, s...)
}

// readGatedAdd is x + y·gate, with a gate per row.
func readGatedAdd(n *node) *graph.Value {
	if n.has(3) {
		n.refuse("a gate that is a product with weights")
	}
	return n.b.Add(n.arg(0), n.b.Mul(n.arg(1), n.arg(2)))
}

// readGatedRMSNorm is RMSNormalization times an activation of the gate.
func readGatedRMSNorm(n *node) *graph.Value {
	y := n.b.RMSNormalization(n.arg(0), n.arg(1), n.float("epsilon", float64(float32(1e-5))))
	gate := n.arg(2)
	if n.choice("activation", "silu", "silu", "sigmoid") == "sigmoid" {
		return n.b.Mul(y, n.b.Sigmoid(gate))
	}
	return n.b.Mul(y, n.b.SiLU(gate))
}

// readUnfold has windows of the given size along an axis, as a new last axis.
func readUnfold(n *node) *graph.Value {
	n.require("size")
	x := n.arg(0)
	axis, size, step := n.axis(n.int("dim", -1), len(x.Shape)), n.int("size", 0), n.int("step", 1)
	length, known := x.Shape[axis].Number()
	if !known {
		n.open("windows along axis %d of %s", axis, x.Shape)
	}
	if size < 1 || step < 1 || size > length {
		n.invalid("windows of %d elements in steps of %d along an axis of %d", size, step, length)
	}
	count := (length-size)/step + 1
	if count > denseLimit/8/size {
		n.refuse("%d windows of %d elements", count, size)
	}
	ids := make([]int64, 0, count*size)
	for i := range count {
		for j := range size {
			ids = append(ids, int64(i*step+j))
		}
	}
	y := n.apply(graph.Gather{Axis: axis}, x, n.b.Const(format.FromInt64s("windows", []int{count, size}, ids)))
	var order []int
	for i := range y.Shape {
		if i != axis+1 {
			order = append(order, i)
		}
	}
	return n.b.Transpose(y, append(order, axis+1)...)
}

// readOldUnique gives the distinct elements in the order of their first positions, the
// index of the distinct element for each element, and the counts.
func readOldUnique(n *node) []*graph.Value {
	x := n.arg(0)
	if len(x.Shape) != 1 {
		n.invalid("%s, expected a vector", x.Shape)
	}
	y := n.b.Apply(graph.Unique{Count: n.r.freshDim("unique")}, 4, x)
	return []*graph.Value{y[0], y[2], y[3]}
}

// readCropAndResize samples regions (y0,x0,y1,x1), in parts of the image's height and
// width, at points that include the corners. Points outside get a number.
func readCropAndResize(n *node) *graph.Value {
	b, x, regions := n.b, n.arg(0), n.arg(1)
	size := n.integers(3)
	sizes, known := x.Shape[min(2, len(x.Shape)):].Numbers()
	if len(x.Shape) != 4 || len(size) != 2 || size[0] < 1 || size[1] < 1 || size[0] > denseLimit/8/size[1] || !known {
		n.refuse("regions of %s as %v", x.Shape, size)
	}
	if n.choice("mode", "bilinear", "bilinear", "nearest") != "bilinear" {
		n.refuse("the nearest element")
	}
	count, one := regions.Shape[0], graph.N(1)
	x = b.Gather(x, n.cast(n.arg(2), format.Int64))
	places := make([]*graph.Value, 2) // (n,size): coordinates of the points
	var outside *graph.Value
	for axis := range places {
		from, to := b.Slice(regions, 1, graph.N(axis), graph.N(axis+1)), b.Slice(regions, 1, graph.N(axis+2), graph.N(axis+3))
		last := float64(sizes[axis] - 1)
		steps := make([]float64, size[axis])
		for i := range steps {
			if steps[i] = 0.5; size[axis] > 1 { // a single point is the middle
				steps[i] = float64(i) / float64(size[axis]-1)
			}
		}
		at := b.Mul(b.Add(from, b.Mul(b.Sub(to, from), n.cast(b.Const(single(n, []string{"rows", "columns"}[axis], steps)), x.DType))), n.like(x, last))
		beyond := b.Or(b.Less(at, n.like(x, 0)), b.Greater(at, n.like(x, last)))
		shape := graph.Shape{count, graph.N(size[0]), one}
		if axis == 1 {
			shape = graph.Shape{count, one, graph.N(size[1])}
		}
		if beyond = b.Reshape(beyond, shape...); outside == nil {
			outside = beyond
		} else {
			outside = b.Or(outside, beyond)
		}
		if last > 0 { // -1 to 1 for GridSample
			at = b.Sub(b.Mul(at, n.like(x, 2/last)), n.like(x, 1))
		}
		places[axis] = b.Expand(b.Reshape(at, append(shape, one)...), count, graph.N(size[0]), graph.N(size[1]), one)
	}
	grid := b.Concat(3, places[1], places[0])
	y := n.apply(graph.GridSample{Mode: "linear", Padding: "border", AlignCorners: true}, x, grid)
	outside = b.Reshape(outside, count, one, graph.N(size[0]), graph.N(size[1]))
	return b.Where(outside, n.like(x, n.float("extrapolation_value", 0)), y)
}

// readConvTransposeDynamic is ConvTranspose with the pads as its third input.
func readConvTransposeDynamic(n *node) *graph.Value {
	x, w, bias := n.arg(0), n.arg(1), n.optional(3)
	dims := len(x.Shape) - 2
	s := n.windows(n.kernelShape(w.Shape), dims)
	if n.has(2) {
		if s.pads = n.integers(2); len(s.pads) != 2*dims {
			n.invalid("pads %v for %d spatial dimensions", s.pads, dims)
		}
	}
	if n.text("auto_pad", "NOTSET") != "NOTSET" {
		n.refuse("auto_pad")
	}
	extra := n.ints("output_padding")
	if extra == nil {
		extra = make([]int, dims)
	}
	op := graph.ConvTranspose{Strides: s.strides, Pads: s.pads, Dilations: s.dilations, OutputPadding: extra, Group: n.int("group", 1)}
	return n.apply(op, n.present(x, w, bias)...)
}
