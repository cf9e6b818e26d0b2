package model

import (
	"hash/fnv"
	"math"
	"math/bits"
)

// Stream is a sequence of random numbers. Number i depends only on seed, name
// and i. There is no state, so a resumed run needs no history, and numbers can
// be drawn in any order or in parallel.
//
// The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). The seed is its key. Its 128-bit
// counter holds the index in the low half and a hash of the name in the high
// half, so two streams of one seed share no block unless their names' 64-bit
// hashes are equal. It is not for secrets.
//
// All methods read the same bits: Uint32(2i) and Uint32(2i+1) are the halves
// of Uint64(i). To avoid such overlaps give each purpose its own name and use
// one method for it.
//
// Every number has the same bits on every platform. Floating-point results use
// only +, -, *, / and square root. Each product is converted to float64 before
// an addition, which according to the Go specification prevents fusing the
// two. math.Log, Sin and Cos are not used: some platforms implement them in
// assembly, and others fuse operations in them.
type Stream struct {
	seed, name uint64
}

// NewStream returns the stream of the given name under seed.
func NewStream(seed uint64, name string) Stream {
	h := fnv.New64a()
	h.Write([]byte(name)) // Write of a hash never fails
	return Stream{seed: seed, name: h.Sum64()}
}

// Uint32 returns the i-th number, uniform over all 32-bit values.
func (s Stream) Uint32(i uint64) uint32 { return s.block(i / 4)[i%4] }

// Block returns Uint32(4i) to Uint32(4i+3) at once.
func (s Stream) Block(i uint64) [4]uint32 { return s.block(i) }

// Uint64 returns the i-th number, uniform over all 64-bit values.
func (s Stream) Uint64(i uint64) uint64 {
	b := s.block(i / 2)
	return join(b[i%2*2], b[i%2*2+1])
}

// Float64 returns the i-th number, uniform over the multiples of 2^-53 in [0,1).
func (s Stream) Float64(i uint64) float64 { return float64(s.Uint64(i)>>11) * 0x1p-53 }

// IntN returns the i-th number, uniform over 0 to n-1, or 0 if n is less than
// 1. It is the high half of n times a 64-bit number (Lemire, arXiv:1805.10941,
// without the rejection, so that one index costs one draw): the probability of
// each value is within 2^-64 of 1/n.
func (s Stream) IntN(i uint64, n int) int {
	if n < 1 {
		return 0
	}
	hi, _ := bits.Mul64(s.Uint64(i), uint64(n))
	return int(hi)
}

// Normal returns the i-th number of the standard normal distribution, by the
// Box-Muller transform (1958). Its magnitude is at most sqrt(2·53·ln 2), about
// 8.57.
func (s Stream) Normal(i uint64) float64 {
	return s.normals(i / 2)[i%2]
}

// FillNormal sets dst[i] to std times Normal(i), rounded to float32.
func (s Stream) FillNormal(dst []float32, std float64) {
	for i := 0; i < len(dst); i += 2 {
		pair := s.normals(uint64(i) / 2)
		dst[i] = float32(std * pair[0])
		if i+1 < len(dst) {
			dst[i+1] = float32(std * pair[1])
		}
	}
}

// normals returns the numbers 2i and 2i+1 of Normal: sqrt(-2 ln u) times
// cos 2πv and sin 2πv, where u in (0,1] and v in [0,1) have 53 bits each.
func (s Stream) normals(i uint64) [2]float64 {
	b := s.block(i)
	u := float64(join(b[0], b[1])>>11+1) * 0x1p-53
	radius := math.Sqrt(-2 * logOf(u)) // Sqrt is exactly rounded everywhere
	sin, cos := sinCosTurn(join(b[2], b[3]) >> 11)
	return [2]float64{float64(radius * cos), float64(radius * sin)}
}

func join(lo, hi uint32) uint64 { return uint64(hi)<<32 | uint64(lo) }

// block returns the 128 bits at index i of the stream.
func (s Stream) block(i uint64) [4]uint32 {
	return philox([4]uint32{uint32(i), uint32(i >> 32), uint32(s.name), uint32(s.name >> 32)},
		[2]uint32{uint32(s.seed), uint32(s.seed >> 32)})
}

// Constants of Philox4x32: section 4.3 of the paper, table 2 for the multipliers.
const (
	philoxRounds = 10
	philoxM0     = 0xD2511F53
	philoxM1     = 0xCD9E8D57
	philoxW0     = 0x9E3779B9 // the golden ratio
	philoxW1     = 0xBB67AE85 // sqrt(3) - 1
)

// philox is the Philox4x32-10 bijection of ctr under key.
func philox(ctr [4]uint32, key [2]uint32) [4]uint32 {
	c0, c1, c2, c3 := ctr[0], ctr[1], ctr[2], ctr[3]
	k0, k1 := key[0], key[1]
	for range philoxRounds {
		a := uint64(philoxM0) * uint64(c0)
		b := uint64(philoxM1) * uint64(c2)
		c0, c1, c2, c3 = uint32(b>>32)^c1^k0, uint32(b), uint32(a>>32)^c3^k1, uint32(a)
		k0 += philoxW0
		k1 += philoxW1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// logOf returns the natural logarithm of x, a positive normal number. With x =
// f·2^e, f in [√½, √2) and s = (f-1)/(f+1), it is e·ln 2 + 2(s + s³/3 + s⁵/5 +
// …). Because |s| ≤ 0.1716, the first omitted term, s²³/23, is below 2^-60 of
// the sum.
func logOf(x float64) float64 {
	f, e := math.Frexp(x) // exact
	if f < math.Sqrt2/2 {
		f, e = 2*f, e-1
	}
	s := (f - 1) / (f + 1)
	z := float64(s * s)
	return float64(float64(e)*math.Ln2) + float64(2*s*horner(z, logSeries[:]))
}

// sinCosTurn returns the sine and cosine of k·2^-53 turns, k below 2^53. The
// top three bits of k are exactly the octant. The rest, at most π/4, goes
// through Taylor series whose first omitted terms are below 2^-58.
func sinCosTurn(k uint64) (sin, cos float64) {
	octant, rest := k>>50, k&(1<<50-1)
	if octant%2 == 1 { // measure from the end of the octant
		rest = 1<<50 - rest
	}
	x := float64(rest) * (math.Pi / 4 * 0x1p-50)
	z := float64(x * x)
	s := float64(horner(z, sinSeries[:]) * x)
	c := horner(z, cosSeries[:])
	if octant%2 == 1 {
		s = -s
	}
	switch (octant + 1) / 2 % 4 { // the quarter turn from which x is measured
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}

// Series of the functions above in z, the square of their argument, highest
// power first.
var (
	logSeries = [11]float64{1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1}
	sinSeries = [9]float64{1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
		1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6, 1}
	cosSeries = [9]float64{1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800,
		1.0 / 40320, -1.0 / 720, 1.0 / 24, -1.0 / 2, 1}
)

// horner evaluates a polynomial at z and rounds each product before the sum.
func horner(z float64, coefficients []float64) float64 {
	p := 0.0
	for _, c := range coefficients {
		p = float64(p*z) + c
	}
	return p
}
