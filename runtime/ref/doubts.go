package ref

import (
	"math"
	"reflect"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// The error of an integer that a number was rounded to is a whole step or none. It is a
// step only where rounding errors of the number reach the middle between two
// integers. Such an element has a doubt: the standard deviation of its error in steps.
// Operators that compute with integers carry doubts on; where the integers become
// floating-point numbers, they become errors like any other.

// tieDoubt is the doubt of an integer that may be either of two neighbours: its error
// is 0 or 1 with equal probability.
const tieDoubt = 0.5

// quantizes reports whether a node rounds numbers to integers, so that rounding errors
// change a few of them by one step.
func quantizes(op graph.Op) bool {
	switch op := op.(type) {
	case graph.DynamicQuantizeLinear:
		return true
	case graph.QuantizeLinear:
		return !op.To.Float()
	}
	return false
}

// doubt gives the integers that decide found unsure their doubts: after quantizing,
// half a step; of a float64 that holds an integer, the spread of its copies.
func (s *shaking) doubt(n *graph.Node, args, results []*shaken) {
	cast, converts := n.Op.(graph.Cast)
	for _, r := range results {
		if r.unsure == nil || r.kind != ints {
			continue
		}
		switch {
		case quantizes(n.Op):
			r.doubt = make([]float64, r.len())
			for i, yes := range r.unsure {
				if yes {
					r.doubt[i] = tieDoubt
				}
			}
		case converts && args[0].kind == floats && args[0].dtype == format.Float64 && whole64(args[0].wide().f):
			if bits, _ := cast.To.Integer(); bits < 32 {
				continue
			}
			r.doubt = make([]float64, r.len())
			for k := range copies {
				for i, y := range s.copyOf(n.Args[0], args[0], k).wide().f {
					r.doubt[i] += square((y - args[0].wide().f[i]) / s.shrink)
				}
			}
			for i, v := range r.doubt {
				r.doubt[i] = math.Sqrt(v / copies)
			}
		default:
			continue
		}
		r.unsure = nil
	}
}

// whole64 reports whether all numbers are integers: the sums of products of integers
// are computed in float64.
func whole64(x []float64) bool {
	for _, v := range x {
		if v != math.Trunc(v) {
			return false
		}
	}
	return true
}

// carry carries the doubts of a node's arguments to its results. It returns false for
// an operator that it does not know, whose results are then uncertain.
func (s *shaking) carry(n *graph.Node, c call, args, results []*shaken, slips []slip) bool {
	squares := make([]array, len(args)) // of the doubts
	for i, a := range args {
		squares[i] = newArray(floats, a.shape)
		squares[i].dtype = format.Float64
		for j, d := range a.doubt {
			squares[i].f[j] = d * d
		}
	}
	out := results[0]
	var variance []float64
	switch op := n.Op.(type) {
	case graph.Cast:
		variance = squares[0].f
	case graph.Binary:
		if op != graph.Add && op != graph.Sub || out.kind != ints {
			return false
		}
		both, err := binary(graph.Add, squares[0], squares[1], out.shape)
		if err != nil {
			return false
		}
		variance = both.f
	case graph.Reshape, graph.Transpose, graph.Slice, graph.Expand:
		if len(args) != 1 {
			return false
		}
		cd := c
		cd.args, cd.types = squares, []format.DType{format.Float64}
		moved, err := kernels[reflect.TypeOf(op)].compute(n.Op, cd)
		if err != nil {
			return false
		}
		variance = moved[0].f
	case graph.DequantizeLinear:
		if len(args) == 3 && args[2].doubt != nil || args[1].doubt != nil {
			return false
		}
		at := scaleOf(args[1].shape, args[0].shape, op.Axis, op.Block)
		variance = make([]float64, out.len())
		for i := range variance {
			variance[i] = squares[0].f[i] * square(args[1].wide().f[at(i)])
		}
	default:
		return false
	}
	deviation := make([]float64, len(variance))
	for i, v := range variance {
		deviation[i] = math.Sqrt(v)
	}
	if out.kind == ints {
		out.doubt = deviation
		return true
	}
	if out.kind != floats {
		return false
	}
	for i := range slips[0].deviation {
		deviation[i] = math.Hypot(deviation[i], slips[0].deviation[i])
	}
	slips[0].deviation = deviation
	return true
}

// quantizedCopy computes the scale of a copy without rounding it to float32, which would hide
// its difference. The integers are those of the exact value.
func quantizedCopy(x array, exactX array, exact []array) []array {
	reach := func(x array) float64 {
		least, most := 0.0, 0.0
		for _, v := range x.wide().f {
			least, most = min(least, v), max(most, v)
		}
		return (most - least) / 255
	}
	scale := newArray(floats, exact[1].shape)
	scale.dtype = exact[1].dtype
	scale.f[0] = exact[1].f[0] + reach(x) - reach(exactX)
	return []array{exact[0], scale, exact[2]}
}

// mayRoundSlip is half a step of each block. Its standard deviation is taken as the half
// step itself, the largest that an error within it can have: numbers of a few bits are
// not spread evenly between the steps.
func mayRoundSlip(op graph.MayRound, c call, out array, _ units) slip {
	s := newSlip(len(out.f))
	width := out.shape[len(out.shape)-1]
	for row := 0; row < len(out.f); row += width {
		for from := row; from < row+width; from += op.Block {
			block := out.f[from:min(from+op.Block, row+width)]
			most := 0.0
			for _, x := range block {
				most = max(most, math.Abs(x))
			}
			for i := range block {
				s.deviation[from+i] = most / 127 / 2
			}
		}
	}
	return s
}

// seedOf returns the seed of the errors of result i of a node. Products that round the
// same factor round it alike.
func seedOf(n *graph.Node, index uint64, i int) uint64 {
	if op, ok := n.Op.(graph.MayRound); ok {
		return hash(n.Args[0].Name) + uint64(op.Block)
	}
	return index<<8 + uint64(i)
}
