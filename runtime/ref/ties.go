package ref

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// The quotient that quantizing rounds to an integer is itself rounded, several times and by each runtime in
// its own way: OpenVINO multiplies by the reciprocals of 255 and of the scale where ONNX Runtime
// divides. So exact numbers are in doubt too where they lie between two integers, as 2 does in
// the range from -2 to 2, whose quotient is 127.5.

// quotientRoundings is the number of roundings that a quotient and its zero point may differ by: the
// three of ONNX's formula (the range, the scale, the quotient), and five of a runtime that takes
// reciprocals and adds the zero point first.
const quotientRoundings = 8

// tie marks the integers, and the zero point, that a node's own roundings may change. It
// reports whether there are any.
func (s *shaking) tie(n *graph.Node, c call, results []*shaken) bool {
	switch op := n.Op.(type) {
	case graph.DynamicQuantizeLinear:
		return s.tieDynamically(c.args[0], results, s.units(n).value)
	case graph.QuantizeLinear:
		return !op.To.Float() && s.tieLinearly(op, c, results[0])
	}
	return false
}

func (s *shaking) tieDynamically(x array, results []*shaken, unit float64) bool {
	least, most := reach(x.wide().f)
	step := (most - least) / 255
	zero := -least / step
	slack := func(q float64) float64 { return quotientRoundings * unit * (math.Abs(q) + zero) }
	some := false
	for i, v := range x.f {
		if q := v / step; between(q, slack(q)) {
			results[0].mark(i)
			some = true
		}
	}
	if len(results) == 3 && between(zero, slack(0)) {
		results[2].mark(0)
		some = true
	}
	return some
}

func (s *shaking) tieLinearly(op graph.QuantizeLinear, c call, r *shaken) bool {
	x, scale := c.args[0], c.args[1]
	at := scaleOf(scale.shape, x.shape, op.Axis, op.Block)
	u, some := unit(op.Precision), false
	if narrower(s.numbers.DType, op.Precision) {
		u = unit(s.numbers.DType)
	}
	for i := range r.i {
		by := scale.f[at(i)]
		if powerOf2(by) {
			continue
		}
		zero := 0.0
		if len(c.args) == 3 {
			zero = c.args[2].number(at(i) % c.args[2].len())
		}
		q := x.number(i) / by
		slack := quotientRoundings * u * (math.Abs(q) + math.Abs(zero))
		if between(q, slack) && saturated(q-slack, zero, op.To) != saturated(q+slack, zero, op.To) {
			r.mark(i)
			some = true
		}
	}
	return some
}

// tiesOfProducts returns which products that are rounded to integers lie between two.
func (s *shaking) tiesOfProducts(op graph.Requantize, c call, out *shaken) []bool {
	ties, scale := make([]bool, out.len()), scaleOfProducts(c, func(a, b, y float64) float64 { return a * b / y })
	plain := scaleOfProducts(c, func(a, b, y float64) float64 { // 1 for powers of two
		if powerOf2(a) && powerOf2(b) && powerOf2(y) {
			return 1
		}
		return 0
	})
	sum, zero := places(c.args[0].shape, out.shape), func(int) float64 { return 0 }
	if len(c.args) == 5 {
		at := places(c.args[4].shape, out.shape)
		zero = func(i int) float64 { return c.args[4].number(at(i)) }
	}
	u := unit(c.args[1].dtype)
	for i := range ties {
		if plain(i) == 1 {
			continue
		}
		q, z := c.args[0].number(sum(i))*scale(i), zero(i)
		slack := quotientRoundings * u * (math.Abs(q) + math.Abs(z))
		ties[i] = between(q, slack) && saturated(q-slack, z, op.To) != saturated(q+slack, z, op.To)
	}
	return ties
}

// scaleOfProducts returns a function of the scales of a sum's factors and of its result.
func scaleOfProducts(c call, f func(a, b, y float64) float64) func(i int) float64 {
	shape := c.shapes[0]
	a, b, y := c.args[1].wide(), c.args[2].wide(), c.args[3].wide()
	atA, atB, atY := places(a.shape, shape), places(b.shape, shape), places(y.shape, shape)
	return func(i int) float64 { return f(a.f[atA(i)], b.f[atB(i)], y.f[atY(i)]) }
}

// powerOf2 reports whether a number is a power of two, by which nothing is rounded.
func powerOf2(x float64) bool {
	fraction, _ := math.Frexp(x)
	return math.Abs(fraction) == 0.5
}

// between reports whether there is a middle of two integers within slack of a number.
func between(x, slack float64) bool { return math.RoundToEven(x-slack) < math.RoundToEven(x+slack) }

// mark makes an element unsure.
func (a *shaken) mark(i int) {
	if a.unsure == nil {
		a.unsure = make([]bool, a.len())
	}
	a.unsure[i] = true
}
