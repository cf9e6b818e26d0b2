package ref

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// The copies of a product with a matrix of weights are the product and what their differences
// add to it: (x+δ)W = xW + δW. A few digits of δW are enough, so it is computed in float32.

// fixedFactor returns the matrix by which all rows of a node's first argument are
// multiplied; ok is false if there is none, or it has copies.
func (s *shaking) fixedFactor(n *graph.Node, c call, args []*shaken) (w array, ok bool) {
	switch op := n.Op.(type) {
	case graph.MatMul:
		w = c.args[1]
	case graph.Gemm:
		if op.TransA {
			return w, false
		}
		w = turnedIf(op.TransB, c.args[1])
	default:
		return w, false
	}
	if len(w.shape) != 2 || args[0].stack.f == nil {
		return w, false
	}
	for i, a := range args {
		if a.lazy != nil || n.Args[i].Leaf() && a.kind == floats && s.leafUnit(n.Args[i]) > 0 || i > 0 && a.stack.f != nil {
			return w, false
		}
	}
	return w, true
}

// productCopies returns the copies of exact, the product of x and w and perhaps a
// bias, for the given copies of x. The differences of a row are scaled by a power of two.
func productCopies(w, x, stack, exact array) array {
	k, n := w.shape[0], w.shape[1]
	copies := stack.shape[0]
	out := stackOf(copies, exact)
	if len(x.f) == 0 || len(exact.f) == 0 {
		copy(out.f, repeated(copies, exact).f)
		return out
	}
	rows := len(x.f) / k
	scales := make([]float64, copies*rows)
	singleProduct(copies*rows, k, n, w.singles(k, n), func(r int, to []float32) {
		base, moved := x.f[r%rows*k:][:k], stack.f[r*k:][:k]
		most := 0.0
		for i, v := range moved {
			most = max(most, math.Abs(v-base[i])) // NaN stays
		}
		scales[r] = powerBelow(most)
		for i, v := range moved {
			to[i] = float32((v - base[i]) * scales[r])
		}
	}, func(r int, z []float32) {
		base, to := exact.f[r%rows*n:][:n], out.f[r*n:][:n]
		if scales[r] == 0 {
			copy(to, base)
			return
		}
		back := 1 / scales[r]
		for j, v := range z {
			to[j] = base[j] + float64(v)*back
		}
	})
	return out
}
