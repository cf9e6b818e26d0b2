package gorgonia

import (
	"math"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// losses are the sizes of a SoftmaxCrossEntropyLoss. Its value is packed: the
// loss, the number of labels that count, the loss of each label, and the
// probabilities in the layout of the scores.
type losses struct {
	lanes  lanes // of the classes: one lane for each label
	ignore int64
}

func (c losses) labels() int { return c.lanes.outer * c.lanes.inner }

// crossEntropy lowers SoftmaxCrossEntropyLoss. It skips a Transpose that only
// moves the classes to axis 1, where ONNX expects them.
func (l *lowering[E]) crossEntropy(op graph.SoftmaxCrossEntropyLoss, v *graph.Value, scores, labels *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	from := v.Args()[0]
	c := losses{ignore: op.IgnoreIndex, lanes: lanesOf(l.sizes(from), 1)}
	if t, ok := graph.Is[graph.Transpose](from); ok && slices.Equal(t.Perm, []int{0, 2, 1}) {
		scores = l.nodes[from.Args()[0]]
		c.lanes = lanesOf(l.sizes(from.Args()[0]), 2)
	}
	shape := scores.Shape()
	head := 2 + c.labels()
	packed := l.apply("SoftmaxCrossEntropyLoss", l.float(), []int{head + product(shape)}, func(out operand[E], in []operand[E]) error {
		return lossOf(c, out.f[:2], out.f[2:head], out.f[head:], in[0].f, in[1].i)
	}, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("SoftmaxCrossEntropyLossGrad", l.float(), shape, func(dx operand[E], in []operand[E]) error {
			lossGrad(c, dx.f, in[0].f[head:], in[1].i, float64(in[2].f[0])/float64(in[0].f[1]))
			return nil
		}, nil, out, in[1], grad), nil}
	}, scores, labels)
	return l.result(packed, []int{1})
}

func lossOf[E element](c losses, sums, each, p, x []E, labels []int64) error {
	a := c.lanes
	count := 0
	for i, label := range labels {
		if err := c.check(label, i); err != nil {
			return err
		}
		if label != c.ignore {
			count++
		}
	}
	a.each(func(lane, at int) {
		largest := math.Inf(-1)
		for j := range a.n {
			largest = max(largest, float64(x[at+j*a.inner]))
		}
		sum := 0.0
		for j := range a.n {
			i := at + j*a.inner
			e := math.Exp(float64(x[i]) - largest)
			p[i] = E(e)
			sum += e
		}
		for j := range a.n {
			p[at+j*a.inner] /= E(sum)
		}
		each[lane] = 0
		if label := labels[lane]; label != c.ignore {
			each[lane] = E(math.Log(sum) + largest - float64(x[at+int(label)*a.inner]))
		}
	})
	total := 0.0
	for _, e := range each {
		total += float64(e)
	}
	sums[0], sums[1] = E(total/float64(count)), E(count) // no label counts: 0/0, as in ONNX
	return nil
}

// check rejects a label that is not a class.
func (c losses) check(label int64, at int) error {
	if label != c.ignore && (label < 0 || label >= int64(c.lanes.n)) {
		return train.BadLabel(role.Labels.Name(), at, []int{c.labels()}, label, c.lanes.n, c.ignore)
	}
	return nil
}

// lossGrad computes dx = (p - 1 at the label) · scale, 0 where ignored.
func lossGrad[E element](c losses, dx, p []E, labels []int64, scale float64) {
	a := c.lanes
	a.each(func(lane, at int) {
		label := labels[lane]
		s := E(scale)
		if label == c.ignore {
			s = 0
		}
		for j := range a.n {
			i := at + j*a.inner
			dx[i] = p[i] * s
		}
		if label != c.ignore {
			dx[at+int(label)*a.inner] -= s
		}
	})
}
