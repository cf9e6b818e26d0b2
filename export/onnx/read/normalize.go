package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// normalizeFamily is the normalizations of channels, and the determinant.
var normalizeFamily = family{
	"BatchNormalization":        {read: readBatchNormalization},
	"InstanceNormalization":     records(readInstanceNormalization),
	"GroupNormalization":        records(readGroupNormalization),
	"LpNormalization":           records(readLpNormalization),
	"MeanVarianceNormalization": records(readMeanVarianceNormalization),
	"LRN":                       records(readLRN),
	"Det":                       records(func(n *node) *graph.Value { return n.apply(graph.Det{}, n.arg(0)) }),
}

// epsilon returns attribute "epsilon".
func (n *node) epsilon() float64 { return n.float("epsilon", float64(float32(1e-5))) }

// readBatchNormalization normalizes with the given moments, or in training with
// those of the batch. Moments with more bits than x are used in their precision.
func readBatchNormalization(n *node) []*graph.Value {
	n.pass([]string{"consumed_inputs", "momentum", "is_test"})
	x := n.arg(0)
	wide := x.DType
	for i := 1; i < 5; i++ {
		if t := n.arg(i).DType; t.Size() > wide.Size() {
			wide = t
		}
	}
	args := []*graph.Value{n.cast(x, wide)}
	for i := 1; i < 5; i++ {
		args = append(args, n.cast(n.arg(i), wide))
	}
	op := graph.BatchNormalization{Epsilon: n.epsilon()}
	if m := n.float("momentum", float64(float32(graph.Momentum))); m != float64(float32(graph.Momentum)) && m > 0 && m < 1 {
		op.Momentum = m
	}
	// Before version 9 each element of an image could have its own moments.
	spatial := n.version >= 9 || n.flag("spatial", true)
	training := n.trains()
	switch {
	case spatial && len(x.Shape) < 2:
		n.invalid("%s has no channels", x.Shape)
	case !training && spatial:
		return one(n.cast(n.apply(op, args...), x.DType))
	case n.r.o.Training && spatial:
		n.r.batchMoments = true
		return []*graph.Value{n.cast(n.apply(op, args...), x.DType), n.arg(3), n.arg(4), n.arg(3), n.arg(4)}[:max(1, len(n.onnx.Outputs))]
	}
	axes := []int{0}
	if spatial {
		axes = append(axes, spatialAxes(x)...)
	}
	mean, variance := args[3], args[4]
	if training {
		mean = n.apply(graph.Reduce{Kind: graph.ReduceMean, Axes: axes}, args[0])
		d := n.b.Sub(args[0], n.along(mean, x, spatial))
		variance = n.apply(graph.Reduce{Kind: graph.ReduceMean, Axes: axes}, n.b.Mul(d, d))
	}
	deviation := n.b.Sqrt(n.b.Add(variance, n.like(variance, op.Epsilon)))
	y := n.b.Div(n.b.Sub(args[0], n.along(mean, x, spatial)), n.along(deviation, x, spatial))
	y = n.b.Add(n.b.Mul(y, n.along(args[1], x, spatial)), n.along(args[2], x, spatial))
	out := one(n.cast(y, x.DType))
	if training {
		out = append(out, n.running(args[3], mean, n.dtype(3)), n.running(args[4], variance, n.dtype(4)))
	}
	return out
}

// trains reports whether a BatchNormalization uses the moments of the batch: before
// version 14 if it has more than one result, before version 7 if is_test is 0.
func (n *node) trains() bool {
	if n.version >= 14 {
		return n.flag("training_mode", false)
	}
	if n.version < 7 {
		return !n.flag("is_test", false)
	}
	return len(n.onnx.Outputs) > 1
}

// along returns a moment per channel, or per element of an image, in a shape that
// broadcasts with x.
func (n *node) along(v, x *graph.Value, spatial bool) *graph.Value {
	if !spatial {
		return v
	}
	return n.perChannel(v, len(x.Shape))
}

// running returns the running moment of training: momentum times the old value, plus
// the rest times the new one.
func (n *node) running(was, is *graph.Value, t format.DType) *graph.Value {
	momentum := n.float("momentum", float64(float32(0.9)))
	return n.cast(n.b.Add(n.b.Mul(was, n.like(was, momentum)), n.b.Mul(is, n.like(is, 1-momentum))), t)
}

