package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// productsFamily is the matrix products.
var productsFamily = family{
	"MatMul": records(func(n *node) *graph.Value { return n.matMul(n.arg(0), n.arg(1)) }),
	"Gemm":   records(readGemm),
}

// matMul is NumPy's matmul: a vector is a row on the left and a column on the
// right, and the added dimension is dropped from the result.
func (n *node) matMul(x, y *graph.Value) *graph.Value {
	one := graph.N(1)
	row, column := len(x.Shape) == 1, len(y.Shape) == 1
	if row {
		x = n.b.Reshape(x, one, x.Shape[0])
	}
	if column {
		y = n.b.Reshape(y, y.Shape[0], one)
	}
	z := n.b.MatMul(x, y)
	s := append(graph.Shape{}, z.Shape...)
	if column && len(s) > 0 {
		s = s[:len(s)-1]
	}
	if row {
		at := len(z.Shape) - 2
		s = append(append(graph.Shape{}, s[:at]...), s[at+1:]...)
	}
	if row || column {
		z = n.b.Reshape(z, s...)
	}
	return z
}

// readGemm is alpha·A·B + beta·C.
func readGemm(n *node) *graph.Value {
	x, y, c := n.arg(0), n.arg(1), n.optional(2)
	alpha, beta := n.float("alpha", 1), n.float("beta", 1)
	op := graph.Gemm{TransA: n.flag("transA", false), TransB: n.flag("transB", false)}
	if n.version < 7 && n.domain == "" && !n.flag("broadcast", false) && c != nil && len(c.Shape) != 2 {
		n.refuse("the broadcasting of operator sets before 7")
	}
	if beta == 0 {
		c = nil
	}
	if alpha == 1 && beta == 1 && c != nil && x.DType.Float() {
		return n.apply(op, x, y, c)
	}
	z := n.product(op, x, y)
	if alpha != 1 {
		z = n.b.Mul(z, n.like(z, alpha))
	}
	if c != nil && beta != 1 {
		c = n.b.Mul(c, n.like(c, beta))
	}
	if c != nil {
		z = n.b.Add(z, c)
	}
	return z
}

// product is the product of two matrices. Integers are multiplied in float64,
// which is exact below 2^53.
func (n *node) product(op graph.Gemm, x, y *graph.Value) *graph.Value {
	if x.DType.Float() {
		return n.apply(op, x, y)
	}
	if x.DType.Size() > 4 {
		n.refuse("the product of matrices of %s", x.DType)
	}
	return n.b.Cast(n.apply(op, n.b.Cast(x, format.Float64), n.b.Cast(y, format.Float64)), x.DType)
}

// readFusedMatMul is alpha·A·B, with each matrix transposed if the node says so.
func readFusedMatMul(n *node) *graph.Value {
	if n.flag("transBatchA", false) || n.flag("transBatchB", false) {
		n.refuse("a transposed batch")
	}
	transposed := func(i int, name string) *graph.Value {
		x := n.arg(i)
		if !n.flag(name, false) {
			return x
		}
		rank := len(x.Shape)
		if rank < 2 {
			n.refuse("%s transposed", x.Shape)
		}
		perm := make([]int, rank)
		for i := range perm {
			perm[i] = i
		}
		perm[rank-2], perm[rank-1] = rank-1, rank-2
		return n.b.Transpose(x, perm...)
	}
	return n.scaled(n.matMul(transposed(0, "transA"), transposed(1, "transB")), n.float("alpha", 1))
}

// readFusedGemm is Gemm with an activation.
func readFusedGemm(n *node) *graph.Value {
	y := readGemm(n)
	var given []float64
	for _, name := range []string{"activation_alpha", "activation_beta", "activation_gamma"} {
		if n.isSet(name) {
			given = append(given, n.float(name, 0))
		}
	}
	return n.activated(y, given)
}
