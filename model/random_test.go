package model

import (
	"math"
	"slices"
	"testing"
)

// The lines "philox4x32 10" of tests/kat_vectors in Random123 1.14
// (DEShawResearch/random123): counter, key, result.
func TestPhiloxKnownAnswers(t *testing.T) {
	const all = math.MaxUint32
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{all, all, all, all}, [2]uint32{all, all}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(c.ctr, c.key); got != c.want {
			t.Errorf("philox(%08x, %08x) = %08x, want %08x", c.ctr, c.key, got, c.want)
		}
	}
}

// The layout of seed, name and index is part of every saved run: a change of
// it changes all batches and initial weights. FNV-1a of "a" is af63dc4c8601ec8c
// (IETF draft-eastlake-fnv, test vectors).
func TestStreamLayout(t *testing.T) {
	const seed, index = 0x1122334455667788, 0x0102030405060708
	want := philox([4]uint32{index & math.MaxUint32, index >> 32, 0x8601ec8c, 0xaf63dc4c}, [2]uint32{seed & math.MaxUint32, seed >> 32})
	s := NewStream(seed, "a")
	for i, w := range want {
		if got := s.Uint32(4*index + uint64(i)); got != w {
			t.Errorf("word %d of the block is %08x, want %08x", i, got, w)
		}
	}
	if got, w := s.Uint64(2*index+1), uint64(want[3])<<32|uint64(want[2]); got != w {
		t.Errorf("Uint64 = %016x, want %016x", got, w)
	}
}

func TestStreamsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for _, name := range []string{"", "a", "b", "wte.weight", "wpe.weight"} {
		for seed := range uint64(3) {
			for i := range uint64(100) {
				x := NewStream(seed, name).Uint64(i)
				if other, ok := seen[x]; ok {
					t.Fatalf("number %d of %q under seed %d was seen in %s", i, name, seed, other)
				}
				seen[x] = name
			}
		}
	}
}

// The bound is the 1 - 1e-6 quantile of chi-square with 9 degrees of freedom
// (46.0, any table); the seed is fixed, so the test cannot flicker.
func TestIntNIsUniform(t *testing.T) {
	const n, draws = 10, 100000
	s := NewStream(1, "intn")
	var count [n]int
	for i := range uint64(draws) {
		count[s.IntN(i, n)]++
	}
	chi := 0.0
	for _, c := range count {
		d := float64(c) - draws/n
		chi += d * d / (draws / n)
	}
	if chi > 46.0 {
		t.Errorf("chi-square is %.1f with counts %v", chi, count)
	}
	if zero, negative := s.IntN(3, 0), s.IntN(3, -5); zero != 0 || negative != 0 {
		t.Errorf("IntN of 0 and -5 are %d and %d, want 0", zero, negative)
	}
	if got := s.IntN(3, math.MaxInt); got < 0 {
		t.Errorf("IntN(MaxInt) is %d", got)
	}
}

// The distance of Kolmogorov and Smirnov stays below 2.7/√n except once in a
// million samples: P(√n·D > x) is about 2·exp(-2x²).
func kolmogorov(t *testing.T, name string, sample []float64, cdf func(float64) float64) {
	t.Helper()
	slices.Sort(sample)
	n := float64(len(sample))
	distance := 0.0
	for i, x := range sample {
		p := cdf(x)
		distance = max(distance, p-float64(i)/n, float64(i+1)/n-p)
	}
	if limit := 2.7 / math.Sqrt(n); distance > limit {
		t.Errorf("%s: the distribution is off by %.5f, limit %.5f", name, distance, limit)
	}
}

func TestDistributions(t *testing.T) {
	const n = 200000
	s := NewStream(7, "distribution")
	uniform, normal := make([]float64, n), make([]float64, n)
	product, squares := 0.0, 0.0
	for i := range uint64(n) {
		uniform[i], normal[i] = s.Float64(i), s.Normal(i)
		squares += normal[i] * normal[i]
		if i%2 == 1 {
			product += normal[i] * normal[i-1]
		}
	}
	// The mean of n/2 products of independent normals has deviation √(2/n).
	if r := product / (n / 2); math.Abs(r) > 5*math.Sqrt(2.0/n) {
		t.Errorf("the two numbers of a block correlate: %.4f", r)
	}
	// The mean of n squares is 1 with deviation √(2/n).
	if v := squares / n; math.Abs(v-1) > 5*math.Sqrt(2.0/n) {
		t.Errorf("the variance is %.4f, want 1", v)
	}
	kolmogorov(t, "Float64", uniform, func(x float64) float64 { return x })
	kolmogorov(t, "Normal", normal, func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 })
	if uniform[0] < 0 || uniform[n-1] >= 1 {
		t.Errorf("Float64 leaves [0,1): %g to %g", uniform[0], uniform[n-1])
	}
}

// Two roundings of a result below 10 leave 4e-15 at most between our series
// and Go's math library, which is a different algorithm.
func TestLogSinCos(t *testing.T) {
	s := NewStream(3, "arguments")
	for i := range uint64(100000) {
		u := (float64(s.Uint64(i)>>11) + 1) * 0x1p-53
		if i < 60 {
			u = math.Ldexp(1, -int(i)/2) // 1 and the powers of two, where the octants and exponents change
		}
		if got, want := logOf(u), math.Log(u); math.Abs(got-want) > 4e-15*max(1, math.Abs(want))/4 {
			t.Fatalf("log %g = %g, want %g", u, got, want)
		}
		k := s.Uint64(i) >> 11
		if i < 64 {
			k = (i%8)<<50 + []uint64{0, 1, 1<<50 - 1, 1 << 49, 1<<49 + 1, 3, 1 << 20, 1 << 48}[i/8]
		}
		turn := 2 * math.Pi * (float64(k) * 0x1p-53)
		sin, cos := sinCosTurn(k)
		if math.Abs(sin-math.Sin(turn)) > 1e-15 || math.Abs(cos-math.Cos(turn)) > 1e-15 {
			t.Fatalf("sin, cos of %g = %g, %g, want %g, %g", turn, sin, cos, math.Sin(turn), math.Cos(turn))
		}
	}
}

func TestFillNormal(t *testing.T) {
	s := NewStream(5, "fill")
	for _, n := range []int{0, 1, 2, 7} {
		got := make([]float32, n)
		s.FillNormal(got, 0.02)
		for i, x := range got {
			if want := float32(0.02 * s.Normal(uint64(i))); x != want {
				t.Errorf("fill of %d: number %d is %g, want %g", n, i, x, want)
			}
		}
	}
}

func BenchmarkFillNormal(b *testing.B) {
	dst := make([]float32, 1<<16)
	b.SetBytes(int64(len(dst)) * 4)
	for b.Loop() {
		NewStream(1, "w").FillNormal(dst, 0.02)
	}
}
