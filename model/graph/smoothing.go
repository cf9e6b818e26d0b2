package graph

// SmoothLabels returns the pass that makes every SoftmaxCrossEntropyLoss the mean of
// (1-epsilon)·(-log p(label)) + epsilon·(mean over all classes of -log p), as PyTorch's
// label_smoothing does: the label has the probability 1-epsilon, and all classes share
// the rest (Szegedy and others, arXiv:1512.00567). With epsilon 0 it changes nothing.
func SmoothLabels(epsilon float64) Pass {
	return func(g *Graph) (*Graph, error) {
		if epsilon == 0 {
			return g, nil
		}
		return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
			op, ok := n.Op.(SoftmaxCrossEntropyLoss)
			if !ok {
				return nil
			}
			loss := b.Apply(op, 1, args...)[0]
			p := op.parts(b, args[0], args[1])
			each := b.Mul(b.ReduceMean(p.logp, false, -1), p.weight) // labels' shape
			uniform := b.Neg(b.Div(b.ReduceSum(each, false, axes(each.Shape)...), p.count))
			return []*Value{b.Add(b.Mul(loss, b.like(loss, 1-epsilon)), b.Mul(uniform, b.like(loss, epsilon)))}
		})
	}
}
