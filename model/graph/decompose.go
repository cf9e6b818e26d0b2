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
				return decomposeLayerNormalization(b, args[0], args[1], args[2], v.Attr.Epsilon)
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
func decomposeLayerNormalization(b *Builder, x, scale, bias *Value, epsilon float64) *Value {
	mean := b.Name("mean", b.ReduceMean(x, true, -1))                      // (...,1)
	d := b.Name("centered", b.Sub(x, mean))                                // x's shape
	variance := b.Name("variance", b.ReduceMean(b.Mul(d, d), true, -1))    // (...,1)
	dev := b.Name("deviation", b.Sqrt(b.Add(variance, b.Scalar(epsilon)))) // (...,1)
	n := b.Name("normalized", b.Div(d, dev))                               // x's shape
	return b.Add(b.Mul(n, scale), bias)
}

// x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), eq. 2 of arXiv:1606.08415.
func decomposeGelu(b *Builder, x *Value) *Value {
	cube := b.Mul(b.Mul(x, x), x)
	inner := b.Mul(b.Add(x, b.Mul(cube, b.Scalar(0.044715))), b.Scalar(math.Sqrt(2/math.Pi)))
	gate := b.Add(b.Tanh(inner), b.Scalar(1))
	return b.Mul(b.Mul(x, b.Scalar(0.5)), gate)
}

// softmax(q kᵀ · scale + mask) v. The scale goes on q, which is smaller than
// the scores.
func decomposeAttention(b *Builder, q, k, v, mask *Value, scale float64) *Value {
	kt := b.Name("k_transposed", b.Transpose(k, 0, 1, 3, 2))                               // (B,H,D,S)
	scores := b.Name("scores", b.MatMul(b.Mul(q, b.Scalar(scale)), kt))                    // (B,H,T,S)
	probs := b.Name("probabilities", b.Softmax(b.Name("masked", b.Add(scores, mask)), -1)) // (B,H,T,S)
	return b.MatMul(probs, v)                                                              // (B,H,T,D)
}

// The mean of -log softmax(scores)[label] over the labels that count. The
// classes stand on axis 1, as ONNX has it; a Transpose that put them there is
// passed by, so that the logarithm runs along contiguous rows.
func decomposeLoss(b *Builder, scores, labels *Value, ignore int64) *Value {
	x := b.classesLast(scores)                               // (B,T,V)
	logp := b.Name("log_probabilities", b.LogSoftmax(x, -1)) // (B,T,V)
	ignored := b.Name("ignored", b.Equal(labels, b.Const(format.FromInt64s("ignore_index", []int{}, []int64{ignore}))))
	zero := b.Const(format.FromInt64s("zero", []int{}, []int64{0}))
	safe := b.Where(ignored, zero, labels)                          // (B,T)
	weight := b.Where(ignored, b.Scalar(0), b.Scalar(1))            // (B,T)
	rank3 := append(slices.Clone(safe.Shape), N(1))                 // (B,T,1)
	picked := b.GatherElements(logp, b.Reshape(safe, rank3...), -1) // (B,T,1)
	picked = b.Reshape(picked, safe.Shape...)                       // (B,T)
	total := b.ReduceSum(b.Mul(picked, weight), false, 0, 1)        // ()
	count := b.ReduceSum(weight, false, 0, 1)                       // ()
	return b.Neg(b.Div(total, count))
}

func (b *Builder) classesLast(scores *Value) *Value {
	if scores.Op == Transpose && slices.Equal(scores.Attr.Perm, []int{0, 2, 1}) {
		return scores.Args[0]
	}
	return b.Transpose(scores, 0, 2, 1)
}
