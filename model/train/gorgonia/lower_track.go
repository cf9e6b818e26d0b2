package gorgonia

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// track lowers TrackMoment: x, with the derivative weight·(moment-batch) by the moment; a
// weight of 0 is 1.
func (l *lowering[E]) track(weight float64, x, moment, batch *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	same := func(out operand[E], in []operand[E]) error {
		copy(out.f, in[0].f)
		return nil
	}
	return l.apply("TrackMoment", l.float(), x.Shape(), same, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		off := l.apply(fmt.Sprintf("TrackMomentGrad%g", weight), l.float(), moment.Shape(), func(d operand[E], in []operand[E]) error {
			for i := range d.f {
				if d.f[i] = in[0].f[i] - in[1].f[i]; weight != 0 {
					d.f[i] *= E(weight)
				}
			}
			return nil
		}, nil, in[1], in[2])
		none := l.apply("TrackMomentNone", l.float(), batch.Shape(), func(d operand[E], _ []operand[E]) error {
			clear(d.f)
			return nil
		}, nil, in[2])
		return G.Nodes{l.apply("TrackMomentPass", l.float(), x.Shape(), same, nil, grad), off, none}
	}, x, moment, batch)
}
