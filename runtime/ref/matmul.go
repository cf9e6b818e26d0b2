package ref

import "github.com/attnx/attnx/format"

// matMul returns a (...,M,K) times b (...,K,N), whose leading dimensions
// broadcast. Every element is summed from the first k to the last. b may be a matrix
// of weights as it is.
func matMul(a, b array, shape []int) array { return termSums(a, b, shape, false) }

// squaresOfTerms returns the sums of the squares of the terms that matMul adds. b is
// squared as it is packed: a copy would take as much memory as the weights in float64.
func squaresOfTerms(a, b array, shape []int) array {
	return termSums(mapped(a, square), b, shape, true)
}

func termSums(a, b array, shape []int, squares bool) array {
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
	inLines(matrices*each, min(m, tileRows)*min(n, packWidth)*k/4, func(i int) {
		matrix, t := i/each, tileOf(i%each)
		x := a.f[left[matrix]*m*k:][:m*k]
		z := out.f[matrix*m*n:][:m*n]
		pack := b.packer(right[matrix]*k*n, k, n)
		if squares {
			pack = pack.squared()
		}
		t.add(z, n, x, k, pack)
	})
	return out
}

// packer returns the packer of the matrix of k rows and n columns at element at.
func (a array) packer(at, k, n int) packer {
	switch {
	case a.s != nil && a.turned:
		return columnsOf(a.s[at:][:k*n], k)
	case a.s != nil:
		return rowsOf(a.s[at:][:k*n], n)
	case a.turned:
		return columnsOf(a.f[at:][:k*n], k)
	}
	return rowsOf(a.f[at:][:k*n], n)
}

// squared returns the packer of the squares of a matrix.
func (p packer) squared() packer {
	return func(to []float64, k0, k1, j0, j1 int) {
		p(to, k0, k1, j0, j1)
		panels := (j1 - j0 + panelWidth - 1) / panelWidth
		for i, v := range to[:panels*panelWidth*(k1-k0)] {
			to[i] = v * v
		}
	}
}
