package gorgonia

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model/graph"
)

// gemm is a matrix product for each element of a batch: x (M,K) times y (K,N),
// each optionally stored transposed.
type gemm struct {
	batch, m, n, k int
	xTurned        bool // x is stored as (K,M)
	yTurned        bool // y is stored as (N,K)
}

// matMul lowers MatMul. It skips a Transpose of the last two axes of the
// second argument and reads that transposed. It repeats leading dimensions
// that broadcast.
func (l *lowering[E]) matMul(v *graph.Value, x, y *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	left, right := v.Args()[0], v.Args()[1]
	to, from, by := l.sizes(v), l.sizes(left), l.sizes(right)
	if l.err != nil {
		return nil
	}
	p := gemm{batch: 1, m: product(to[:len(to)-1]), n: to[len(to)-1], k: from[len(from)-1]}
	if len(by) > 2 {
		p.batch = product(to[:len(to)-2])
		p.m /= p.batch
		lead := slices.Clone(to[:len(to)-2])
		x = l.expand(x, from, append(slices.Clone(lead), from[len(from)-2:]...))
		if wide := append(lead, by[len(by)-2:]...); !slices.Equal(by, wide) {
			return l.multiply(p, x, l.expand(y, by, wide), to)
		}
	}
	if t, ok := graph.Is[graph.Transpose](right); ok && turnsLast(t.Perm) {
		p.yTurned = true
		y = l.nodes[right.Args()[0]]
	}
	return l.multiply(p, x, y, to)
}

// turnsLast reports whether perm only swaps the last two axes.
func turnsLast(perm []int) bool {
	n := len(perm)
	if n < 2 || perm[n-1] != n-2 || perm[n-2] != n-1 {
		return false
	}
	return slices.IsSorted(perm[:n-2])
}

func (l *lowering[E]) multiply(p gemm, x, y *G.Node, shape []int) *G.Node {
	if l.err != nil {
		return nil
	}
	xShape, yShape := x.Shape(), y.Shape()
	k := func(out operand[E], in []operand[E]) error {
		blasMultiplyBatch(p, out.f, in[0].f, in[1].f)
		return nil
	}
	return l.apply("MatMul", l.float(), shape, k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		dx := gemm{batch: p.batch, m: p.m, n: p.k, k: p.n, yTurned: !p.yTurned} // G·Yᵀ
		dy := gemm{batch: p.batch, m: p.k, n: p.n, k: p.m, xTurned: true}       // Xᵀ·G
		left, right := in[0], grad
		if p.yTurned { // the gradient is transposed too: Gᵀ·X
			dy.m, dy.n = p.n, p.k
			left, right = grad, in[0]
		}
		return G.Nodes{l.multiply(dx, grad, in[1], xShape), l.multiply(dy, left, right, yShape)}
	}, x, y)
}
