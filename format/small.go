package format

import (
	"math"
	"sort"
)

// smallFloat is a floating-point type of at most 8 bits, as a table of its
// values.
type smallFloat struct {
	values [256]float64 // by bits; NaN where the bits are not a number
	last   int          // bits of the largest finite number; values ascend up to it
	sign   int          // sign bit; 0 for an unsigned type
	over   int          // bits for overflow: infinity, NaN or the largest number
	nan    int          // bits for NaN
}

// noMinusZero reports whether the bits of negative zero mean NaN.
func (s *smallFloat) noMinusZero() bool { return s.nan == s.sign && s.over == s.nan }

// smallFloats holds the OCP types and those without a negative zero
// (arXiv:2209.05433, arXiv:2206.02915).
var smallFloats = map[DType]*smallFloat{
	Float8E4M3FN:   newSmallFloat(4, 3, 7, 0x7e, 0x7f, 0x7f),
	Float8E4M3FNUZ: newSmallFloat(4, 3, 8, 0x7f, 0x80, 0x80),
	Float8E5M2:     newSmallFloat(5, 2, 15, 0x7b, 0x7c, 0x7f),
	Float8E5M2FNUZ: newSmallFloat(5, 2, 16, 0x7f, 0x80, 0x80),
	Float8E8M0:     newPowers(),
	Float4E2M1:     newSmallFloat(2, 1, 1, 7, 7, 8), // NaN becomes -0
}

// newSmallFloat returns a signed type with the given bits of exponent and
// fraction.
func newSmallFloat(exponentBits, fractionBits, bias, last, over, nan int) *smallFloat {
	s := &smallFloat{last: last, sign: 1 << (exponentBits + fractionBits), over: over, nan: nan}
	for i := range s.values {
		magnitude := i & (s.sign - 1)
		e, fraction := magnitude>>fractionBits, magnitude&(1<<fractionBits-1)
		v := math.Ldexp(float64(fraction), 1-bias-fractionBits) // subnormal
		if e > 0 {
			v = math.Ldexp(float64(1<<fractionBits+fraction), e-bias-fractionBits)
		}
		switch {
		case magnitude > last && magnitude == over && over != nan:
			v = math.Inf(1)
		case magnitude > last, i == nan && s.noMinusZero():
			v = math.NaN()
		}
		if i&s.sign != 0 {
			v = -v
		}
		s.values[i] = v
	}
	return s
}

// newPowers returns the type of the powers of two from -127 to 127, which has
// no sign and no zero.
func newPowers() *smallFloat {
	s := &smallFloat{last: 254, over: 255, nan: 255}
	for i := range s.values {
		s.values[i] = math.Ldexp(1, i-127)
	}
	s.values[255] = math.NaN()
	return s
}

func (s *smallFloat) widen(b []byte) float64 { return s.values[b[0]] }

// narrow writes x, rounded to nearest, ties to even, and returns its value.
func (s *smallFloat) narrow(x float64, b []byte) float64 {
	bits := s.nearest(math.Abs(x))
	switch {
	case math.IsNaN(x):
		bits = s.nan
	case !math.Signbit(x):
	case s.sign == 0:
		bits = s.nan // a power of two is not negative
	case bits == 0 && s.noMinusZero(): // the type has no negative zero
	default:
		bits |= s.sign
	}
	b[0] = byte(bits)
	return s.values[bits]
}

// nearest returns the bits of the value nearest to x, which must not be
// negative.
func (s *smallFloat) nearest(x float64) int {
	above := sort.Search(s.last+1, func(i int) bool { return s.values[i] >= x })
	switch {
	case above == 0:
		return 0
	case above > s.last:
		// The next number beyond the largest would be one more such step away.
		step := s.values[s.last] - s.values[s.last-1]
		if d := x - s.values[s.last]; d > step/2 || d == step/2 && s.last%2 == 1 || math.IsInf(x, 1) {
			return s.over
		}
		return s.last
	}
	down, up := x-s.values[above-1], s.values[above]-x
	if down < up || down == up && above%2 == 1 {
		return above - 1
	}
	return above
}
