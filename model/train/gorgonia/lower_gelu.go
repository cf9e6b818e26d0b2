package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/internal/exponential"
)

// gelu lowers Gelu, x/2·(1 + tanh u) with u = √(2/π)·(x + 0.044715·x³), as the
// equal x·σ(2u): 1 + tanh u = 2σ(2u). It keeps σ after the result for the
// gradient σ + x·σ·(1-σ)·2u'.
func (l *lowering[E]) gelu(x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := x.Shape()
	n := product(shape)
	k := func(out operand[E], in []operand[E]) error {
		y, gate := out.f[:n], out.f[n:]
		geluBlocks(n, func(from, to int) { geluRow(y[from:to], gate[from:to], in[0].f[from:to]) })
		return nil
	}
	both := l.apply("Gelu", l.float(), []int{2 * n}, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("GeluGrad", l.float(), shape, func(dx operand[E], in []operand[E]) error {
			x, gate, dy := in[0].f, in[1].f[n:], in[2].f
			geluBlocks(n, func(from, to int) { geluGradRow(dx.f[from:to], x[from:to], gate[from:to], dy[from:to]) })
			return nil
		}, nil, in[0], out, grad)}
	}, x)
	return l.result(both, shape)
}

func geluBlocks(n int, f func(from, to int)) {
	blasParallel(blocks(n, elementGrain/4), func(block int) {
		from, to := blockOf(n, elementGrain/4, block)
		f(from, to)
	})
}

const (
	geluInner = 2 * 0.7978845608028654 // 2√(2/π)
	geluCube  = 0.044715
)

func geluRow[E element](y, gate, x []E) {
	y, gate = y[:len(x)], gate[:len(x)]
	for i, v := range x {
		gate[i] = -geluInner * v * (1 + geluCube*v*v)
	}
	exponential.Of(gate)
	for i, v := range x {
		s := 1 / (1 + gate[i])
		gate[i] = s
		y[i] = v * s
	}
}

func geluGradRow[E element](dx, x, gate, dy []E) {
	x, gate, dy = x[:len(dx)], gate[:len(dx)], dy[:len(dx)]
	for i := range dx {
		v, s := x[i], gate[i]
		du := geluInner * (1 + 3*geluCube*v*v)
		dx[i] = dy[i] * (s + v*s*(1-s)*du)
	}
}
