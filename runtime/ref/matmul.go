package ref

import (
	"math"
	"sync/atomic"

	"github.com/attnx/attnx/format"
)

// matMul returns a (...,M,K) times b (...,K,N), whose leading dimensions
// broadcast. Every element is summed from the first k to the last. b may be a matrix
// of weights as it is.
func matMul(a, b array, shape []int) array { return termSums(a, b, shape, false) }

// squaresOfTerms returns the sums of the squares of the terms that matMul adds. b is
// squared as it is packed: a copy would take as much memory as the weights in float64.
// With one b for all rows the sums are computed in float32, whose digits are enough.
func squaresOfTerms(a, b array, shape []int) array {
	if len(b.shape) == 2 && len(a.f) > 0 {
		if out, ok := singleSquares(a, b, shape); ok {
			return out
		}
	}
	return termSums(mapped(a, square), b, shape, true)
}

// singleSquares is squaresOfTerms in float32. The rows of a are scaled by a power of two. ok is
// false if squares of b are too large or too small for the type.
func singleSquares(a, b array, shape []int) (out array, ok bool) {
	out = newArray(floats, shape)
	k, n := a.shape[len(a.shape)-1], shape[len(shape)-1]
	rows := len(a.f) / k
	scales := make([]float64, rows)
	var bad atomic.Bool
	singleProduct(rows, k, n, squared(b.singles(k, n)), func(r int, x []float32) {
		row := a.f[r*k:][:k]
		most := 0.0
		for _, v := range row {
			most = max(most, math.Abs(v)) // NaN stays
		}
		scales[r] = powerBelow(most)
		for i, v := range row {
			x[i] = float32(square(v * scales[r]))
		}
	}, func(r int, z []float32) {
		if scales[r] == 0 { // a row of zeros
			return
		}
		back := 1 / square(scales[r])
		to := out.f[r*n:][:n]
		for j, v := range z {
			if !(v > leastSquares && v <= math.MaxFloat32) {
				bad.Store(true)
			}
			to[j] = float64(v) * back
		}
	})
	return out, !bad.Load()
}

// leastSquares is the smallest sum of squares that float32 holds with enough digits.
const leastSquares = 0x1p-100

// powerBelow returns the power of two that brings a number to between 1/2 and 1; 0 for
// 0, and 1 for what is not finite.
func powerBelow(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 1
	}
	if x == 0 {
		return 0
	}
	_, exponent := math.Frexp(x)
	return math.Ldexp(1, min(max(-exponent, -1000), 1000))
}

// singleProduct computes in float32 the product of rows of k elements with a matrix of n columns.
// load sets a row, store receives a row of the product: rows go through memory of a
// bounded size.
func singleProduct(rows, k, n int, pack packerOf[float32], load func(row int, x []float32), store func(row int, z []float32)) {
	part := min(rows, max(singleRows/8, 1<<23/max(1, k+n)/singleRows*singleRows))
	if part == 0 || n == 0 {
		return
	}
	x, z := make([]float32, part*k), make([]float32, part*n)
	for from := 0; from < rows; from += part {
		count := min(part, rows-from)
		inLines(count, k, func(r int) { load(from+r, x[r*k:][:k]) })
		clear(z)
		each, tileOf := tilesOf(count, n, singleRows)
		inLines(each, min(count, singleRows)*min(n, packWidth)*k/4, func(i int) {
			addTile(tileOf(i), z[:count*n], n, x[:count*k], k, pack)
		})
		inLines(count, n, func(r int) { store(from+r, z[r*n:][:n]) })
	}
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
			pack = squared(pack)
		}
		addTile(t, z, n, x, k, pack)
	})
	return out
}

// packer returns the packer of the matrix of k rows and n columns at element at.
func (a array) packer(at, k, n int) packer { return packerFor[float64](a, at, k, n) }

// singles returns the packer in float32 of a matrix of k rows and n columns.
func (a array) singles(k, n int) packerOf[float32] { return packerFor[float32](a, 0, k, n) }

func packerFor[E element](a array, at, k, n int) packerOf[E] {
	switch {
	case a.s != nil && a.turned:
		return packColumns[E](a.s[at:][:k*n], k)
	case a.s != nil:
		return packRows[E](a.s[at:][:k*n], n)
	case a.turned:
		return packColumns[E](a.f[at:][:k*n], k)
	}
	return packRows[E](a.f[at:][:k*n], n)
}

// squared returns the packer of the squares of a matrix.
func squared[E element](p packerOf[E]) packerOf[E] {
	_, width, _ := multiplier[E]()
	return func(to []E, k0, k1, j0, j1 int) {
		p(to, k0, k1, j0, j1)
		panels := (j1 - j0 + width - 1) / width
		for i, v := range to[:panels*width*(k1-k0)] {
			to[i] = v * v
		}
	}
}
