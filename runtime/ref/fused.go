package ref

import (
	"math"
	"reflect"
	"sync/atomic"

	"github.com/attnx/attnx/model/graph"
)

// A fused rule computes the copies of a composite operator in one pass over the data:
// what the copies of its decomposition would be, up to the draw of the signs. Errors
// inside the operator that reach one element each are added at the end, with the
// variance that they have there to first order; those that many elements share, such
// as that of a row's mean, are drawn once and go through the rest of the operator.
type fusedRule func(op graph.Op, c fusedCall) []array

// fusedCall is one application of a composite operator to values with copies.
type fusedCall struct {
	call
	exact  []array // the results
	copies []array // of each argument; without elements if they are equal to it
	count  int     // of copies
	u      units   // roundings of the results
	inner  units   // roundings of values inside the operator
	seed   uint64
	shrink float64
	beyond *atomic.Bool // set where a value inside the operator may overflow
}

// fusedRules has the composite operators with a rule of their own.
var fusedRules = map[reflect.Type]fusedRule{
	reflect.TypeFor[graph.Gelu]():               shakeGelu,
	reflect.TypeFor[graph.Swish]():              shakeSwish,
	reflect.TypeFor[graph.LayerNormalization](): shakeLayerNormalization,
	reflect.TypeFor[graph.RMSNormalization]():   shakeRMSNormalization,
	reflect.TypeFor[graph.Attention]():          shakeAttention,
}

// fused reports whether a node's copies are computed as it is. Others are decomposed.
func fused(n *graph.Node) bool {
	_, ok := fusedRules[reflect.TypeOf(n.Op)]
	return ok || ruled(n)
}

// of returns copy k of an argument.
func (c fusedCall) of(i, k int) []float64 {
	if c.copies[i].f == nil {
		return c.args[i].f
	}
	return layer(c.copies[i], k).f
}

// signs returns the signs of a part of the operator in copy k.
func (c fusedCall) signs(part, k int) signs { return newSigns(c.seed<<8+16+uint64(part), k) }

// widened returns the call with its arguments in float64.
func (c fusedCall) widened() fusedCall {
	args := make([]array, len(c.args))
	for i, a := range c.args {
		args[i] = a.wide()
	}
	c.args = args
	return c
}

// tiny is the difference, as a share of 1 or of x if that is larger, below which a function
// is its tangent.
const tiny = 0x1p-20

// elementwise applies f to the copies of the only argument. For x and y = f(x), near gives the
// derivative of f, and the error that is added.
func (c fusedCall) elementwise(f func(x float64) float64, near func(x, y float64) (slope, e float64)) []array {
	c = c.widened()
	x, y := c.args[0].f, c.exact[0].f
	out := stackOf(c.count, c.exact[0])
	inParts((len(x)+63)/64, 64*32*c.count, func(first, end int) {
		var e, tangent [64]float64
		for block := first; block < end; block++ {
			from, to := block*64, min(block*64+64, len(x))
			for i := from; i < to; i++ {
				slope, own := near(x[i], y[i])
				if math.IsInf(y[i], 0) {
					own = 0
				}
				e[i-from], tangent[i-from] = own*uniform, slope
			}
			for k := range c.count {
				z := layer(out, k).f[from:to]
				for i, v := range c.of(0, k)[from:to] {
					if d := v - x[from+i]; math.Abs(d) <= tiny*max(1, math.Abs(v)) {
						z[i] = y[from+i] + tangent[i]*d
					} else {
						z[i] = f(v)
					}
				}
				c.signs(0, k).add(z, e[:to-from], c.shrink, block)
			}
		}
	})
	return []array{out}
}

// hypot is √(x²+y²) of errors, which are far from overflow.
func hypot(x, y float64) float64 { return math.Sqrt(x*x + y*y) }

// functionError is the typical error of a function in accuracies.
func functionError(op graph.Unary, x, y float64, u units) float64 {
	if x == 0 && y == 0 {
		return 0
	}
	a := accuracies[op]
	return a.typical * u.rounded(max(math.Abs(y), a.floor))
}