func readInstanceNormalization(n *node) *graph.Value {
	n.pass([]string{"consumed_inputs"})
	x, scale, bias := n.arg(0), n.arg(1), n.arg(2)
	channels, known := scale.Shape.Elements().Number()
	if !known {
		n.open("the channels are %s", scale.Shape)
	}
	return n.apply(graph.GroupNormalization{Epsilon: n.epsilon(), NumGroups: channels}, x, scale, bias)
}

// readGroupNormalization has scale and bias per group before version 21, and per
// channel from that version on.
func readGroupNormalization(n *node) *graph.Value {
	n.pass([]string{"stash_type"}) // the precision of the moments; the oracle's is higher
	n.require("num_groups")
	x, groups := n.arg(0), n.int("num_groups", 0)
	op := graph.GroupNormalization{Epsilon: n.epsilon(), NumGroups: groups}
	if len(x.Shape) < 2 {
		n.invalid("%s has no channels", x.Shape)
	}
	c, known := x.Shape[1].Number()
	if !known || groups < 1 || c%groups != 0 {
		n.refuse("%s in %d groups", x.Shape, groups)
	}
	channels := func(v *graph.Value) *graph.Value {
		if n.version >= 21 {
			return v
		}
		g := graph.N(groups)
		return n.b.Reshape(n.b.Expand(n.b.Reshape(v, g, graph.N(1)), g, graph.N(c/groups)), graph.N(c))
	}
	return n.apply(op, x, channels(n.arg(1)), channels(n.arg(2)))
}

// readLpNormalization divides by the norm along an axis. Elements with norm 0
// become 0.
func readLpNormalization(n *node) *graph.Value {
	x, p := n.arg(0), n.int("p", 2)
	if p != 1 && p != 2 {
		n.invalid("p is %d, expected 1 or 2", p)
	}
	axis := n.axis(n.int("axis", -1), len(x.Shape))
	norm := n.root(n.b.ReduceSum(n.power(x, float64(p)), true, axis), float64(p))
	zero := n.like(x, 0)
	return n.b.Where(n.b.Equal(norm, zero), zero, n.b.Div(x, norm))
}

// readMeanVarianceNormalization is (x - mean) / (√(E[x²] - E[x]²) + 1e-9), as ONNX
// defines it.
func readMeanVarianceNormalization(n *node) *graph.Value {
	x, axes := n.arg(0), n.ints("axes")
	if axes == nil {
		axes = []int{0, 2, 3}
	}
	axes = n.axes(axes, len(x.Shape))
	mean := n.b.ReduceMean(x, true, axes...)
	variance := n.b.Sub(n.b.ReduceMean(n.b.Mul(x, x), true, axes...), n.b.Mul(mean, mean))
	return n.b.Div(n.b.Sub(x, mean), n.b.Add(n.b.Sqrt(variance), n.like(x, float64(float32(1e-9)))))
}

// readLRN divides by a power of the sum of squares of the neighboring channels. The sum
// is a convolution with ones along the channels.
func readLRN(n *node) *graph.Value {
	n.require("size")
	x, size := n.arg(0), n.int("size", 1)
	if len(x.Shape) < 3 || size < 1 || size > 1<<24 {
		n.invalid("%s with %d channels around", x.Shape, size)
	}
	alpha, beta, bias := n.float("alpha", float64(float32(1e-4))), n.float("beta", 0.75), n.float("bias", 1)
	one := graph.N(1)
	squares := n.b.Reshape(n.b.Mul(x, x), x.Shape[0], one, x.Shape[1], x.Shape[2:].Elements())
	ones := n.b.Expand(n.like(x, 1), one, one, graph.N(size), one)
	around := graph.Conv{Strides: []int{1, 1}, Pads: []int{(size - 1) / 2, 0, size / 2, 0}, Dilations: []int{1, 1}, Group: 1}
	sum := n.b.Reshape(n.apply(around, squares, ones), x.Shape...)
	base := n.b.Add(n.b.Mul(sum, n.like(x, alpha/float64(size))), n.like(x, bias))
	return n.b.Div(x, n.b.Pow(base, n.like(x, beta)))
}
