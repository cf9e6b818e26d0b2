package model

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// IgnoreIndex is the label of a position that the loss ignores, as in PyTorch.
const IgnoreIndex = -100

// WithLoss returns g with the training loss as its only output. For logits
// (B,T,V) or (B,V) it is the mean of -log p(label) over the labels, int64
// (B,T) or (B), except IgnoreIndex. For a prediction it is the mean squared
// error against labels of the same shape. A graph whose only output is a loss
// is returned as it is.
func WithLoss(g *graph.Graph) (*graph.Graph, error) {
	if len(g.Outputs) == 1 && g.Outputs[0].Role.Kind == role.Loss {
		return g, nil
	}
	b := graph.Extend(g)
	labels, loss := role.Of(role.Labels), role.Of(role.Loss)
	if o, ok := g.Output(role.Of(role.Logits)); ok {
		scores := o.Value
		if n := len(scores.Shape); n != 2 && n != 3 {
			return nil, fmt.Errorf("model: the logits are %s: expected (B,T,V) or (B,V)", scores.Type)
		}
		want := b.InputFor(labels, format.Int64, scores.Shape[:len(scores.Shape)-1]...)
		if len(scores.Shape) == 3 {
			scores = b.Name("scores", b.Transpose(scores, 0, 2, 1)) // (B,V,T): ONNX expects classes on axis 1
		}
		b.OutputFor(loss, b.Name(loss.Name(), b.SoftmaxCrossEntropyLoss(scores, want, IgnoreIndex)))
	} else if o, ok := g.Output(role.Of(role.Prediction)); ok {
		off := b.Sub(o.Value, b.InputFor(labels, o.Value.DType, o.Value.Shape...))
		b.OutputFor(loss, b.Name(loss.Name(), b.ReduceMean(b.Mul(off, off), false, axes(o.Value.Shape)...)))
	} else {
		return nil, fmt.Errorf("model: the network has neither logits nor a prediction, so its loss is undefined")
	}
	whole, err := b.Graph()
	if err != nil {
		return nil, err
	}
	return graph.Select(loss.Name())(whole)
}

func axes(s graph.Shape) []int {
	out := make([]int, len(s))
	for i := range out {
		out[i] = i
	}
	return out
}

// Cached returns a network with a cache of keys and values: see graph.Cached.
// With last set it returns the logits of the last token only.
func Cached(g *graph.Graph, last bool) (*graph.Graph, error) {
	g, err := graph.Cached(g)
	if err != nil || !last {
		return g, err
	}
	return graph.LastToken(g)
}

// Step returns the graph of a training step without its optimizer: from inputs
// and labels to the loss and the gradient of every parameter. It is WithLoss
// for one batch size, differentiated and reduced to operators that every ONNX
// runtime has. tokens is the length of each sequence, the second dimension of
// the inputs; it is ignored if they have none.
func Step(g *graph.Graph, batch, tokens int) (*graph.Graph, error) {
	sizes, err := batchSizes(g, batch, tokens)
	if err != nil {
		return nil, err
	}
	return StepOf(g, sizes, nil)
}

// StepOf is Step for given sizes of the inputs' named dimensions, with the
// gradients of some parameters only, by name; nil means all. The passes, if any,
// change the loss before it is differentiated.
func StepOf(g *graph.Graph, sizes map[string]int, params []string, passes ...graph.Pass) (*graph.Graph, error) {
	return step(g, sizes, passes, graph.GradThrough(role.Of(role.Loss).Name(), params), graph.ExpandAgain)
}

// Evaluation returns WithLoss for given sizes of the inputs' named dimensions,
// reduced to the same operators as Step.
func Evaluation(g *graph.Graph, sizes map[string]int) (*graph.Graph, error) {
	return step(g, sizes, nil)
}

func step(g *graph.Graph, sizes map[string]int, loss []graph.Pass, passes ...graph.Pass) (*graph.Graph, error) {
	g, err := WithLoss(g)
	if err == nil {
		g, err = graph.Apply(g, loss...)
	}
	if err != nil {
		return nil, err
	}
	all := []graph.Pass{graph.SliceRanges, graph.Bind(sizes), graph.Rows}
	all = append(all, passes...)
	return graph.Apply(g, append(all, graph.Decompose(standard), graph.Fold, graph.Merge)...)
}

// batchSizes assigns sizes to the named dimensions of a network's inputs: the
// first of each input is the batch, the second the tokens.
func batchSizes(g *graph.Graph, batch, tokens int) (map[string]int, error) {
	sizes := map[string]int{}
	for _, in := range g.Inputs {
		for i, n := range []int{batch, tokens} {
			if i < len(in.Shape) && in.Shape[i] == graph.Sym(in.Shape[i].String()) {
				sizes[in.Shape[i].String()] = n
			}
		}
	}
	text := g.Input(role.Of(role.Tokens)) != nil
	if batch < 1 || text && (tokens < 1 || g.Context > 0 && tokens > g.Context) {
		return nil, fmt.Errorf("model: a batch of %d sequences of %d tokens, expected 1 or more of 1 to %d", batch, tokens, g.Context)
	}
	return sizes, nil
}

// standard reports whether every ONNX runtime has a composite operator.
func standard(n *graph.Node) bool {
	switch n.Op.(type) {
	case graph.LayerNormalization, graph.Gemm, graph.OneHot:
		return true
	}
	return false
}
