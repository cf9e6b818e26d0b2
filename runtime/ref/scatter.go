package ref

import (
	"slices"

	"github.com/attnx/attnx/model/graph"
)

// gemm is a b, or a b + c, for matrices. a and b are transposed first if
// requested, and c broadcasts into the product.
func gemm(args []array, transA, transB bool, shape []int) array {
	out := matMul(transposed(args[0].wide(), transA), turnedIf(transB, args[1]), shape)
	if len(args) == 3 {
		c := args[2].wide()
		combine(graph.Add, out, c, out)
	}
	return out
}

// turnedIf returns the transpose of a matrix as a product reads it, or the matrix.
func turnedIf(yes bool, x array) array {
	if yes {
		x.shape, x.turned = []int{x.shape[1], x.shape[0]}, !x.turned
	}
	return x
}

// transposed returns the transpose of the matrix x, or x.
func transposed(x array, yes bool) array {
	if !yes {
		return x
	}
	rows, cols := x.shape[0], x.shape[1]
	out := newArray(floats, []int{cols, rows})
	const side = 32 // of a block that stays in the cache
	for top := 0; top < rows; top += side {
		for left := 0; left < cols; left += side {
			for i := top; i < min(top+side, rows); i++ {
				for j := left; j < min(left+side, cols); j++ {
					out.f[j*rows+i] = x.f[i*cols+j]
				}
			}
		}
	}
	return out
}

// oneHot gives every id a row with 1 at the id.
func oneHot(ids array, shape []int) (array, error) {
	depth := shape[len(shape)-1]
	if err := checkIDs(ids, depth); err != nil {
		return array{}, err
	}
	out := newArray(floats, shape)
	for i, id := range ids.i {
		out.f[i*depth+int(id)] = 1
	}
	return out, nil
}

// scatterElements adds the updates to the elements of x that gatherElements
// reads.
func scatterElements(x, ids, updates array, axis int) (array, error) {
	if err := checkIDs(ids, x.shape[axis]); err != nil {
		return array{}, err
	}
	out := array{shape: x.shape, kind: x.kind, f: slices.Clone(x.f)}
	v := whole(x.shape)
	step := v.stride[axis]
	v.shape, v.stride[axis] = ids.shape, 0
	for i, at := range v.all() {
		out.f[at+int(ids.i[i])*step] += updates.f[i]
	}
	return out, nil
}
