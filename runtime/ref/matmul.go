package ref

import "github.com/attnx/attnx/format"

// fewRows is the number of rows below which packing the right matrix does not pay
// off.
const fewRows = 4

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
	each, tileOf := tiles(m, n)
	parallel(matrices*each, func(i int) {
		matrix, t := i/each, tileOf(i%each)
		x := a.f[left[matrix]*m*k:][:m*k]
		y := b.f[right[matrix]*k*n:][:k*n]
		z := out.f[matrix*m*n:][:m*n]
		if m < fewRows {
			for r := range m {
				addRow(z[r*n+t.left:r*n+t.right], x[r*k:(r+1)*k], y, n, t.left)
			}
			return
		}
		t.add(z, n, x, k, rowsOf(y, n))
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
