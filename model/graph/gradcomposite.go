package graph

import "slices"

// The derivatives of composite operators. Each takes what it needs of the
// forward pass from the same Builder method as the operator's decomposition,
// so that Merge leaves one of the two.

// y = n·scale + bias with n = (x - mean)·inverse deviation. The mean and the
// inverse deviation are results that the operator has anyway
// (arXiv:1607.06450; dx as in llm.c's and PyTorch's backward passes):
//
//	dx = inv·(g - mean(g) - n·mean(g·n)),  g = dy·scale
func gradLayerNormalization(b *Builder, v *Value, dy []*Value) []*Value {
	d := dy[0]
	if v.Attr.Result != 0 || d == nil {
		b.fail("graph: result %d of %s %.80q has no derivative: no network uses it", v.Attr.Result, v.Op, v.Name)
		return nil
	}
	x, scale, bias := v.Args[0], v.Args[1], v.Args[2]
	result := func(i int) *Value {
		a := v.Attr
		a.Result = i
		return b.op(LayerNormalization, a, v.Args...)
	}
	mean, inverse := result(1), result(2)                     // (...,1)
	n := b.Name("normalized", b.Mul(b.Sub(x, mean), inverse)) // x's shape
	dn := b.Mul(d, n)                                         // of scale, before the sum
	g := b.Mul(d, scale)
	inner := b.Mul(n, b.ReduceMean(b.Mul(dn, scale), true, -1))
	dx := b.Mul(b.Sub(b.Sub(g, b.ReduceMean(g, true, -1)), inner), inverse)
	return []*Value{dx, b.reduceTo(dn, scale.Shape), b.reduceTo(d, bias.Shape)}
}

// y = x·s with the gate s = (1 + tanh(u(x)))/2, whose derivative is 2s(1-s)·u'.
// So dx = dy·(s + x·s·(1-s)·2u') = dy·(s + (y - y·s)·2u').
func gradGelu(b *Builder, y, dy *Value) *Value {
	square, s := b.geluGate(y.Args[0])
	slope := b.Add(b.Mul(square, b.Scalar(6*geluCubic)), b.Scalar(2*geluLinear)) // 2u'
	bend := b.Mul(b.Sub(y, b.Mul(y, s)), slope)
	return b.Mul(dy, b.Add(bend, s))
}

// o = p v, p = softmax(s), s = (q·scale) kᵀ + mask. The row sums Σ dp·p that
// softmax asks for are Σ do·o, over D numbers a row instead of S
// (FlashAttention, arXiv:2205.14135, appendix B.4).
func gradAttention(b *Builder, o *Value, dy []*Value) []*Value {
	q, k, v, mask := o.Args[0], o.Args[1], o.Args[2], o.Args[3]
	do := dy[0]
	scaled, p := b.attentionProbabilities(q, k, mask, o.Attr.Scale)
	dv := b.MatMul(b.Transpose(p, 0, 1, 3, 2), do)       // (B,H,S,D)
	dp := b.MatMul(do, b.Transpose(v, 0, 1, 3, 2))       // (B,H,T,S)
	sum := b.ReduceSum(b.Mul(do, o), true, -1)           // (B,H,T,1)
	ds := b.Mul(p, b.Sub(dp, sum))                       // (B,H,T,S)
	dq := b.Mul(b.MatMul(ds, k), b.Scalar(o.Attr.Scale)) // (B,H,T,D)
	dk := b.MatMul(b.Transpose(ds, 0, 1, 3, 2), scaled)  // (B,H,S,D)
	return []*Value{dq, dk, dv, b.reduceTo(ds, mask.Shape)}
}

// The gradient by the scores is (softmax - one hot), for a label that counts
// times dloss/count, for another 0.
func gradLoss(b *Builder, v *Value, dy []*Value) []*Value {
	scores, labels := v.Args[0], v.Args[1]
	p := b.lossParts(scores, labels, v.Attr.IgnoreIndex)
	column := append(slices.Clone(labels.Shape), N(1)) // (...,1)
	last := p.logp.Shape[len(p.logp.Shape)-1]
	var off *Value
	if vocab, ok := last.Number(); ok && vocab <= oneHotLimit {
		off = b.Sub(b.Exp(p.logp), b.OneHot(p.labels, vocab))
	} else {
		off = b.ScatterElements(b.Exp(p.logp), b.Reshape(p.labels, column...), b.ConstantOfShape(-1, column...), -1)
	}
	row := b.Mul(b.Div(p.weight, p.count), dy[0]) // labels' shape
	dx := b.Mul(off, b.Reshape(row, column...))   // (...,V)
	if len(scores.Shape) == 3 {
		dx = b.Transpose(dx, 0, 2, 1)
	}
	return []*Value{dx, nil}
}
