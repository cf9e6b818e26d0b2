package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/internal/exponential"
	"github.com/attnx/attnx/model/graph"
)

// heads are the sizes of an Attention with n = B·H heads.
type heads struct {
	n, t, s, d int
	each       int // heads that share a mask
	scale      float64
}

// attention lowers Attention, softmax(q kᵀ · scale + mask) v, as one operator
// that keeps the probabilities p after its result. Its gradient is one
// operator: with dp = dy vᵀ and ds = p·(dp - Σ dp·p),
//
//	dq = ds k · scale,  dk = dsᵀ q · scale,  dv = pᵀ dy,  dmask = Σ ds.
func (l *lowering[E]) attention(op graph.Attention, v *graph.Value, args G.Nodes) *G.Node {
	if l.err != nil {
		return nil
	}
	shape, keys := l.sizes(v), l.sizes(v.Args()[1])
	h := heads{n: shape[0] * shape[1], t: shape[2], s: keys[2], d: shape[3], scale: op.Scale}
	h.each = h.n
	var mshape []int
	if len(args) == 4 {
		mshape = l.sizes(v.Args()[3])
		if len(mshape) == 4 { // (B,1,T,S): one for each sequence
			h.each = shape[1]
		}
	}
	rows, cols, scores := h.n*h.t*h.d, h.n*h.s*h.d, h.n*h.t*h.s
	packed := l.apply("Attention", l.float(), []int{rows + scores}, func(out operand[E], in []operand[E]) error {
		var mask []E
		if len(in) == 4 {
			mask = in[3].f
		}
		attend(h, out.f[:rows], out.f[rows:], in[0].f, in[1].f, in[2].f, mask)
		return nil
	}, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		all := l.apply("AttentionGrad", l.float(), []int{rows + 2*cols + scores}, func(g operand[E], in []operand[E]) error {
			attendGrad(h, attentionGrads[E]{g.f[:rows], g.f[rows : rows+cols], g.f[rows+cols : rows+2*cols], g.f[rows+2*cols:]},
				in[0].f, in[1].f, in[2].f, in[3].f[rows:], in[4].f)
			return nil
		}, nil, in[0], in[1], in[2], out, grad)
		ds := l.view(all, rows+2*cols, []int{h.n, h.t, h.s})
		grads := G.Nodes{l.view(all, 0, shape), l.view(all, rows, keys), l.view(all, rows+cols, keys)}
		if mshape != nil {
			grads = append(grads, l.sumTo(ds, newSpread([]int{h.n / h.each, h.each, h.t, h.s}, []int{h.n / h.each, 1, h.t, h.s}), 1, mshape))
		}
		return grads
	}, args...)
	return l.result(packed, shape)
}

func attend[E element](h heads, y, p, q, k, v, mask []E) {
	scale := E(h.scale)
	blasParallel(h.n, func(i int) {
		y, q := y[i*h.t*h.d:][:h.t*h.d], q[i*h.t*h.d:][:h.t*h.d]
		k, v := k[i*h.s*h.d:][:h.s*h.d], v[i*h.s*h.d:][:h.s*h.d]
		p := p[i*h.t*h.s:][:h.t*h.s]
		blasMultiplySerial(p, byRows(q, h.d), byColumns(k, h.d), h.t, h.s, h.d)
		for t := range h.t {
			row := p[t*h.s:][:h.s]
			if mask == nil {
				for j := range row {
					row[j] *= scale
				}
			} else {
				m := mask[(i/h.each*h.t+t)*h.s:][:h.s]
				for j := range row {
					row[j] = row[j]*scale + m[j]
				}
			}
			shiftRow(row, row)
		}
		exponential.Of(p)
		for t := range h.t {
			normalizeRow(p[t*h.s:][:h.s])
		}
		blasMultiplySerial(y, byRows(p, h.s), byRows(v, h.d), h.t, h.d, h.s)
	})
}

type attentionGrads[E element] struct{ dq, dk, dv, ds []E }

func attendGrad[E element](h heads, g attentionGrads[E], q, k, v, p, dy []E) {
	scale := E(h.scale)
	blasParallel(h.n, func(i int) {
		q, dq := q[i*h.t*h.d:][:h.t*h.d], g.dq[i*h.t*h.d:][:h.t*h.d]
		k, dk := k[i*h.s*h.d:][:h.s*h.d], g.dk[i*h.s*h.d:][:h.s*h.d]
		v, dv := v[i*h.s*h.d:][:h.s*h.d], g.dv[i*h.s*h.d:][:h.s*h.d]
		p, ds := p[i*h.t*h.s:][:h.t*h.s], g.ds[i*h.t*h.s:][:h.t*h.s]
		dy := dy[i*h.t*h.d:][:h.t*h.d]
		blasMultiplySerial(dv, byColumns(p, h.s), byRows(dy, h.d), h.s, h.d, h.t)
		blasMultiplySerial(ds, byRows(dy, h.d), byColumns(v, h.d), h.t, h.s, h.d)
		for t := range h.t {
			ds, p := ds[t*h.s:][:h.s], p[t*h.s:][:h.s]
			var dot E
			for j, x := range p {
				dot += x * ds[j]
			}
			for j, x := range p {
				ds[j] = x * (ds[j] - dot)
			}
		}
		blasMultiplySerial(dq, byRows(ds, h.s), byRows(k, h.d), h.t, h.d, h.s)
		blasMultiplySerial(dk, byColumns(ds, h.s), byRows(q, h.d), h.s, h.d, h.t)
		for j := range dq {
			dq[j] *= scale
		}
		for j := range dk {
			dk[j] *= scale
		}
	})
}
