package gorgonia

// exp8 replaces n numbers, a positive multiple of 8, by their exponential:
// with AVX2, by the same formula as exp32 in single precision.
//
//go:noescape
func exp8(n int, x *float32)

// expAll replaces every number by its exponential: 0 below -86 and +Inf
// above 88.37.
func expAll(x []float32) {
	if !hasFMA() {
		expEach(x)
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
