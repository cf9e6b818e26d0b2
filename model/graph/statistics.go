package graph

import "slices"

// Momentum is the share of a running moment that a step keeps: 1 minus PyTorch's
// default momentum, and ONNX's default.
const Momentum = 0.9

// MomentShare is the share of the derivative by a running moment that a step
// subtracts from it: see BatchStatistics.
const MomentShare = 1 - Momentum

// BatchStatistics is the pass that has each BatchNormalization whose moments are
// weights normalize with those of the batch, as PyTorch does in training: the
// variance is the mean square there. The derivative of the loss by a running moment becomes the
// moment minus that of the batch (the variance with n-1 in place of n), so that a step
// which subtracts MomentShare of it updates the moment.
func BatchStatistics(g *Graph) (*Graph, error) {
	return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		op, ok := n.Op.(BatchNormalization)
		if !ok || !op.running(n) {
			return nil
		}
		x := args[0]
		axes := []int{0}
		for i := 2; i < len(x.Shape); i++ {
			axes = append(axes, i)
		}
		mean := b.ReduceMean(x, false, axes...) // (C)
		d := b.Sub(x, b.channels(mean, x))
		variance := b.ReduceMean(b.Mul(d, d), false, axes...)
		y := op.Decompose(b, []*Value{x, args[1], args[2], mean, variance})[0]
		rows := make(Shape, 0, len(axes))
		for _, i := range axes {
			rows = append(rows, x.Shape[i])
		}
		all := make([]int, len(rows))
		for i := range all {
			all[i] = i
		}
		count := b.ReduceSum(b.ConstantOfShape(1, rows...), false, all...)
		unbiased := b.Mul(variance, b.Div(count, b.Sub(count, b.like(count, 1))))
		track := TrackMoment{}
		if op.Momentum != 0 {
			track.Weight = (1 - op.Momentum) / MomentShare
		}
		y = b.Apply(track, 1, y, args[3], mean)[0]
		return []*Value{b.Apply(track, 1, y, args[4], unbiased)[0]}
	})
}

// running reports whether the moments of a node are weights.
func (BatchNormalization) running(n *Node) bool {
	for _, a := range n.Args[3:] {
		if _, ok := Is[Param](a); !ok {
			return false
		}
	}
	return true
}

// RunningMoments returns the names of the weights that BatchStatistics updates, in
// the order of the graph.
func RunningMoments(g *Graph) (names []string) {
	moments := map[*Value]bool{}
	for _, n := range g.Nodes {
		if op, ok := n.Op.(BatchNormalization); ok && op.running(n) {
			moments[n.Args[3]], moments[n.Args[4]] = true, true
		}
	}
	for _, p := range g.Params {
		if moments[p] && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// SharedMoment returns the name of a running moment that is not a weight of its own,
// and of the weight that it is: "" where there is none. PyTorch's exporter stores equal
// tensors once, and a moment of a fresh network equals a bias or a scale. No step can
// update one without the other.
func SharedMoment(g *Graph) (moment, weight string) {
	moments, others := map[*Value]int{}, map[*Value]bool{}
	for _, n := range g.Nodes {
		_, normalizes := n.Op.(BatchNormalization)
		for i, a := range n.Args {
			if normalizes && i >= 3 {
				moments[a]++
			} else if n.Op != Identity {
				others[a.Origin()] = true
			}
		}
	}
	for _, n := range g.Nodes {
		if _, ok := n.Op.(BatchNormalization); !ok {
			continue
		}
		for _, a := range n.Args[3:] {
			from := a.Origin()
			if _, ok := Is[Param](from); ok && (from != a || others[a] || moments[a] > 1) {
				return a.Name, from.Name
			}
		}
	}
	return "", ""
}

// Origin returns the value that v is through Identity nodes: v itself, if it is no
// result of one.
func (v *Value) Origin() *Value {
	for !v.Leaf() && v.Op() == Identity {
		v = v.Node.Args[0]
	}
	return v
}

// TrackMoment is its first argument. The derivative by the second, a running moment, is
// that minus the third, the moment of the batch, times the weight. Only a step's loss has
// it.
type TrackMoment struct {
	Weight float64 `attr:"weight,omitzero"` // 0: 1
}

// Name returns "TrackMoment".
func (TrackMoment) Name() string { return "TrackMoment" }

// Infer returns the type of the first argument.
func (TrackMoment) Infer(args []Type) ([]Type, error) { return args[:1], expect(args, 3) }

// Decompose implements Composite.
func (TrackMoment) Decompose(b *Builder, args []*Value) []*Value {
	return []*Value{b.Identity(args[0])}
}

// Grad implements Differentiable.
func (t TrackMoment) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	d := b.Sub(n.Args[1], n.Args[2])
	if t.Weight != 0 {
		d = b.Mul(d, b.like(d, t.Weight))
	}
	return []*Value{dy[0], d, nil}
}
