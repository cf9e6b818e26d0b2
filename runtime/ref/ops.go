package ref

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

var elementwiseKernels = []kernel{
	certain(func(op graph.Unary, c call) array { return unary(op, c.args[0]) }),
	single(func(op graph.Binary, c call) (array, error) { return binary(op, c.args[0], c.args[1], c.shapes[0]) }),
	certain(func(_ graph.Where, c call) array { return where(c.args[0], c.args[1], c.args[2], c.shapes[0]) }),
	single(func(op graph.Cast, c call) (array, error) { return cast(c.args[0], op) }),
	certain(func(op graph.Gelu, c call) array { return each(c.args[0], gelu[op.Approximate]) }),
	certain(func(op graph.Swish, c call) array {
		return each(c.args[0], func(x float64) float64 { return x / (1 + math.Exp(-op.Alpha*x)) })
	}),
}

var movingKernels = []kernel{
	narrow(single(func(op graph.Gather, c call) (array, error) {
		ids, err := fromFront(c.args[1].wide(), op.FromEnd, c.args[0].shape[op.Axis])
		if err != nil {
			return array{}, err
		}
		return gather(c.args[0], ids, op.Axis, c.shapes[0])
	})),
	single(func(op graph.GatherElements, c call) (array, error) {
		ids, err := fromFront(c.args[1], op.FromEnd, c.args[0].shape[op.Axis])
		if err != nil {
			return array{}, err
		}
		return gatherElements(c.args[0], ids, op.Axis)
	}),
	single(func(op graph.ScatterElements, c call) (array, error) {
		ids, err := fromFront(c.args[1], op.FromEnd, c.args[0].shape[op.Axis])
		if err != nil {
			return array{}, err
		}
		return scatterElements(c.args[0], ids, c.args[2], op.Axis)
	}),
	single(func(_ graph.OneHot, c call) (array, error) { return oneHot(c.args[0], c.shapes[0]) }),
	certain(func(_ graph.Reshape, c call) array {
		x := c.args[0] // Reshape's rule: as many elements as shape
		x.shape = c.shapes[0]
		return x
	}),
	narrow(certain(func(op graph.Transpose, c call) array { return transpose(c.args[0], op.Perm, c.shapes[0]) })),
	single(func(op graph.Concat, c call) (array, error) { return concat(c.args, op.Axis, c.shapes[0]) }),
	several(func(op graph.Split, c call) ([]array, error) { return split(c.args[0], op, c.shapes) }),
	single(func(op graph.Slice, c call) (array, error) {
		start, err := op.Start.Eval(c.sizes)
		if err != nil {
			return array{}, err
		}
		return cut(c.args[0], op.Axis, start, c.shapes[0])
	}),
	certain(func(_ graph.Expand, c call) array { return pick(c.args[0], spread(c.args[0].shape, c.shapes[0])) }),
	single(func(op graph.Trilu, c call) (array, error) {
		k, err := op.K.Eval(c.sizes)
		return triangle(c.args[0], op.Upper, k), err
	}),
}

var productKernels = []kernel{
	narrow(certain(func(_ graph.MatMul, c call) array { return matMul(c.args[0].wide(), c.args[1], c.shapes[0]) })),
	narrow(certain(func(op graph.Gemm, c call) array { return gemm(c.args, op.TransA, op.TransB, c.shapes[0]) })),
}

var reducingKernels = []kernel{
	certain(func(op graph.Softmax, c call) array {
		return softmax(c.args[0], op.Axis, func(x, top, sum float64) float64 { return math.Exp(x-top) / sum })
	}),
	certain(func(op graph.LogSoftmax, c call) array {
		return softmax(c.args[0], op.Axis, func(x, top, sum float64) float64 { return x - top - math.Log(sum) })
	}),
	certain(func(op graph.Reduce, c call) array { return reduce(op, c.args[0], c.shapes[0]) }),
	single(func(op graph.ArgMax, c call) (array, error) { return argMax(c.args[0], op.Axis, c.shapes[0]) }),
	certain(func(op graph.CumSum, c call) array { return cumSum(c.args[0], op) }),
}

// sizeKernels are the operators that depend only on sizes.
var sizeKernels = []kernel{
	single(func(op graph.Range, c call) (array, error) {
		start, err := op.Start.Eval(c.sizes)
		return count(start, c.shapes[0]), err
	}),
	certain(func(op graph.ConstantOfShape, c call) array {
		out := newArray(floats, c.shapes[0])
		fill(out.f, op.Fill)
		return out
	}),
	certain(func(_ graph.Positions, c call) array { return count(0, c.shapes[0]) }),
}

// networkKernels are the composites of networks.
var networkKernels = []kernel{
	several(func(op graph.LayerNormalization, c call) ([]array, error) {
		return layerNormalization(c.args, op.Epsilon, c.shapes), nil
	}),
	certain(func(op graph.RMSNormalization, c call) array {
		return rmsNormalization(c.args[0], c.args[1], op.Epsilon)
	}),
	certain(func(op graph.Attention, c call) array { return attention(op, c.args, c.shapes[0]) }),
	certain(func(op graph.RotaryEmbedding, c call) array {
		return rotaryEmbedding(op, c.args[0], c.args[1], c.args[2])
	}),
	single(func(op graph.SoftmaxCrossEntropyLoss, c call) (array, error) {
		return crossEntropy(c.args[0], c.args[1], op.IgnoreIndex)
	}),
}

// count returns the integers from start on.
func count(start int, shape []int) array {
	out := newArray(ints, shape)
	for i := range out.i {
		out.i[i] = int64(start + i)
	}
	return out
}

// transpose returns x with its axes in the order of perm.
func transpose(x array, perm, shape []int) array {
	if x.s != nil {
		x.shape, x.turned = shape, x.turned != (perm[0] == 1)
		return x
	}
	from := whole(x.shape)
	permuted := view{shape: shape, stride: make([]int, len(shape))}
	for i, axis := range perm {
		permuted.stride[i] = from.stride[axis]
	}
	return pick(x, permuted)
}

func split(x array, op graph.Split, shapes [][]int) ([]array, error) {
	out := make([]array, len(shapes))
	start := 0
	for i, shape := range shapes {
		var err error
		if out[i], err = cut(x, op.Axis, start, shape); err != nil {
			return nil, err
		}
		start += op.Sizes[i]
	}
	return out, nil
}
