package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// SoftmaxCrossEntropyLoss is the mean of -log softmax(scores)[label] over the
// labels other than IgnoreIndex: scores (B,V,T) and int64 labels (B,T), or
// scores (N,V) and labels (N).
type SoftmaxCrossEntropyLoss struct{ IgnoreIndex int64 }

// Name returns "SoftmaxCrossEntropyLoss".
func (SoftmaxCrossEntropyLoss) Name() string { return "SoftmaxCrossEntropyLoss" }

// Infer returns a scalar.
func (SoftmaxCrossEntropyLoss) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	scores, labels := args[0], args[1]
	var want Shape
	switch len(scores.Shape) {
	case 2:
		want = scores.Shape[:1]
	case 3:
		want = Shape{scores.Shape[0], scores.Shape[2]}
	}
	if want == nil || labels.DType != format.Int64 || !labels.Shape.Equal(want) {
		return nil, fmt.Errorf("scores %s and labels %s: expected (B,V,T) and I64(B,T), or (N,V) and I64(N)", scores.Shape, labels)
	}
	return one(scores.DType, Shape{}), expectFloat(scores)
}

// Decompose implements Composite.
func (l SoftmaxCrossEntropyLoss) Decompose(b *Builder, args []*Value) []*Value {
	p := l.parts(b, args[0], args[1])
	column := append(slices.Clone(p.labels.Shape), N(1))                          // (...,1)
	picked := b.GatherElements(p.logp, b.Reshape(p.labels, column...), -1)        // (...,1)
	picked = b.Reshape(picked, p.labels.Shape...)                                 // labels' shape
	total := b.ReduceSum(b.Mul(picked, p.weight), false, axes(p.labels.Shape)...) // ()
	return []*Value{b.Neg(b.Div(total, p.count))}
}

// lossParts holds the values that both the loss and its gradient need.
type lossParts struct {
	logp   *Value // (...,V): log softmax, classes last
	labels *Value // (...): 0 if ignored, so that every label is a class
	weight *Value // (...): 0 if ignored, otherwise 1
	count  *Value // (): number of labels not ignored
}

// parts moves the classes to the last axis. With three axes they are on the
// second, as in ONNX. If a Transpose put them there, parts uses its argument,
// so that the logarithm runs along contiguous rows.
func (l SoftmaxCrossEntropyLoss) parts(b *Builder, scores, labels *Value) lossParts {
	x := scores // (N,V)
	if len(scores.Shape) == 3 {
		x = b.classesLast(scores) // (B,T,V)
	}
	var p lossParts
	p.logp = b.Name("log_probabilities", b.LogSoftmax(x, -1))
	ignored := b.Name("ignored", b.Equal(labels, b.integer(l.IgnoreIndex)))
	p.labels = b.Where(ignored, b.integer(0), labels)
	p.weight = b.Where(ignored, b.like(scores, 0), b.like(scores, 1))
	p.count = b.ReduceSum(p.weight, false, axes(labels.Shape)...)
	return p
}

func (b *Builder) classesLast(scores *Value) *Value {
	if t, ok := Is[Transpose](scores); ok && slices.Equal(t.Perm, []int{0, 2, 1}) {
		return scores.Args()[0]
	}
	return b.Transpose(scores, 0, 2, 1)
}

// Grad implements Differentiable. The gradient by the scores is (softmax - one
// hot) times dloss/count, and 0 for ignored labels. If all labels are ignored,
// the loss is NaN and the gradient 0, as in PyTorch.
func (l SoftmaxCrossEntropyLoss) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	scores, labels := n.Args[0], n.Args[1]
	p := l.parts(b, scores, labels)
	column := append(slices.Clone(labels.Shape), N(1)) // (...,1)
	last := p.logp.Shape[len(p.logp.Shape)-1]
	var off *Value
	if vocab, ok := last.Number(); ok && vocab <= oneHotLimit {
		off = b.Sub(b.Exp(p.logp), b.OneHot(p.labels, vocab))
	} else {
		off = b.ScatterElements(b.Exp(p.logp), b.Reshape(p.labels, column...), b.ConstantOfShape(-1, column...), -1)
	}
	count := b.Max(p.count, b.like(scores, 1))
	row := b.Mul(b.Div(p.weight, count), dy[0]) // labels' shape
	dx := b.Mul(off, b.Reshape(row, column...)) // (...,V)
	if len(scores.Shape) == 3 {
		dx = b.Transpose(dx, 0, 2, 1)
	}
	return []*Value{dx, nil}
}
