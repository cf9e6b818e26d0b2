package exponential

import (
	"math"
	"testing"
)

func TestExp(t *testing.T) {
	for name, exp := range map[string]func([]float32){"best": all, "plain Go": each} {
		t.Run(name, func(t *testing.T) {
			var x []float32
			for v := float32(-100); v < 88.3; v += 0.0137 {
				x = append(x, v)
			}
			x = append(x, 0, 1, -1e9, float32(math.Inf(-1)), 1e9, float32(math.Inf(1)), float32(math.NaN()))
			got := append([]float32(nil), x...)
			exp(got)
			for i, v := range x {
				want := math.Exp(float64(v))
				switch g := float64(got[i]); {
				case v != v:
					if g == g {
						t.Errorf("exp(NaN) = %g", g)
					}
				case v > 89:
					if !math.IsInf(g, 1) {
						t.Errorf("exp(%g) = %g", v, g)
					}
				case v < -1e6: // a masked score must vanish altogether
					if g != 0 {
						t.Errorf("exp(%g) = %g", v, g)
					}
				// Two roundings of 6e-8; beneath 5e-38, where numbers are
				// cut off, that as an absolute error.
				case !(math.Abs(g-want) <= 1.5e-7*want+5e-38):
					t.Errorf("exp(%g) = %g, want %g", v, g, want)
				}
			}
			if got[len(x)-7] != 1 {
				t.Errorf("exp(0) = %v", got[len(x)-7])
			}
			for n := range 17 { // the same number at every place
				row := make([]float32, n)
				for i := range row {
					row[i] = 0.3
				}
				exp(row)
				for i := range row {
					if row[i] != row[0] {
						t.Errorf("of %d: exp(0.3) = %v at %d, %v at 0", n, row[i], i, row[0])
					}
				}
			}
		})
	}
}

func TestLogSum(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 511, 512, 513, 1025, 58101} {
		x, sum := make([]float32, n), 0.0
		for i := range x {
			x[i] = float32(5*math.Sin(float64(i))) + 100
			sum += math.Exp(float64(x[i]) - 100)
		}
		for _, rows := range [][][]float32{{x}, {x[:n/3], nil, x[n/3:]}} {
			if got, want := LogSum(rows...), 100+math.Log(sum); !(math.Abs(got-want) < 2e-7) {
				t.Errorf("of %d numbers in %d rows: %.9f, want %.9f", n, len(rows), got, want)
			}
		}
	}
	for _, v := range []float32{-3, 0, 1e30, -1e30} {
		if got := LogSum([]float32{v, float32(math.Inf(-1))}); got != float64(v) {
			t.Errorf("of %g and what cannot be: %g", v, got)
		}
	}
	for _, n := range []int{0, 1, 8, 301} { // what the processor has no instructions for
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(20 * math.Sin(float64(i)))
		}
		if got, want := largestEach(x), largest(x); got != want {
			t.Errorf("the largest of %d in plain Go is %g, not %g", n, got, want)
		}
		if got, want := sumEach(x, 20), sumOf(x, 20); !(math.Abs(got-want) <= 2e-7*want) {
			t.Errorf("the sum of %d in plain Go is %g, not %g", n, got, want)
		}
	}
	if got := LogSum([]float32{0, float32(math.NaN()), 0}); got == got {
		t.Errorf("of NaN: %g", got)
	}
}
