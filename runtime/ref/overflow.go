package ref

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// What is larger than the largest finite number of its type is an infinity in a runtime
// (IEEE 754-2019, section 4.3.1), and a number in one that computes this part with more digits.
// So every other copy has the infinity. What follows from it decides whether it matters: a
// masked score is 0 after the softmax either way, and a difference of two infinities is not a
// number, which no bound is known for.

// A sum is taken in the type of its result, which is what ONNX says, though many runtimes
// take more digits for it. The normalizations take float32 (stash_type). So partial sums
// overflow too: those of a mean before it is divided, and those of terms that cancel.

// partialSum returns a size that the partial sums of n terms hardly ever exceed in a random order, if
// they add up to y and their squares to s2: they are a bridge from 0 to y, of which one in 10⁸
// is further than 3√s2 from its line (the distribution of Kolmogorov), and n terms
// add up to √(n·s2) at most (Cauchy and Schwarz).
func partialSum(n int, s2, y float64) float64 {
	return min(math.Abs(y)+3*math.Sqrt(s2), max(math.Abs(y), math.Sqrt(float64(n)*s2)))
}

// overflowing notes the sums whose partial sums, times scale, may be infinities.
func (s *slip) overflowing(out array, n int, squares []float64, scale float64, u units) {
	if math.IsInf(u.most, 0) || u.most == 0 {
		return
	}
	for i, y := range out.f {
		p := partialSum(n, squares[i], y) * scale
		if !(p >= u.most) || math.IsInf(y, 0) {
			continue
		}
		if s.partial == nil {
			s.partial = make([]float64, len(out.f))
		}
		s.partial[i] = max(s.partial[i], p)
	}
}

// farther is how many times its size the error of a value is believed to be at most. Beyond
// it a value has no digit, which is reported of outputs anyway.
const farther = 0x1p8

// overflows returns the size from which on numbers round to infinity: the middle between the
// largest finite number and the one that would follow; +Inf for types that have no rounding.
func overflows(d format.DType) float64 {
	if !d.Float() {
		return math.Inf(1)
	}
	return d.Largest() * (1 + unit(d)/2) // in float64 that is the former
}

// mayOverflow reports whether a value or its errors are near the largest number of its type.
func mayOverflow(x array, most float64) bool {
	for i := range x.len() {
		if math.Abs(x.at(i)) > most/farther {
			return true
		}
	}
	return false
}

// overflow is for the copies of a node's result, before its own rounding. partial are the
// partial sums that overflow.
func (s *shaking) overflow(n *graph.Node, stack, exact array, partial []float64, most float64) {
	var beyond atomic.Bool
	inLines(s.copies, len(exact.f), func(k int) {
		y := layer(stack, k).f
		if s.overflowCopy(k, y, exact.f, most) {
			beyond.Store(true)
		}
		for i, p := range partial {
			if p >= most && k%2 == 0 {
				y[i] = math.Copysign(math.Inf(1), exact.f[i])
				beyond.Store(true)
			}
		}
	})
	if beyond.Load() && s.beyond == "" {
		s.beyond = tooLarge(n)
	}
}

// overflowCopy is for one copy. Errors are enlarged to the bound. It reports whether it
// set an infinity.
func (s *shaking) overflowCopy(k int, y, exact []float64, most float64) (beyond bool) {
	if k%2 == 1 {
		return false
	}
	for i, x := range exact {
		if far := math.Abs(x) + math.Abs(y[i]-x)*sigmas/s.shrink; far >= most && !math.IsInf(far, 0) {
			y[i], beyond = math.Copysign(math.Inf(1), x), true
		}
	}
	return beyond
}

// tooLarge says that a node's result may be no number of its type.
func tooLarge(n *graph.Node) string {
	return fmt.Sprintf("%s of %s: it may be beyond the largest finite number of its type", n.Name(), n.Op.Name())
}

// overflown makes the errors of elements unknown that are infinities in a runtime, or that it
// adds up over infinities.
func (b *backward) overflown(n *graph.Node, e valueErrors, exact, partial []float64, most float64) valueErrors {
	if e.any == nil {
		e.any, e.ordered = make([]float64, len(exact)), make([]float64, len(exact))
	}
	for i, x := range exact {
		if (math.Abs(x) >= most || partial != nil && partial[i] >= most) && !math.IsInf(x, 0) {
			e.any[i], e.ordered[i], e.deviation[i] = math.Inf(1), math.Inf(1), math.Inf(1)
			if b.beyond == "" {
				b.beyond = tooLarge(n)
			}
		}
	}
	return e
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
