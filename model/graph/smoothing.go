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
			scores, labels := args[0], args[1]
			if n := labels.Shape.Elements(); len(scores.Shape) == 3 { // a row for each label
				x := b.classesLast(scores)
				scores, labels = b.Reshape(x, n, x.Shape[2]), b.Reshape(labels, n)
			}
			p := op.parts(b, scores, labels)
			each := b.Mul(b.ReduceMean(p.logp, false, -1), p.weight) // (N)
			uniform := b.Neg(b.Div(b.ReduceSum(each, false, axes(each.Shape)...), p.count))
			return []*Value{b.Add(b.Mul(loss, b.like(loss, 1-epsilon)), b.Mul(uniform, b.like(loss, epsilon)))}
		})
	}
}
