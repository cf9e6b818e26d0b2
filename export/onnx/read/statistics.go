package read

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// statisticsFamily has normalizations, reductions and losses that attnx's networks do not use.
var statisticsFamily = family{
	"ReduceProd":      {read: func(n *node) []*graph.Value { return one(readReduceProd(n)) }, know: knowReduceProd},
	"ReduceL1":        records(readReduceL1),
	"ReduceL2":        records(readReduceL2),
	"ReduceSumSquare": records(readReduceSumSquare),
	"ReduceLogSum":    records(readReduceLogSum),
	"ReduceLogSumExp": records(readReduceLogSumExp),

	"ArgMax":  records(readArgMax),
	"ArgMin":  records(readArgMin),
	"CumProd": records(readCumProd),
	"Hardmax": records(func(n *node) *graph.Value { return n.softmax(n.hardmax) }),

	"NegativeLogLikelihoodLoss": records(readLikelihoodLoss),
	"SoftmaxCrossEntropyLoss":   {read: readCrossEntropy},
}

// reduce reduces x, instead of the argument, according to the attributes. Over
// no axes it changes nothing.
func (n *node) reduce(x *graph.Value, since int64, op func(axes []int, keep bool) graph.Op) *graph.Value {
	axes, nothing := n.reducedAxes(since)
	if nothing {
		return x
	}
	return n.apply(op(axes, n.flag("keepdims", true)), x)
}

// sum reduces x to its sum. Before version since the axes are an attribute.
func (n *node) sum(x *graph.Value, since int64) *graph.Value {
	return n.reduce(x, since, func(axes []int, keep bool) graph.Op {
		return graph.Reduce{Kind: graph.ReduceSum, Axes: axes, KeepDims: keep}
	})
}

func readReduceProd(n *node) *graph.Value {
	return n.reduce(n.arg(0), 18, func(axes []int, keep bool) graph.Op { return graph.ReduceProd{Axes: axes, KeepDims: keep} })
}

func readReduceL1(n *node) *graph.Value {
	x := n.arg(0)
	if _, signed := x.DType.Integer(); signed || x.DType.Float() {
		x = n.b.Abs(x)
	}
	return n.sum(x, 18)
}

func readReduceSumSquare(n *node) *graph.Value {
	x := n.arg(0)
	return n.sum(n.b.Mul(x, x), 18)
}

// readReduceL2 takes the root of a sum of integers in floating point.
func readReduceL2(n *node) *graph.Value {
	sum := readReduceSumSquare(n)
	if sum.DType.Float() {
		return n.b.Sqrt(sum)
	}
	return n.b.Cast(n.b.Sqrt(n.b.Cast(sum, format.Float64)), sum.DType)
}

func readReduceLogSum(n *node) *graph.Value { return n.b.Log(n.sum(n.arg(0), 18)) }

// readReduceLogSumExp factors the largest element out of the sum, if it is
// finite, so that nothing overflows.
func readReduceLogSumExp(n *node) *graph.Value {
	x := n.arg(0)
	axes, nothing := n.reducedAxes(18)
	if nothing {
		return n.b.Log(n.b.Exp(x))
	}
	most := n.b.ReduceMax(x, true, axes...)
	infinite := n.b.Equal(n.b.Abs(most), n.like(x, math.Inf(1)))
	most = n.b.Where(infinite, n.like(x, 0), most)
	sum := n.b.Add(n.b.Log(n.b.ReduceSum(n.b.Exp(n.b.Sub(x, most)), true, axes...)), most)
	if n.flag("keepdims", true) {
		return sum
	}
	s := graph.Shape{}
	for i, d := range x.Shape {
		if len(axes) > 0 && axes[0] == i {
			axes = axes[1:]
			continue
		}
		s = append(s, d)
	}
	return n.b.Reshape(sum, s...)
}

// readArgMax uses the minimum in reversed order for the cases that the graph's
// ArgMax does not support.
func readArgMax(n *node) *graph.Value {
	x := n.arg(0)
	axis, keep, last := n.axis(n.int("axis", 0), len(x.Shape)), n.flag("keepdims", true), n.flag("select_last_index", false)
	if x.DType.Float() && !last {
		return n.apply(graph.ArgMax{Axis: axis, KeepDims: keep}, x)
	}
	opposite := graph.Op(graph.Neg)
	if !x.DType.Float() {
		opposite = graph.BitwiseNot // reverses the order of all integers, unlike Neg
	}
	return n.apply(graph.ArgMin{Axis: axis, KeepDims: keep, Last: last}, n.apply(opposite, x))
}

func readArgMin(n *node) *graph.Value {
	x := n.arg(0)
	return n.apply(graph.ArgMin{Axis: n.axis(n.int("axis", 0), len(x.Shape)), KeepDims: n.flag("keepdims", true), Last: n.flag("select_last_index", false)}, x)
}

func readCumProd(n *node) *graph.Value {
	x := n.arg(0)
	return n.apply(graph.CumProd{Axis: n.axis(n.integer(1), len(x.Shape)), Exclusive: n.flag("exclusive", false), Reverse: n.flag("reverse", false)}, x)
}

// hardmax is 1 at the first largest element along the axis, and 0 elsewhere.
func (n *node) hardmax(x *graph.Value, axis int) *graph.Value {
	top := n.apply(graph.ArgMax{Axis: axis, KeepDims: true}, x)
	places := make(graph.Shape, len(x.Shape)-axis)
	for i := range places {
		places[i] = graph.N(1)
	}
	places[0] = x.Shape[axis]
	hit := n.b.Equal(n.b.Reshape(n.b.Range(graph.N(0), x.Shape[axis]), places...), top)
	return n.b.Cast(hit, x.DType)
}