// shakeGelu is the rule of x·gate(x), as Gelu is decomposed.
func shakeGelu(op graph.Op, c fusedCall) []array {
	form := op.(graph.Gelu).Approximate
	u := c.inner
	gated := func(x, y, bend, ofBend float64) float64 { // the gate is (1 + bend)/2
		gate := bend/2 + 0.5
		return hypot(x*hypot(ofBend/2, binaryError(graph.Add, bend/2, 0.5, gate, u)), binaryError(graph.Mul, x, gate, y, c.u))
	}
	if form == "tanh" {
		linear, cubic := math.Sqrt(2/math.Pi), math.Sqrt(2/math.Pi)*0.044715
		return c.elementwise(gelu[form], func(x, y float64) (slope, e float64) {
			sq := x * x
			poly := sq*cubic + linear
			z := x * poly
			bend := math.Tanh(z)
			inner := 1 - bend*bend
			ofPoly := math.Sqrt(square(binaryError(graph.Add, sq*cubic, linear, poly, u)) +
				square(cubic*binaryError(graph.Mul, x, x, sq, u)) + square(binaryError(graph.Mul, sq, cubic, sq*cubic, u)))
			ofZ := hypot(x*ofPoly, binaryError(graph.Mul, x, poly, z, u))
			e = hypot(inner*ofZ, functionError(graph.Tanh, z, bend, u))
			return (1 + bend + x*inner*(linear+3*sq*cubic)) / 2, gated(x, y, bend, e)
		})
	}
	return c.elementwise(gelu[form], func(x, y float64) (slope, e float64) {
		z := x * (math.Sqrt2 / 2)
		bend, bell := math.Erf(z), math.Exp(-z*z)
		e = hypot(2/math.Sqrt(math.Pi)*bell*binaryError(graph.Mul, x, math.Sqrt2/2, z, u), functionError(graph.Erf, z, bend, u))
		return (1+bend)/2 + x*bell/math.Sqrt(2*math.Pi), gated(x, y, bend, e)
	})
}

// shakeSwish is the rule of x·sigmoid(αx).
func shakeSwish(op graph.Op, c fusedCall) []array {
	alpha := op.(graph.Swish).Alpha
	u := c.inner
	return c.elementwise(func(x float64) float64 { return x / (1 + math.Exp(-alpha*x)) }, func(x, y float64) (slope, e float64) {
		z := alpha * x
		gate := 1 / (1 + math.Exp(-z))
		e = hypot(gate*(1-gate)*binaryError(graph.Mul, x, alpha, z, u), functionError(graph.Sigmoid, z, gate, u))
		return gate * (1 + z*(1-gate)), hypot(x*e, binaryError(graph.Mul, x, gate, y, c.u))
	})
}

// meanError is the typical error of the mean of n numbers, with s2 the sum of their
// squares.
func meanError(n int, s2, mean float64, u units) float64 {
	e := sumError(n, s2/square(float64(n)), mean, u, false)
	if !power(float64(n)) {
		e = hypot(e, u.rounded(mean))
	}
	return e
}

// normalized is a row of LayerNormalization or RMSNormalization.
type normalized struct {
	centered        bool
	epsilon         float64
	mean, deviation float64
	meanE, devE     float64 // their errors
}

// newNormalized computes the statistics of a row, and their errors as in
// singlePass: the variance is the mean of squares less the square of the mean.
func newNormalized(x []float64, centered bool, epsilon float64, u units) normalized {
	r := normalized{centered: centered, epsilon: epsilon}
	n := float64(len(x))
	var s2, s4, rounded float64
	for _, v := range x {
		sq := v * v
		s2 += sq
		s4 += sq * sq
		rounded += square(binaryError(graph.Mul, v, v, sq, u))
		r.mean += v
	}
	if r.mean /= n; !centered {
		r.mean = 0
	}
	r.deviation = r.deviationOf(x, r.mean)
	sq := s2 / n
	alike, alikeSquares := alikeInRow(x, r.mean*n, s2, u.sums)
	e := hypot(math.Sqrt(rounded)/n, max(meanError(len(x), s4, sq, u), alikeSquares/n))
	variance := sq
	if centered {
		r.meanE = max(meanError(len(x), s2, r.mean, u), alike/n)
		variance = sq - r.mean*r.mean
		e = hypot(e, hypot(binaryError(graph.Mul, r.mean, r.mean, r.mean*r.mean, u), binaryError(graph.Sub, sq, r.mean*r.mean, variance, u)))
	}
	e = hypot(e, binaryError(graph.Add, variance, epsilon, variance+epsilon, u))
	if s2 > u.room { // the squares are infinite, and what is normalized is 0 or not a number
		e = math.NaN()
	}
	r.devE = hypot(e/(2*r.deviation), functionError(graph.Sqrt, variance, r.deviation, u))
	return r
}

