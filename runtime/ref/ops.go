package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
)

// apply computes v from its arguments. shape is that of the result, its size
// already checked; sizes are those of the letters. graph.Verify has checked
// what can be known without them.
func apply(v *graph.Value, args []array, shape []int, sizes map[string]int) (array, error) {
	kind, _ := kindOf(v.DType)
	a := v.Attr
	switch v.Op {
	case graph.Gather:
		return gather(args[0], args[1], shape)
	case graph.MatMul:
		return matMul(args[0], args[1], shape), nil
	case graph.Add, graph.Sub, graph.Mul, graph.Div:
		return arithmetic(v.Op, args[0], args[1])
	case graph.Sum:
		return sum(args, shape), nil
	case graph.Neg:
		return each(args[0], func(x float64) float64 { return -x }), nil
	case graph.Exp:
		return each(args[0], math.Exp), nil
	case graph.Log:
		return each(args[0], math.Log), nil
	case graph.Sqrt:
		return each(args[0], math.Sqrt), nil
	case graph.Tanh:
		return each(args[0], math.Tanh), nil
	case graph.Relu:
		return each(args[0], func(x float64) float64 { return max(x, 0) }), nil
	case graph.Softmax:
		return softmax(args[0], a.Axis, func(x, top, sum float64) float64 { return math.Exp(x-top) / sum }), nil
	case graph.LogSoftmax:
		return softmax(args[0], a.Axis, func(x, top, sum float64) float64 { return x - top - math.Log(sum) }), nil
	case graph.ReduceSum:
		return reduce(args[0], a.Axes, shape, 1), nil
	case graph.ReduceMean:
		count := 1
		for _, axis := range a.Axes {
			count *= args[0].shape[axis]
		}
		return reduce(args[0], a.Axes, shape, float64(count)), nil
	case graph.Reshape:
		x := args[0] // the rule of Reshape: as many elements as shape
		x.shape = shape
		return x, nil
	case graph.Transpose:
		from := whole(args[0].shape)
		turned := view{shape: shape, stride: make([]int, len(shape))}
		for i, axis := range a.Perm {
			turned.stride[i] = from.stride[axis]
		}
		return pick(args[0], turned), nil
	case graph.Concat:
		return concat(args, a.Axis, shape)
	case graph.Split:
		start := 0
		for _, size := range a.Sizes[:a.Result] {
			start += size
		}
		return cut(args[0], a.Axis, start, shape)
	case graph.Slice:
		start, err := a.Start.Eval(sizes)
		if err != nil {
			return array{}, err
		}
		return cut(args[0], a.Axis, start, shape)
	case graph.Identity:
		return args[0], nil
	case graph.Cast:
		return cast(args[0], kind)
	case graph.Equal:
		return equal(args[0], args[1]), nil
	case graph.Where:
		return where(args[0], args[1], args[2]), nil
	case graph.GatherElements:
		return gatherElements(args[0], args[1], a.Axis)
	case graph.Range:
		start, err := a.Start.Eval(sizes)
		if err != nil {
			return array{}, err
		}
		out := newArray(ints, shape)
		for i := range out.i {
			out.i[i] = int64(start + i)
		}
		return out, nil
	case graph.ConstantOfShape:
		out := newArray(floats, shape)
		for i := range out.f {
			out.f[i] = a.Fill
		}
		return out, nil
	case graph.Trilu:
		k, err := a.K.Eval(sizes)
		return triangle(args[0], a.Upper, k), err
	case graph.LayerNormalization:
		return layerNormalization(args[0], args[1], args[2], a.Epsilon, a.Result, shape), nil
	case graph.Gelu:
		return each(args[0], gelu), nil
	case graph.Attention:
		return attention(args[0], args[1], args[2], args[3], a.Scale), nil
	case graph.SoftmaxCrossEntropyLoss:
		return crossEntropy(args[0], args[1], a.IgnoreIndex)
	case graph.Gemm:
		return gemm(args, a.TransA, a.TransB, shape), nil
	case graph.OneHot:
		return oneHot(args[0], shape)
	case graph.ScatterElements:
		return scatterElements(args[0], args[1], args[2], a.Axis)
	}
	return array{}, fmt.Errorf("the oracle does not know this operator")
}
