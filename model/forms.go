package model

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// IgnoreIndex is the label of a position that does not count in the loss:
// PyTorch's number.
const IgnoreIndex = -100

// WithLoss returns g with the training loss in the place of its outputs. Of
// logits (B,T,V) or (B,V) that is the mean of -log p(label) over the labels,
// int64 (B,T) or (B), that are not IgnoreIndex; of a prediction it is the mean
// square of its distance from labels of its shape.
func WithLoss(g *graph.Graph) (*graph.Graph, error) {
	b := graph.Extend(g)
	labels, loss := role.Of(role.Labels), role.Of(role.Loss)
	if o, ok := g.Output(role.Of(role.Logits)); ok {
		scores := o.Value
		if n := len(scores.Shape); n != 2 && n != 3 {
			return nil, fmt.Errorf("model: the logits are %s: expected (B,T,V) or (B,V)", scores.Type)
		}
		want := b.InputFor(labels, format.Int64, scores.Shape[:len(scores.Shape)-1]...)
		if len(scores.Shape) == 3 {
			scores = b.Name("scores", b.Transpose(scores, 0, 2, 1)) // (B,V,T): ONNX has classes on axis 1
		}
		b.OutputFor(loss, b.Name(loss.Name(), b.SoftmaxCrossEntropyLoss(scores, want, IgnoreIndex)))
	} else if o, ok := g.Output(role.Of(role.Prediction)); ok {
		off := b.Sub(o.Value, b.InputFor(labels, o.Value.DType, o.Value.Shape...))
		b.OutputFor(loss, b.Name(loss.Name(), b.ReduceMean(b.Reshape(b.Mul(off, off), o.Value.Shape.Elements()), false, 0)))
	} else {
		return nil, fmt.Errorf("model: the network has neither logits nor a prediction: nothing says what its loss is")
	}
	whole, err := b.Graph()
	if err != nil {
		return nil, err
	}
	return graph.Select(loss.Name())(whole)
}

// BuildLoss returns the forward pass up to the training loss: see WithLoss.
func BuildLoss(c Config) (*graph.Graph, error) {
	g, err := Build(c)
	if err != nil {
		return nil, err
	}
	return WithLoss(g)
}

// BuildCached returns the forward pass with a cache of keys and values: see
// graph.Cached. With last it gives the logits of the last token alone.
func BuildCached(c Config, last bool) (*graph.Graph, error) {
	g, err := Build(c)
	if err != nil {
		return nil, err
	}
	if g, err = graph.Cached(g); err != nil || !last {
		return g, err
	}
	return graph.LastToken(g)
}

// BuildStep returns what a training step computes apart from its optimizer:
// the inputs and labels of BuildLoss to the loss and the gradient of every
// parameter. It is BuildLoss for one size of batch, differentiated and written
// with operators that every ONNX runtime has.
func BuildStep(c Config, batch, tokens int) (*graph.Graph, error) {
	return buildStep(c, batch, tokens, graph.Grad(role.Of(role.Loss).Name()))
}

// BuildEvaluation returns BuildLoss for one size of batch, in the form of
// BuildStep.
func BuildEvaluation(c Config, batch, tokens int) (*graph.Graph, error) {
	return buildStep(c, batch, tokens)
}

func buildStep(c Config, batch, tokens int, passes ...graph.Pass) (*graph.Graph, error) {
	if batch < 1 || tokens < 1 || tokens > c.Context {
		return nil, fmt.Errorf("model: a batch of %d sequences of %d tokens, expected 1 or more of 1 to %d", batch, tokens, c.Context)
	}
	g, err := BuildLoss(c)
	if err != nil {
		return nil, err
	}
	all := []graph.Pass{graph.SliceRanges, graph.Bind(map[string]int{"B": batch, "T": tokens}), graph.Rows}
	all = append(all, passes...)
	return graph.Apply(g, append(all, graph.Decompose(standard), graph.Fold, graph.Merge)...)
}

// standard reports whether every runtime has a node for a composite operator.
func standard(n *graph.Node) bool {
	_, ok := n.Op.(graph.LayerNormalization)
	return ok
}
