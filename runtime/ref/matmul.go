package ref

import "github.com/attnx/attnx/format"

// A block of the product is rowBlock rows by columnBlock columns, 16 KiB: it
// stays in the first cache while the rows of b stream past it. Blocks go down
// the rows first, so that the next one finds its columns of b in a cache too:
// across first, GPT-2 on 64 tokens took four times as long.
const (
	rowBlock    = 4
	columnBlock = 512
)

// matMul returns a (...,M,K) times b (...,K,N), whose leading dimensions
// broadcast. Every element is summed from the first k to the last.
func matMul(a, b array, shape []int) array {
	out := newArray(floats, shape)
	if len(out.f) == 0 || len(a.f) == 0 {
		return out
	}
	m, k := a.shape[len(a.shape)-2], a.shape[len(a.shape)-1]
	n := shape[len(shape)-1]
	lead := shape[:len(shape)-2]
	if len(b.shape) == 2 { // one b for all rows of a
		m, lead = len(a.f)/k, nil
	}
	matrices, _ := format.Elements(lead)
	left, right := make([]int, matrices), make([]int, matrices)
	if lead != nil {
		toLeft, toRight := places(a.shape[:len(a.shape)-2], lead), places(b.shape[:len(b.shape)-2], lead)
		for i := range matrices {
			left[i], right[i] = toLeft(i), toRight(i)
		}
	}
	rows, columns := (m+rowBlock-1)/rowBlock, (n+columnBlock-1)/columnBlock
	blocks := rows * columns
	parallel(matrices*blocks, func(i int) {
		matrix, block := i/blocks, i%blocks
		top, first := block%rows*rowBlock, block/rows*columnBlock
		bottom, last := min(top+rowBlock, m), min(first+columnBlock, n)
		x := a.f[left[matrix]*m*k:][:m*k]
		y := b.f[right[matrix]*k*n:][:k*n]
		z := out.f[matrix*m*n:][:m*n]
		if bottom-top < rowBlock {
			for r := top; r < bottom; r++ {
				addRow(z[r*n+first:r*n+last], x[r*k:(r+1)*k], y, n, first)
			}
			return
		}
		add4Rows(z, x, y, k, n, top, first, last)
	})
	return out
}

// addRow adds to a part of one row of the product, which begins at column left.
func addRow(z, x, y []float64, n, left int) {
	for k, f := range x {
		for j, v := range y[k*n+left:][:len(z)] {
			z[j] += f * v
		}
	}
}

// add4Rows does for rowBlock rows together what addRow does for one: a row of
// y is read once instead of four times.
func add4Rows(z, x, y []float64, k, n, top, left, right int) {
	w := right - left
	z0, z1 := z[(top+0)*n+left:][:w], z[(top+1)*n+left:][:w]
	z2, z3 := z[(top+2)*n+left:][:w], z[(top+3)*n+left:][:w]
	x0, x1 := x[(top+0)*k:][:k], x[(top+1)*k:][:k]
	x2, x3 := x[(top+2)*k:][:k], x[(top+3)*k:][:k]
	for i := range k {
		f0, f1, f2, f3 := x0[i], x1[i], x2[i], x3[i]
		for j, v := range y[i*n+left:][:w] {
			z0[j] += f0 * v
			z1[j] += f1 * v
			z2[j] += f2 * v
			z3[j] += f3 * v
		}
	}
}
