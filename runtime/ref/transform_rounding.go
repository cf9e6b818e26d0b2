package ref

import (
	"math"
	"math/bits"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// stage is the error of a stage of a fast transform in unit roundoffs: η of Higham, theorem
// 24.2, where ‖error‖₂ ≤ log₂n·η·‖y‖₂, for roots of one with an error of one rounding:
// 1 + 4·√2.
var stage = 1 + 4*math.Sqrt2

// stages is the error of a fast transform. The roots of its first two stages are 1, -1, i
// and -i, which round nothing: what is left is a sum.
func stages(n int) float64 {
	count := float64(bits.Len(uint(n)) - 1)
	return min(count, 2) + stage*max(count-2, 0)
}

// transformError is that of DFT, with what is at most six deviations (the reading of
// Bounds). Libraries take the fast transform for powers of two (theorem 24.2); the
// elements of a stage are between the root mean square of the line and its largest result.
// For other lengths there are sums, and Bluestein's way (IEEE Trans. Audio Electroacoustics 18,
// 1970), which ONNX Runtime takes (core/providers/cpu/signal/dft.cc): three products with roots
// of the angles πk²/n, up to πn. An angle θ is rounded twice, as π is, which changes its root by
// √2·u|θ|: all three by 3√2·πn·u, which exceeds the error of a sum of 2n products.
func transformError(op graph.DFT, c call, out array, u units) errorsOf {
	x := c.args[0].wide()
	e := newErrors(len(out.f))
	n, err := op.Length.Eval(c.sizes)
	if err != nil || n < 2 {
		return e // one element is itself
	}
	last := len(x.shape) - 1
	between, _ := format.Elements(x.shape[op.Axis+1 : last])
	outer, _ := format.Elements(x.shape[:op.Axis])
	from, to, parts, width := x.shape[op.Axis], out.shape[op.Axis], x.shape[last], out.shape[last]
	scale := 1.0
	if op.Inverse {
		scale = 1 / float64(n)
	}
	for line := range outer * between {
		o, in := line/between, line%between
		energy := 0.0
		for i := range min(from, n) {
			for p := range parts {
				share := 1.0
				if op.Inverse && op.Onesided && i > 0 && 2*i != n {
					share = 2 // and its mirror
				}
				energy += share * square(x.f[((o*from+i)*between+in)*parts+p]*scale)
			}
		}
		most := 0.0
		for i := range to {
			at := ((o*to+i)*between + in) * width
			most = max(most, modulus(out.f[at:at+width]))
		}
		for i := range to {
			at := ((o*to+i)*between + in) * width
			size, steps := math.Sqrt(energy+square(most)), stages(n)
			if n&(n-1) != 0 {
				size, steps = math.Sqrt(energy+square(modulus(out.f[at:at+width]))), 3*math.Sqrt2*math.Pi*float64(n)
			}
			for k := at; k < at+width; k++ {
				own := 0.0
				if u.value > u.sums {
					own = u.rounded(out.f[k])
				}
				e.deviation[k] = math.Hypot(steps*u.sums*size/6, own*uniform)
				e.most[k] = steps*u.sums*size*math.Sqrt(float64(n)) + own
			}
		}
	}
	return e
}

// modulus is that of a number with one or two parts.
func modulus(x []float64) float64 {
	if len(x) == 2 {
		return math.Hypot(x[0], x[1])
	}
	return math.Abs(x[0])
}

// determinantError is that of Det by elimination with row pivots: what is computed is the
// determinant of A + E, where an element of E has the roundings of its product, difference
// and factor in each step that reaches it (Higham, section 9.3, theorem 9.3, and 14.6 for
// the determinant). To first order that changes the determinant by Σ cᵢⱼ eᵢⱼ, with the cofactors
// c = det·A⁻ᵀ. Of a matrix without an inverse nothing is known.
func determinantError(c call, out array, u units) errorsOf {
	x := c.args[0].wide()
	n := x.shape[len(x.shape)-1]
	e := newErrors(len(out.f))
	for i, det := range out.f {
		variance, most, ok := eliminated(x.f[i*n*n:(i+1)*n*n], n, u.sums)
		if !ok {
			e.deviation[i], e.most[i] = math.NaN(), math.NaN()
			continue
		}
		// The product of the pivots has n-1 roundings.
		own := float64(n-1) * square(u.sums)
		if u.value > u.sums {
			own += square(u.value)
		}
		e.deviation[i] = math.Abs(det) * uniform * math.Sqrt(variance+own)
		e.most[i] = math.Abs(det) * (most + float64(n-1)*u.sums + max(0, u.value-u.sums))
	}
	return e
}

// eliminated returns Σ (bⱼᵢ eᵢⱼ)² and Σ |bⱼᵢ eᵢⱼ| for the inverse B of a matrix, ok false if it
// has none.
func eliminated(x []float64, n int, u float64) (variance, most float64, ok bool) {
	a, inverse := append([]float64(nil), x...), make([]float64, n*n)
	from := make([]int, n) // the row of x, by row of a
	for i := range n {
		inverse[i*n+i], from[i] = 1, i
	}
	squares, sizes := make([]float64, n*n), make([]float64, n*n) // of E, in the order of a's rows
	for k := range n {
		pivot := k
		for r := k + 1; r < n; r++ {
			if math.Abs(a[r*n+k]) > math.Abs(a[pivot*n+k]) {
				pivot = r
			}
		}
		if a[pivot*n+k] == 0 {
			return 0, 0, false
		}
		from[k], from[pivot] = from[pivot], from[k]
		for j := range n {
			for _, m := range [][]float64{a, inverse, squares, sizes} {
				m[k*n+j], m[pivot*n+j] = m[pivot*n+j], m[k*n+j]
			}
		}
		for r := k + 1; r < n; r++ {
			f := a[r*n+k] / a[k*n+k]
			squares[r*n+k] += square(u * a[r*n+k])
			sizes[r*n+k] += u * math.Abs(a[r*n+k])
			for j := range n {
				if j > k {
					product := f * a[k*n+j]
					a[r*n+j] -= product
					squares[r*n+j] += square(u*product) + square(u*a[r*n+j])
					sizes[r*n+j] += u * (math.Abs(product) + math.Abs(a[r*n+j]))
				}
				inverse[r*n+j] -= f * inverse[k*n+j]
			}
			a[r*n+k] = 0
		}
	}
	for k := n - 1; k >= 0; k-- {
		for j := range n {
			for r := k + 1; r < n; r++ {
				inverse[k*n+j] -= a[k*n+r] * inverse[r*n+j]
			}
			inverse[k*n+j] /= a[k*n+k]
		}
	}
	for r := range n {
		for j := range n {
			b := inverse[j*n+from[r]]
			variance += square(b) * squares[r*n+j]
			most += math.Abs(b) * sizes[r*n+j]
		}
	}
	return variance, most, true
}
