package read

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// mlDomain is the domain of ONNX's classical machine learning operators.
const mlDomain = "ai.onnx.ml"

// mlFamily has the numeric operators of that domain.
var mlFamily = family{
	"ArrayFeatureExtractor": records(readFeatureExtractor),
	"Binarizer":             records(readBinarizer),
	"Normalizer":            records(readNormalizer),
	"Scaler":                records(readScaler),
	"LinearRegressor":       records(readLinearRegressor),
}

// readFeatureExtractor picks elements of the last axis.
func readFeatureExtractor(n *node) *graph.Value {
	x := n.arg(0)
	last := len(x.Shape) - 1
	if last < 0 {
		n.invalid("its input is a scalar")
	}
	ids, fromEnd := n.ids(1, x.Shape[last])
	picked := n.apply(graph.Gather{Axis: last, FromEnd: fromEnd}, x, n.b.Reshape(ids, ids.Shape.Elements()))
	if last == 0 {
		return n.b.Reshape(picked, graph.N(1), picked.Shape[0])
	}
	return picked
}

// readBinarizer is 1 above the threshold and 0 elsewhere.
func readBinarizer(n *node) *graph.Value {
	x := n.arg(0)
	return n.b.Cast(n.b.Greater(x, n.like(x, n.float("threshold", 0))), x.DType)
}

// readNormalizer divides each row by its norm, and leaves a row of zeros
// unchanged.
func readNormalizer(n *node) *graph.Value {
	b, x := n.b, n.cast(n.arg(0), format.Float32)
	var norm *graph.Value
	switch kind := n.text("norm", "MAX"); kind {
	case "MAX":
		norm = b.ReduceMax(x, true, -1)
	case "L1":
		norm = b.ReduceSum(b.Abs(x), true, -1)
	case "L2":
		norm = b.Sqrt(b.ReduceSum(b.Mul(x, x), true, -1))
	default:
		n.invalid("norm %.80q", kind)
	}
	return b.Div(x, b.Where(b.Equal(norm, n.like(x, 0)), n.like(x, 1), norm))
}

// row returns a numeric attribute as a tensor: one number for all columns, or one
// per column.
func (n *node) row(name string, otherwise float64, columns graph.Dim) *graph.Value {
	numbers := n.floats(name)
	if numbers == nil {
		numbers = []float64{otherwise}
	}
	if len(numbers) != 1 && !columns.Is(len(numbers)) {
		n.invalid("%d numbers %.80q for %s columns", len(numbers), name, columns)
	}
	t, _, err := format.FromFloat64s(name, []int{len(numbers)}, numbers).Convert(format.Float32)
	if err != nil {
		n.invalid("attribute %.80q: %v", name, err)
	}
	return n.b.Const(t)
}

// readScaler is (x - offset)·scale.
func readScaler(n *node) *graph.Value {
	x := n.cast(n.arg(0), format.Float32)
	columns := x.Shape[len(x.Shape)-1]
	return n.b.Mul(n.b.Sub(x, n.row("offset", 0, columns)), n.row("scale", 1, columns))
}

// readLinearRegressor is x·coefficientsᵀ + intercepts.
func readLinearRegressor(n *node) *graph.Value {
	if n.text("post_transform", "NONE") != "NONE" {
		n.refuse("a post_transform")
	}
	x, targets := n.cast(n.arg(0), format.Float32), n.int("targets", 1)
	numbers := n.floats("coefficients")
	if len(x.Shape) != 2 || !x.Shape[1].Mul(graph.N(targets)).Is(len(numbers)) {
		n.invalid("%d coefficients for %s and %d targets", len(numbers), x.Shape, targets)
	}
	t, _, err := format.FromFloat64s("coefficients", []int{targets, len(numbers) / targets}, slices.Clone(numbers)).Convert(format.Float32)
	if err != nil {
		n.invalid("attribute coefficients: %v", err)
	}
	y := n.b.MatMul(x, n.b.Transpose(n.b.Const(t), 1, 0))
	return n.b.Add(y, n.row("intercepts", 0, graph.N(targets)))
}
