package ref

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// These are the errors of operators that round floating-point numbers to 8 bits or not, as a
// runtime likes.

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
	inLines(s.copies, len(x.f), func(k int) {
		part := layer(stack, k).f
		for i, v := range x.f {
			step := 2 * slip.deviation[i]
			if step == 0 {
				continue
			}
			e := v - y.f[i]
			if k > 0 {
				offset := float64(mix(uint64(i%width*s.copies+k))>>11)/(1<<53) - 0.5
				e = step*(math.RoundToEven(v/step+offset)-offset) - v
			}
			part[i] += s.shrink * math.Sqrt(3) * e
		}
	})
}

// seedOf returns the seed of the errors of result i of a node. Products that round the
// same factor round it alike.
func seedOf(n *graph.Node, index uint64, i int) uint64 {
	if op, ok := n.Op.(graph.MayRound); ok {
		return hash(n.Args[0].Name) + uint64(op.Block)
	}
	return index<<8 + uint64(i)
}
