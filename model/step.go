package model

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
)

// BuildStep returns what a training step computes apart from its optimizer:
// input_ids and labels, int64 (batch,tokens), to loss, a scalar, and the
// gradient of every parameter under graph.GradPrefix and its name. It is
// BuildLoss for one size of batch, differentiated and written with operators
// that every ONNX runtime has.
func BuildStep(c Config, batch, tokens int) (*graph.Graph, error) {
	return buildStep(c, batch, tokens, graph.Grad("loss"))
}

// BuildEvaluation returns BuildLoss for one size of batch, in the form of
// BuildStep.
func BuildEvaluation(c Config, batch, tokens int) (*graph.Graph, error) {
	return buildStep(c, batch, tokens)
}

func buildStep(c Config, batch, tokens int, passes ...graph.Pass) (*graph.Graph, error) {
	if batch < 1 || tokens < 1 || tokens > c.Context {
		return nil, fmt.Errorf("model: a batch of %d sequences of %d tokens, wants 1 or more of 1 to %d", batch, tokens, c.Context)
	}
	g, err := BuildLoss(c)
	if err != nil {
		return nil, err
	}
	all := []graph.Pass{graph.Bind(map[string]int{"B": batch, "T": tokens}), graph.Rows}
	all = append(all, passes...)
	return graph.Apply(g, append(all,
		graph.Decompose(graph.Gelu, graph.Attention, graph.SoftmaxCrossEntropyLoss), graph.Fold, graph.Merge)...)
}