// deviationOf returns √(variance + ε) of a row, whose mean is off by the difference to
// the given one.
func (r normalized) deviationOf(x []float64, mean float64) float64 {
	own, sum := 0.0, 0.0
	if r.centered {
		for _, v := range x {
			own += v
		}
		own /= float64(len(x))
	}
	for _, v := range x {
		sum += (v - own) * (v - own)
	}
	// With the mean m+δ the difference of squares is less by 2mδ.
	return math.Sqrt(sum/float64(len(x)) - 2*own*(mean-own) + r.epsilon)
}

func shakeLayerNormalization(op graph.Op, c fusedCall) []array {
	return c.normalize(true, op.(graph.LayerNormalization).Epsilon)
}

func shakeRMSNormalization(op graph.Op, c fusedCall) []array {
	return c.normalize(false, op.(graph.RMSNormalization).Epsilon)
}

// normalize is the rule of (x - mean) / deviation · scale + bias, row by row. The mean
// is 0 unless centered, and bias may be missing.
func (c fusedCall) normalize(centered bool, epsilon float64) []array {
	c = c.widened()
	out := make([]array, len(c.exact))
	for i, y := range c.exact {
		out[i] = stackOf(c.count, y)
	}
	x, scale := c.args[0].f, c.args[1].f
	width := len(scale)
	if len(x) == 0 {
		return out
	}
	blocks := (width + 63) / 64 // of signs, for each row
	inParts(len(x)/width, 8*c.count*width, func(first, end int) {
		e := make([]float64, width)
		for r := first; r < end; r++ {
			row := newNormalized(x[r*width:(r+1)*width], centered, epsilon, c.inner)
			c.rowErrors(e, row, r)
			for k := range c.count {
				signs := c.signs(1, k)
				one := [2]float64{}
				signs.add(one[:], []float64{row.meanE * uniform, row.devE * uniform}, c.shrink, r)
				xk, sk := c.of(0, k)[r*width:(r+1)*width], c.of(1, k)
				mean := 0.0
				if centered {
					for _, v := range xk {
						mean += v
					}
					mean = mean/float64(width) + one[0]
				}
				deviation := row.deviationOf(xk, mean) + one[1]
				y := layer(out[0], k).f[r*width : (r+1)*width]
				for j, v := range xk {
					y[j] = (v - mean) / deviation * sk[j]
				}
				if len(c.args) == 3 {
					for j, v := range c.of(2, k) {
						y[j] += v
					}
				}
				c.signs(0, k).add(y, e, c.shrink, r*blocks)
				if len(out) > 1 {
					layer(out[1], k).f[r] = mean
				}
				if len(out) > 2 {
					inverse := []float64{1 / deviation}
					c.signs(2, k).add(inverse, []float64{functionError(graph.Reciprocal, row.deviation, 1/row.deviation, c.u) * uniform}, c.shrink, r)
					layer(out[2], k).f[r] = inverse[0]
				}
			}
		}
	})
	return out
}

// rowErrors sets e to the errors of a row's elements apart from those of its
// statistics.
func (c fusedCall) rowErrors(e []float64, row normalized, r int) {
	width := len(e)
	scale := c.args[1].f
	for j, v := range c.args[0].f[r*width : (r+1)*width] {
		u, centered := c.inner, v
		sub := 0.0
		if row.centered {
			centered = v - row.mean
			sub = binaryError(graph.Sub, v, row.mean, centered, u) / row.deviation
		}
		q := centered / row.deviation
		divided := hypot(sub, binaryError(graph.Div, centered, row.deviation, q, u)) * scale[j]
		t := q * scale[j]
		if len(c.args) == 3 {
			bias := c.args[2].f[j]
			e[j] = hypot(hypot(divided, binaryError(graph.Mul, q, scale[j], t, u)), binaryError(graph.Add, t, bias, t+bias, c.u)) * uniform
			continue
		}
		e[j] = hypot(divided, binaryError(graph.Mul, q, scale[j], t, c.u)) * uniform
	}
}
