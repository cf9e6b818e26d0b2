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
			step := stepOf(n.Op, args, results)
			errors := s.spreadOf(n.Args[0], args[0])
			for i, yes := range r.unsure {
				if yes { // where an error is larger than a step, the integers are off by as much
					r.doubt[i] = math.Hypot(tieDoubt, errors[i]/step(i))
				}
			}
		case converts && args[0].kind == floats && args[0].dtype == format.Float64 && whole64(args[0].wide().f):
			if bits, _ := cast.To.Integer(); bits < 32 {
				continue
			}
			r.doubt = s.spreadOf(n.Args[0], args[0])
		default:
			continue
		}
		r.unsure = nil
	}
}

// spreadOf returns the standard deviations of the errors of an argument.
func (s *shaking) spreadOf(v *graph.Value, a *shaken) []float64 {
	spread, x := make([]float64, a.len()), a.wide().f
	for k := range copies {
		for i, y := range s.copyOf(v, a, k).wide().f {
			spread[i] += square((y - x[i]) / s.shrink)
		}
	}
	for i, v := range spread {
		spread[i] = math.Sqrt(v / copies)
	}
	return spread
}

// stepOf returns the distance of two integers that an element is rounded to.
func stepOf(op graph.Op, args, results []*shaken) func(i int) float64 {
	if op, ok := op.(graph.QuantizeLinear); ok {
		scale := args[1].wide().f
		at := scaleOf(args[1].shape, args[0].shape, op.Axis, op.Block)
		return func(i int) float64 { return scale[at(i)] }
	}
	return func(int) float64 { return results[1].f[0] }
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
	step := func(x array) float64 {
		least, most := reach(x.wide().f)
		return (most - least) / 255
	}
	scale := newArray(floats, exact[1].shape)
	scale.dtype = exact[1].dtype
	scale.f[0] = exact[1].f[0] + step(x) - step(exactX)
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
			least, most := reach(block)
			for i := range block {
				s.deviation[from+i] = max(most, -least) / 127 / 2
			}
		}
	}
	return s
}

// roundTo8BitsSlip is half a step too, whether the runtime rounds or not: where both
// round, each its own number, the difference of their errors is as large. ONNX Runtime takes
// the range over all rows of a thread, so the step is that of all.
func roundTo8BitsSlip(_ graph.RoundTo8Bits, c call, out array, _ units) slip {
	s := newSlip(len(out.f))
	least, most := reach(c.args[0].f)
	for i := range s.deviation {
		s.deviation[i] = (most - least) / 255 / 2
	}
	return s
}

// dither adds to the first copy what rounding x to y took away: the errors of a runtime
// that does not round. The others get the errors of rounding on a grid with a random offset,
// another for each index of the last axis: a state that hardly changes from one step to
// the next has errors that hardly change, and add up. All are multiplied by √3, so that half a
// step is the deviation.
func (s *shaking) dither(stack, x, y array, slip slip) {
	width := x.shape[len(x.shape)-1]
	inLines(copies, len(x.f), func(k int) {
		part := layer(stack, k).f
		for i, v := range x.f {
			step := 2 * slip.deviation[i]
			if step == 0 {
				continue
			}
			e := v - y.f[i]
			if k > 0 {
				offset := float64(mix(uint64(i%width*copies+k))>>11)/(1<<53) - 0.5
				e = step*(math.RoundToEven(v/step+offset)-offset) - v
			}
			part[i] += s.shrink * math.Sqrt(3) * e
		}
	})
}

// reach returns the range of numbers and 0.
func reach(x []float64) (least, most float64) {
	for _, v := range x {
		least, most = min(least, v), max(most, v)
	}
	return least, most
}

// seedOf returns the seed of the errors of result i of a node. Products that round the
// same factor round it alike.
func seedOf(n *graph.Node, index uint64, i int) uint64 {
	if op, ok := n.Op.(graph.MayRound); ok {
		return hash(n.Args[0].Name) + uint64(op.Block)
	}
	return index<<8 + uint64(i)
}
