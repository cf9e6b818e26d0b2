package ref

import (
	"math"
	"slices"
	"sync"

	"github.com/attnx/attnx/model/graph"
)

// nearlyEqual is the ratio of n times a sum of squares to the square of the sum, up to which
// n terms may be so much alike that they round alike: by Cauchy and Schwarz it is 1 for
// equal ones, and for terms that scatter by a share s it is 1+s². In float32 thousands of
// terms round as if by chance from s = 10⁻³ on; the sums of squares have seven digits.
const nearlyEqual = 1 + 1e-5

// alikeTerms adds to the slip of sums of n products what terms that round alike bring.
// Rounding each term on the grid of each sum would cost many times the products, so
// it looks only where their squares show that all are nearly equal, or where one factor is known to
// be the same in all of them. terms sets to to the terms of element i.
func alikeTerms(s slip, out array, squares []float64, n int, u units, same func(i int) bool, terms func(i int, to []float64)) {
	if n < 3 {
		return
	}
	inParts(len(out.f), 2, func(from, to int) {
		var of []float64
		for i := from; i < to; i++ {
			y := out.f[i]
			if !(float64(n)*squares[i] <= nearlyEqual*y*y) && !same(i) || y == 0 {
				continue
			}
			if of == nil {
				of = make([]float64, n)
			}
			terms(i, of)
			grid := gridOf(y, u.sums)
			var errors [halvings]float64
			for _, v := range of {
				stepErrors(&errors, v, grid)
			}
			s.deviation[i] = max(s.deviation[i], alikeError(&errors)*uniform)
		}
	})
}

// alikeMatMul is alikeTerms for the product of a (...,M,K) and b (...,K,N).
func alikeMatMul(s slip, a, b, out array, squares []float64, u units) {
	if len(out.f) == 0 || len(a.f) == 0 {
		return
	}
	m, k, n := out.shape[len(out.shape)-2], a.shape[len(a.shape)-1], out.shape[len(out.shape)-1]
	lead := out.shape[:len(out.shape)-2]
	toLeft, toRight := places(a.shape[:len(a.shape)-2], lead), places(b.shape[:len(b.shape)-2], lead)
	at := func(matrix, i, j int) float64 {
		from := matrix * k * n
		if b.turned {
			i, j, from = j, i, from+j*k+i
		} else {
			from += i*n + j
		}
		if b.s != nil {
			return float64(b.s[from])
		}
		return b.f[from]
	}
	same := make([]bool, n) // columns of the only right matrix whose elements are equal
	if len(b.shape) == 2 {
		for j := range same {
			i := 1
			for ; i < k && at(0, i, j) == at(0, 0, j); i++ {
			}
			same[j] = i == k
		}
	}
	alikeTerms(s, out, squares, k, u, func(i int) bool { return same[i%n] }, func(i int, to []float64) {
		matrix := i / (m * n)
		row, right := a.f[(toLeft(matrix)*m+i/n%m)*k:][:k], toRight(matrix)
		for t, x := range row {
			to[t] = x * at(right, t, i%n)
		}
	})
}

// alikeConv is alikeTerms for a convolution.
func alikeConv(s slip, op graph.Conv, c call, out array, squares []float64, u units) {
	x, w := c.args[0].wide(), c.args[1].wide()
	if len(out.f) == 0 {
		return
	}
	slide := newWindows(x.shape[2:], out.shape[2:], w.shape[2:], op.Strides, op.Pads, op.Dilations)
	plane, places, channels := slide.plane(), slide.places(), w.shape[1]
	m, k := out.shape[1]/op.Group, len(w.f)/out.shape[1]
	same := make([]bool, out.shape[1])
	for o := range same {
		i, of := 1, w.f[o*k:][:k]
		for ; i < k && of[i] == of[0]; i++ {
		}
		same[o] = i == k
	}
	memory := sync.Pool{New: func() any { return new([]float64) }}
	alikeTerms(s, out, squares, k, u, func(i int) bool { return same[i/places%out.shape[1]] }, func(i int, to []float64) {
		image, o, place := i/places/out.shape[1], i/places%out.shape[1], i%places
		held := memory.Get().(*[]float64)
		defer memory.Put(held)
		if *held == nil {
			*held = make([]float64, k*panelWidth)
		}
		window := *held
		slide.columns(x.f[(image*x.shape[1]+o/m*channels)*plane:][:channels*plane])(window, 0, k, place, place+1)
		for t, v := range w.f[o*k:][:k] {
			to[t] = v * window[t*panelWidth]
		}
	})
}

// alikeCumSum is alikeError for the sums of the first terms of a line.
func alikeCumSum(s slip, op graph.CumSum, x, out array, u units) {
	n, step := x.shape[op.Axis], whole(x.shape).stride[op.Axis]
	if n < 3 {
		return
	}
	inLines(len(x.f)/n, 16*n, func(line int) {
		first, next := line/step*step*n+line%step, step
		if op.Reverse {
			first, next = first+(n-1)*step, -step
		}
		type sum struct{ grid, error float64 } // what the steps so far add on a grid
		var sums []sum
		for j := range n {
			at := first + j*next
			if own := gridOf(out.f[at], u.sums); own > 0 && !math.IsInf(own, 0) {
				count := j // of terms
				if !op.Exclusive {
					count++
				}
				var errors [halvings]float64
				for h := range errors {
					grid := math.Ldexp(own, -h)
					known := slices.IndexFunc(sums, func(s sum) bool { return s.grid == grid })
					if known < 0 {
						known = len(sums)
						sums = append(sums, sum{grid: grid})
						for i := range j {
							sums[known].error += stepError(x.f[first+i*next], grid)
						}
					}
					errors[h] = sums[known].error
					if count > j {
						errors[h] += stepError(x.f[at], grid)
					}
				}
				s.deviation[at] = max(s.deviation[at], alikeError(&errors)*uniform)
			}
			for i := range sums {
				sums[i].error += stepError(x.f[at], sums[i].grid)
			}
		}
	})
}
