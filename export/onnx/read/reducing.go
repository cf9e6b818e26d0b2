package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// reducingFamily is the operators that compute along axes.
var reducingFamily = family{
	"ReduceSum":  records(reduction(graph.ReduceSum, 13)),
	"ReduceMean": records(reduction(graph.ReduceMean, 18)),
	"ReduceMax":  records(reduction(graph.ReduceMax, 18)),
	"ReduceMin":  records(reduction(graph.ReduceMin, 18)),
	"CumSum":     records(readCumSum),
	"Softmax":    records(func(n *node) *graph.Value { return n.softmax(n.b.Softmax) }),
	"LogSoftmax": records(func(n *node) *graph.Value { return n.softmax(n.b.LogSoftmax) }),
}

// reducedAxes returns the axes of a reduction, all if the node names none. From
// version since on they are an input. nothing means that the node changes nothing.
func (n *node) reducedAxes(since int64) (axes []int, nothing bool) {
	rank := len(n.shape(0))
	axes, _ = n.axesOf(1, since, rank)
	n.pass([]string{"noop_with_empty_axes", "keepdims"})
	if len(axes) > 0 {
		return axes, false
	}
	if n.flag("noop_with_empty_axes", false) || rank == 0 {
		return nil, true
	}
	axes = make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	return axes, false
}

// reduction reads a reduction whose axes are an input from version since on. The mean
// of integers is computed in floating point, extremes of truth values as integers.
func reduction(kind graph.ReduceKind, since int64) func(n *node) *graph.Value {
	return func(n *node) *graph.Value {
		x := n.arg(0)
		dtype := x.DType
		switch {
		case dtype == format.Bool:
			x = n.b.Cast(x, format.Uint8)
		case kind == graph.ReduceMean && !dtype.Float():
			x = n.b.Cast(x, format.Float64)
		}
		y := n.reduce(x, since, func(axes []int, keep bool) graph.Op { return graph.Reduce{Kind: kind, Axes: axes, KeepDims: keep} })
		return n.cast(y, dtype)
	}
}

// knowReduceProd is the product of known sizes.
func knowReduceProd(n *node) []*elements {
	e := n.carried(0)
	if e == nil || e.dtype.Float() || len(e.shape) != 1 {
		return nil
	}
	if _, nothing := n.reducedAxes(18); nothing {
		return []*elements{e}
	}
	out := &elements{dtype: e.dtype, shape: []int{}, ints: []graph.Dim{graph.Shape(e.ints).Elements()}}
	if n.flag("keepdims", true) {
		out.shape = []int{1}
	}
	return []*elements{out}
}

func readCumSum(n *node) *graph.Value {
	x := n.arg(0)
	return n.apply(graph.CumSum{Axis: n.axis(n.integer(1), len(x.Shape)), Exclusive: n.flag("exclusive", false), Reverse: n.flag("reverse", false)}, x)
}

// softmax runs along one axis from version 13 on, and before along all axes from
// it on.
func (n *node) softmax(along func(x *graph.Value, axis int) *graph.Value) *graph.Value {
	x := n.arg(0)
	if n.version >= 13 {
		return along(x, n.axis(n.int("axis", -1), len(x.Shape)))
	}
	axis := n.axis(n.int("axis", 1), len(x.Shape))
	if axis == len(x.Shape)-1 {
		return along(x, axis)
	}
	rows := n.b.Reshape(x, x.Shape[:axis].Elements(), x.Shape[axis:].Elements())
	return n.b.Reshape(along(rows, 1), x.Shape...)
}
