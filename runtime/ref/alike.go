package ref

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// halvings are the grids of partial sums that alikeError looks at: that of the whole
// sum, and those of its half, quarter and so on, which fewer and fewer steps use.
const halvings = 5

// alikeError is the error of a sum of terms that round alike. A partial sum lies on the grid of
// its type, so what rounding adds depends on the term alone, and on the grid. Terms
// that differ round as if by chance, which sumError says. Equal ones are off by
// the same amount in each step: the sum of n is off by n times that, not √n times.
//
// errors holds, for each grid, the sum over the terms of what one step adds. Half
// the grid serves half the steps. The largest counts, since the order is not known.
func alikeError(errors *[halvings]float64) float64 {
	most := 0.0
	for i, e := range errors {
		most = max(most, math.Abs(math.Ldexp(e, -i)))
	}
	return most
}

// gridOf returns the distance of the numbers around y, with the unit roundoff u; 0
// has none.
func gridOf(y, u float64) float64 {
	if y == 0 {
		return 0
	}
	_, exponent := math.Frexp(y)
	return math.Ldexp(u, exponent) // in [2ᵉ⁻¹, 2ᵉ) it is 2u·2ᵉ⁻¹
}

// stepErrors adds what a step that adds the term v adds to a sum's error: on the grid of
// the sum, and on those of its halves.
func stepErrors(errors *[halvings]float64, v, grid float64) {
	if v == 0 || !(grid > 0) {
		return
	}
	for i := range errors {
		errors[i] += stepError(v, grid)
		grid /= 2
	}
}

// stepError is what rounding a term to a grid adds.
func stepError(v, grid float64) float64 { return math.RoundToEven(v/grid)*grid - v }

// alikeErrors returns alikeError for sums over axes.
func alikeErrors(x array, axes []int, sums []float64, u float64) []float64 {
	kept := append([]int(nil), x.shape...)
	for _, axis := range axes {
		kept[axis] = 1
	}
	errors := make([][halvings]float64, len(sums))
	grids := make([]float64, len(sums))
	for i, y := range sums {
		grids[i] = gridOf(y, u)
	}
	for i, at := range spread(kept, x.shape).all() {
		stepErrors(&errors[at], x.f[i], grids[at])
	}
	out := make([]float64, len(sums))
	for i := range out {
		out[i] = alikeError(&errors[i])
	}
	return out
}

// alikeInRow returns alikeError for the sum of a row, and for that of its squares.
func alikeInRow(x []float64, sum, squares, u float64) (ofSum, ofSquares float64) {
	var a, b [halvings]float64
	own, square := gridOf(sum, u), gridOf(squares, u)
	for _, v := range x {
		stepErrors(&a, v, own)
		stepErrors(&b, v*v, square)
	}
	return alikeError(&a), alikeError(&b)
}

// alikeReduced adds to the slip of a reduction, a sum or a mean, what terms that
// round alike bring.
func alikeReduced(s slip, op graph.Reduce, x, out array, n int, u units) {
	if n < 3 {
		return
	}
	sums, count := out.f, 1.0
	if op.Kind == graph.ReduceMean {
		count = float64(n)
		sums = mapped(out, func(v float64) float64 { return v * count }).f
	}
	for i, e := range alikeErrors(x, op.Axes, sums, u.sums) {
		s.deviation[i] = max(s.deviation[i], e/count*uniform)
	}
}
