package read

import (
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readLikelihoodLoss takes log probabilities.
func readLikelihoodLoss(n *node) *graph.Value { return n.likelihoodLoss(n.arg(0)) }

// readCrossEntropy takes scores. The form in which attnx trains is one operator.
func readCrossEntropy(n *node) []*graph.Value {
	x := n.arg(0)
	if !n.has(2) && n.text("reduction", "mean") == "mean" && len(n.onnx.Outputs) < 2 && len(x.Shape) <= 3 {
		op := graph.SoftmaxCrossEntropyLoss{IgnoreIndex: int64(n.int("ignore_index", math.MinInt64))}
		return one(n.apply(op, x, n.cast(n.arg(1), format.Int64)))
	}
	logs := n.b.LogSoftmax(x, 1)
	return []*graph.Value{n.likelihoodLoss(logs), logs}
}

// likelihoodLoss is the negative log probability of each label, times the weight of
// its class, and 0 for ignored labels: logs (N,C,...), labels (N,...), weights (C).
// Its mean is weighted.
func (n *node) likelihoodLoss(logs *graph.Value) *graph.Value {
	b, labels := n.b, n.cast(n.arg(1), format.Int64)
	if len(logs.Shape) < 2 {
		n.invalid("scores of %d dimensions, expected 2 or more", len(logs.Shape))
	}
	var ignored *graph.Value
	if n.isSet("ignore_index") {
		ignored = b.Equal(labels, n.constant(float64(n.int("ignore_index", 0)), format.Int64))
		labels = b.Where(ignored, n.constant(0, format.Int64), labels)
	}
	column := slices.Insert(slices.Clone(labels.Shape), 1, graph.N(1)) // (N,1,...)
	losses := b.Neg(b.Reshape(b.GatherElements(logs, b.Reshape(labels, column...), 1), labels.Shape...))
	weights := b.Expand(n.like(logs, 1), labels.Shape...)
	if n.has(2) {
		weights = b.Gather(n.arg(2), labels)
	}
	if ignored != nil {
		weights = b.Where(ignored, n.like(logs, 0), weights)
	}
	losses = b.Mul(losses, weights)
	if ignored != nil { // also if the logarithm is infinite
		losses = b.Where(ignored, n.like(logs, 0), losses)
	}
	axes := make([]int, len(labels.Shape))
	for i := range axes {
		axes[i] = i
	}
	switch r := n.text("reduction", "mean"); r {
	case "none":
		return losses
	case "sum":
		return b.ReduceSum(losses, false, axes...)
	case "mean":
		return b.Div(b.ReduceSum(losses, false, axes...), b.ReduceSum(weights, false, axes...))
	default:
		n.invalid("reduction %.80q", r)
		return nil
	}
}
