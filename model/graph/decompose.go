package graph

import (
	"math"
	"slices"

	"github.com/attnx/attnx/format"
)

// Decompose returns the pass that writes composite operators with the others:
// those named, or all of them if none is. A value inside a decomposition is
// called after the composite: "h.0.attn.attention.scores".
func Decompose(ops ...Op) Pass {
	return func(g *Graph) (*Graph, error) {
		return Rewrite(g, func(b *Builder, v *Value, args []*Value) *Value {
			if len(ops) > 0 && !slices.Contains(ops, v.Op) {
				return nil
			}
			switch v.Op {
			case LayerNormalization:
				return decomposeLayerNormalization(b, args[0], args[1], args[2], v.Attr)
			case Gelu:
				return decomposeGelu(b, args[0])
			case Attention:
				return decomposeAttention(b, args[0], args[1], args[2], args[3], v.Attr.Scale)
			case SoftmaxCrossEntropyLoss:
				return decomposeLoss(b, args[0], args[1], v.Attr.IgnoreIndex)
			}
			return nil
		})
	}
}

// (x - mean) / sqrt(variance + ε) · scale + bias, over the last axis.
func decomposeLayerNormalization(b *Builder, x, scale, bias *Value, a Attr) *Value {
	mean := b.Name("mean", b.ReduceMean(x, true, -1)) // (...,1)
	if a.Result == 1 {
		return mean
	}
	d := b.Name("centered", b.Sub(x, mean))                                  // x's shape
	variance := b.Name("variance", b.ReduceMean(b.Mul(d, d), true, -1))      // (...,1)
	dev := b.Name("deviation", b.Sqrt(b.Add(variance, b.Scalar(a.Epsilon)))) // (...,1)
	if a.Result == 2 {
		return b.Div(b.ConstantOfShape(1, dev.Shape...), dev)
	}
	n := b.Name("normalized", b.Div(d, dev)) // x's shape
	return b.Add(b.Mul(n, scale), bias)
}

// x · (1 + tanh(√(2/π) · (x + 0.044715 x³)))/2, eq. 2 of arXiv:1606.08415.
func decomposeGelu(b *Builder, x *Value) *Value {
	_, gate := b.geluGate(x)
	return b.Mul(x, gate)
}

// The factors of Gelu's polynomial √(2/π)·x + √(2/π)·0.044715·x³.
var (
	geluLinear = math.Sqrt(2 / math.Pi)
	geluCubic  = geluLinear * 0.044715
)

// geluGate returns x² and (1 + tanh(u))/2, the factor of x in Gelu, which its
// gradient needs again.
func (b *Builder) geluGate(x *Value) (square, gate *Value) {
	square = b.Mul(x, x)
	poly := b.Add(b.Mul(square, b.Scalar(geluCubic)), b.Scalar(geluLinear))
	tanh := b.Tanh(b.Mul(x, poly))
	return square, b.Add(b.Mul(tanh, b.Scalar(0.5)), b.Scalar(0.5))
}

// softmax(q kᵀ · scale + mask) v.
func decomposeAttention(b *Builder, q, k, v, mask *Value, scale float64) *Value {
	_, probs := b.attentionProbabilities(q, k, mask, scale)
	return b.MatMul(probs, v) // (B,H,T,D)
}

// attentionProbabilities returns the scaled queries and softmax(q kᵀ · scale +
// mask). The scale goes on q, which is smaller than the scores.
func (b *Builder) attentionProbabilities(q, k, mask *Value, scale float64) (scaled, probs *Value) {
	kt := b.Name("k_transposed", b.Transpose(k, 0, 1, 3, 2))                              // (B,H,D,S)
	scaled = b.Mul(q, b.Scalar(scale))                                                    // (B,H,T,D)
	scores := b.Name("scores", b.MatMul(scaled, kt))                                      // (B,H,T,S)
	probs = b.Name("probabilities", b.Softmax(b.Name("masked", b.Add(scores, mask)), -1)) // (B,H,T,S)
	return scaled, probs
}

// The mean of -log softmax(scores)[label] over the labels that count.
func decomposeLoss(b *Builder, scores, labels *Value, ignore int64) *Value {
	p := b.lossParts(scores, labels, ignore)
	column := append(slices.Clone(p.labels.Shape), N(1))                          // (...,1)
	picked := b.GatherElements(p.logp, b.Reshape(p.labels, column...), -1)        // (...,1)
	picked = b.Reshape(picked, p.labels.Shape...)                                 // labels' shape
	total := b.ReduceSum(b.Mul(picked, p.weight), false, axes(p.labels.Shape)...) // ()
	return b.Neg(b.Div(total, p.count))
}

// lossParts is what the loss and its gradient both need.
type lossParts struct {
	logp   *Value // (...,V): log softmax, classes last
	labels *Value // (...): 0 where ignored, so that every label is a class
	weight *Value // (...): 0 where ignored, else 1
	count  *Value // (): labels that count
}

// lossParts moves the classes to the last axis. Of three axes they stand on
// the second, as ONNX has it; a Transpose that put them there is passed by, so
// that the logarithm runs along contiguous rows.
func (b *Builder) lossParts(scores, labels *Value, ignore int64) lossParts {
	x := scores // (N,V)
	if len(scores.Shape) == 3 {
		x = b.classesLast(scores) // (B,T,V)
	}
	var p lossParts
	p.logp = b.Name("log_probabilities", b.LogSoftmax(x, -1))
	ignored := b.Name("ignored", b.Equal(labels, b.Const(format.FromInt64s("ignore_index", []int{}, []int64{ignore}))))
	p.labels = b.Where(ignored, b.Const(format.FromInt64s("zero", []int{}, []int64{0})), labels)
	p.weight = b.Where(ignored, b.Scalar(0), b.Scalar(1))
	p.count = b.ReduceSum(p.weight, false, axes(labels.Shape)...)
	return p
}

// axes returns the numbers of all axes of s.
func axes(s Shape) []int {
	out := make([]int, len(s))
	for i := range out {
		out[i] = i
	}
	return out
}

func (b *Builder) classesLast(scores *Value) *Value {
	if scores.Op == Transpose && slices.Equal(scores.Attr.Perm, []int{0, 2, 1}) {
		return scores.Args[0]
	}
	return b.Transpose(scores, 0, 2, 1)
}
