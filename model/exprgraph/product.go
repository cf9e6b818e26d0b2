package exprgraph

import (
	"slices"
	"strings"

	"github.com/attnx/attnx/model/graph"
)

// readProduct reads the products of linear algebra, by what they print: with ᵀ behind
// an argument that is transposed.
func readProduct(n *node) *graph.Value {
	x, y := n.arg(0), n.arg(1)
	switch kind := strings.ReplaceAll(n.text(), "ᵀ", ""); kind {
	case "A × B", "A ××× B":
		return n.b.MatMul(n.transposed(x, n.bool("transA")), n.transposed(y, n.bool("transB")))
	case "A × b":
		column := n.matrix(y, -1, 1)
		return n.b.MatMul(n.transposed(x, n.bool("transA")), column)
	case "a ⋅ b":
		return n.b.MatMul(n.matrix(x, 1, -1), n.matrix(y, -1, 1))
	case "a ⊗ b":
		return n.b.Mul(n.matrix(x, -1, 1), n.matrix(y, 1, -1))
	default:
		n.refuse("end the network before it", "attnx does not read the product %.40q", kind)
		return nil
	}
}

// transposed returns x with its last two dimensions exchanged, if asked.
func (n *node) transposed(x *graph.Value, exchange bool) *graph.Value {
	rank := len(x.Shape)
	if !exchange || rank < 2 {
		return x
	}
	perm := ascending(rank)
	perm[rank-1], perm[rank-2] = perm[rank-2], perm[rank-1]
	return n.b.Transpose(x, perm...)
}

func ascending(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// matrix returns x as a matrix of one row or one column, whose other size, -1, is
// the number of elements.
func (n *node) matrix(x *graph.Value, rows, columns int) *graph.Value {
	s := graph.Shape{graph.N(rows), graph.N(columns)}
	for i, d := range s {
		if d.Is(-1) {
			s[i] = x.Shape.Elements()
		}
	}
	if x.Shape.Equal(s) {
		return x
	}
	return n.b.Reshape(x, s...)
}

// readTensordot reads the sum over pairs of dimensions: the others of the first
// argument come first, then those of the second.
func readTensordot(n *node) *graph.Value {
	x, y := n.arg(0), n.arg(1)
	free, rows := n.folded(x, n.ints("aAxes"), true)
	others, columns := n.folded(y, n.ints("bAxes"), false)
	out := append(slices.Clone(free), others...)
	return n.b.Reshape(n.b.MatMul(rows, columns), out...)
}

// folded returns x as a matrix with the dimensions of axes in the columns, or in the
// rows if it is the second factor, and its other dimensions.
func (n *node) folded(x *graph.Value, axes []int, first bool) (free graph.Shape, matrix *graph.Value) {
	var rest []int
	for axis := range x.Shape {
		if !slices.Contains(axes, axis) {
			rest, free = append(rest, axis), append(free, x.Shape[axis])
		}
	}
	perm, sizes := slices.Concat(axes, rest), graph.Shape{n.product(x, axes), free.Elements()}
	if first {
		perm, sizes = slices.Concat(rest, axes), graph.Shape{sizes[1], sizes[0]}
	}
	return free, n.b.Reshape(n.b.Transpose(x, perm...), sizes...)
}

// product returns the number of elements along axes.
func (n *node) product(x *graph.Value, axes []int) graph.Dim {
	d := graph.N(1)
	for _, axis := range axes {
		if axis < 0 || axis >= len(x.Shape) {
			n.refuse("check the axes", "axis %d of shape %s", axis, x.Shape)
		}
		d = d.Mul(x.Shape[axis])
	}
	return d
}
