package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
)

// known reports whether the oracle computes a node itself; another one is
// decomposed.
func known(n *graph.Node) bool {
	switch n.Op.(type) {
	case graph.Input, graph.Param, graph.Const,
		graph.Unary, graph.Binary, graph.Where, graph.Cast,
		graph.Gather, graph.GatherElements, graph.ScatterElements, graph.OneHot,
		graph.MatMul, graph.Gemm, graph.Softmax, graph.LogSoftmax, graph.Reduce, graph.ArgMax, graph.CumSum,
		graph.Reshape, graph.Transpose, graph.Concat, graph.Split, graph.Slice, graph.Expand, graph.Trilu,
		graph.Range, graph.ConstantOfShape, graph.Positions,
		graph.LayerNormalization, graph.RMSNormalization, graph.Gelu, graph.Swish,
		graph.Attention, graph.RotaryEmbedding, graph.SoftmaxCrossEntropyLoss:
		return true
	}
	return false
}

// apply computes the results of n from its arguments. shapes are those of the
// results, their sizes already checked; sizes are those of the named
// dimensions. graph.Verify has checked what can be known without them.
func apply(n *graph.Node, args []array, shapes [][]int, sizes map[string]int) ([]array, error) {
	switch op := n.Op.(type) {
	case graph.Split:
		return split(args[0], op, shapes)
	case graph.LayerNormalization:
		return layerNormalization(args, op.Epsilon, shapes), nil
	}
	a, err := applyOne(n, args, shapes[0], sizes)
	return []array{a}, err
}

// applyOne computes the result of an operator that has one.
func applyOne(n *graph.Node, args []array, shape []int, sizes map[string]int) (array, error) {
	switch op := n.Op.(type) {
	case graph.Unary:
		return unary(op, args[0]), nil
	case graph.Binary:
		return binary(op, args[0], args[1], shape)
	case graph.Where:
		return where(args[0], args[1], args[2], shape), nil
	case graph.Cast:
		kind, _ := kindOf(op.To)
		return cast(args[0], kind)
	case graph.Gather:
		return gather(args[0], args[1], op.Axis, shape)
	case graph.GatherElements:
		return gatherElements(args[0], args[1], op.Axis)
	case graph.ScatterElements:
		return scatterElements(args[0], args[1], args[2], op.Axis)
	case graph.OneHot:
		return oneHot(args[0], shape)
	case graph.MatMul:
		return matMul(args[0], args[1], shape), nil
	case graph.Gemm:
		return gemm(args, op.TransA, op.TransB, shape), nil
	case graph.Softmax:
		return softmax(args[0], op.Axis, func(x, top, sum float64) float64 { return math.Exp(x-top) / sum }), nil
	case graph.LogSoftmax:
		return softmax(args[0], op.Axis, func(x, top, sum float64) float64 { return x - top - math.Log(sum) }), nil
	case graph.Reduce:
		return reduce(op, args[0], shape), nil
	case graph.ArgMax:
		return argMax(args[0], op.Axis, shape)
	case graph.CumSum:
		return cumSum(args[0], op), nil
	case graph.Reshape:
		x := args[0] // the rule of Reshape: as many elements as shape
		x.shape = shape
		return x, nil
	case graph.Transpose:
		from := whole(args[0].shape)
		permuted := view{shape: shape, stride: make([]int, len(shape))}
		for i, axis := range op.Perm {
			permuted.stride[i] = from.stride[axis]
		}
		return pick(args[0], permuted), nil
	case graph.Concat:
		return concat(args, op.Axis, shape)
	case graph.Slice:
		start, err := op.Start.Eval(sizes)
		if err != nil {
			return array{}, err
		}
		return cut(args[0], op.Axis, start, shape)
	case graph.Expand:
		return pick(args[0], spread(args[0].shape, shape)), nil
	case graph.Trilu:
		k, err := op.K.Eval(sizes)
		return triangle(args[0], op.Upper, k), err
	case graph.Range:
		start, err := op.Start.Eval(sizes)
		return count(start, shape), err
	case graph.ConstantOfShape:
		out := newArray(floats, shape)
		for i := range out.f {
			out.f[i] = op.Fill
		}
		return out, nil
	case graph.Positions:
		return count(0, shape), nil
	case graph.RMSNormalization:
		return rmsNormalization(args[0], args[1], op.Epsilon), nil
	case graph.Gelu:
		return each(args[0], gelu[op.Approximate]), nil
	case graph.Swish:
		return each(args[0], func(x float64) float64 { return x / (1 + math.Exp(-op.Alpha*x)) }), nil
	case graph.Attention:
		return attention(op, args, shape), nil
	case graph.RotaryEmbedding:
		return rotaryEmbedding(op, args[0], args[1], args[2]), nil
	case graph.SoftmaxCrossEntropyLoss:
		return crossEntropy(args[0], args[1], op.IgnoreIndex)
	}
	return array{}, fmt.Errorf("the oracle does not compute this operator, and it has no decomposition")
}

// count returns the integers from start on.
func count(start int, shape []int) array {
	out := newArray(ints, shape)
	for i := range out.i {
		out.i[i] = int64(start + i)
	}
	return out
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
