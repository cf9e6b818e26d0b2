package exponential

import "golang.org/x/sys/cpu"

var hasFMA = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// exp8 replaces n numbers, a positive multiple of 8, by their exponential:
// with AVX2, by the same formula as exp32 in single precision.
//
//go:noescape
func exp8(n int, x *float32)

// expSum8 adds the exponentials of n numbers less top, a positive multiple of 8, to the
// eight sums in turn. Below -86 they count as that of -86.
//
//go:noescape
func expSum8(n int, x *float32, top float32, sums *[8]float32)

// max8 raises the eight numbers in turn to the largest of n, a positive multiple of 8.
//
//go:noescape
func max8(n int, x *float32, top *[8]float32)

// all replaces every number by its exponential: 0 below -86 and +Inf
// above 88.37.
func all(x []float32) {
	if !hasFMA {
		each(x)
		return
	}
	whole := len(x) &^ 7
	if whole > 0 {
		exp8(whole, &x[0])
	}
	if rest := x[whole:]; len(rest) > 0 {
		// Use the same instructions as for the others: the exponential of a
		// number must not depend on its place.
		var last [8]float32
		copy(last[:], rest)
		exp8(8, &last[0])
		copy(rest, last[:])
	}
}

// largest returns the largest number, -Inf if there is none. It may pass over a NaN.
func largest(x []float32) float32 {
	if !hasFMA {
		return largestEach(x)
	}
	whole := len(x) &^ 7
	top := largestEach(x[whole:])
	if whole > 0 {
		eight := [8]float32(x)
		max8(whole, &x[0], &eight)
		top = max(top, largestEach(eight[:]))
	}
	return top
}

// sumOf returns the sum of the exponentials of the numbers less top, of which none is larger.
func sumOf(x []float32, top float32) (sum float64) {
	if !hasFMA {
		return sumEach(x, top)
	}
	for len(x) >= 8 {
		n := min(len(x)&^7, 256) // more are added in double precision
		var eight [8]float32
		expSum8(n, &x[0], top, &eight)
		for _, v := range eight {
			sum += float64(v)
		}
		x = x[n:]
	}
	return sum + sumEach(x, top)
}
