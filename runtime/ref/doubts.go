package ref

import (
	"math"
	"reflect"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// The error of an integer that a number was rounded to is a whole step or none. It is a
// step only where rounding errors of the number reach the middle between two
// integers. Such an element has a doubt: the standard deviation of its error in steps.
// Doubts are carried in copies of the integers as real numbers, as errors of
// floating-point numbers are. So those that several integers share cancel where the integers are
// subtracted: a zero point's doubt moves all integers with it, and q − zero not at all.

// tieDoubt is the doubt of an integer that may be either of two neighbours: its error
// is 0 or 1 with equal probability.
const tieDoubt = 0.5

// doubtGrain is the distance of the errors of doubts. On that grid sums and
// differences of copies are exact for integers of up to 16 bits, so what is shared cancels.
const doubtGrain = 0x1p-36

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
func (s *shaking) doubt(n *graph.Node, args, results []*shaken, index uint64) {
	if quantizes(n.Op) {
		s.doubtQuantized(n, args, results, index)
		return
	}
	cast, converts := n.Op.(graph.Cast)
	r := results[0]
	if !converts || r.unsure == nil || r.kind != ints || args[0].kind != floats || args[0].dtype != format.Float64 || !whole64(args[0].wide().f) {
		return
	}
	if bits, _ := cast.To.Integer(); bits < 32 {
		return
	}
	r.doubt = stackOf(s.copies, args[0].array)
	for k := range s.copies {
		copy(layer(r.doubt, k).f, s.copyOf(n.Args[0], args[0], k).wide().f)
	}
	r.unsure = nil
}

// doubtQuantized gives doubts to integers and to the zero point that was computed with them.
func (s *shaking) doubtQuantized(n *graph.Node, args, results []*shaken, index uint64) {
	q := results[0]
	var zero *shaken
	if len(results) == 3 && results[2].unsure != nil {
		zero = results[2]
		zero.doubt = s.doubtful(zero, index<<8+2, func(int) float64 { return math.Hypot(tieDoubt, s.spreadOfZero(n, args[0], results)) })
		zero.unsure = nil
	}
	if q.unsure == nil && zero == nil {
		return
	}
	step := stepOf(n.Op, args, results)
	var errors []float64
	if q.unsure != nil {
		errors = s.spreadOf(n.Args[0], args[0])
	}
	q.doubt = s.doubtful(q, index<<8, func(i int) float64 {
		if q.unsure == nil || !q.unsure[i] {
			return 0
		}
		return math.Hypot(tieDoubt, errors[i]/step(i)) // where an error is larger than a step, the integers are off by as much
	})
	if q.unsure = nil; zero == nil {
		return
	}
	for k := range s.copies {
		moved := layer(zero.doubt, k).f[0] - zero.number(0)
		y := layer(q.doubt, k).f
		for i := range y {
			y[i] += moved
		}
	}
}

// doubtful returns copies of integers with further errors of the given standard deviations.
func (s *shaking) doubtful(r *shaken, seed uint64, deviation func(i int) float64) array {
	stack := newArray(floats, lifted(s.copies, r.shape))
	stack.dtype = format.Float64
	e := make([]float64, r.len())
	for i := range e {
		e[i] = deviation(i)
	}
	for k := range s.copies {
		y, base := layer(stack, k).f, r.doubtOf(k).f
		newSigns(seed, k).add(y, e, s.shrink, 0)
		for i := range y {
			y[i] = base[i] + math.RoundToEven(y[i]/doubtGrain)*doubtGrain
		}
	}
	return stack
}

// spreadOfZero returns the standard deviation of what a zero point is rounded from.
func (s *shaking) spreadOfZero(n *graph.Node, x *shaken, results []*shaken) float64 {
	zero := func(of array) float64 {
		least, most := reach(of.wide().f)
		return -least / (most - least) * 255
	}
	exact, sum := zero(x.array), 0.0
	for k := range s.copies {
		sum += square((zero(s.copyOf(n.Args[0], x, k)) - exact) / s.shrink)
	}
	return math.Sqrt(sum / float64(s.copies))
}

// spreadOf returns the standard deviations of the errors of an argument.
func (s *shaking) spreadOf(v *graph.Value, a *shaken) []float64 {
	spread, x := make([]float64, a.len()), a.wide().f
	for k := range s.copies {
		for i, y := range s.copyOf(v, a, k).wide().f {
			spread[i] += square((y - x[i]) / s.shrink)
		}
	}
	for i, v := range spread {
		spread[i] = math.Sqrt(v / float64(s.copies))
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

// doubtOf returns copy k of integers as real numbers.
func (a *shaken) doubtOf(k int) array {
	if a.doubt.f != nil {
		return layer(a.doubt, k)
	}
	return a.real()
}

// real returns integers as real numbers.
func (a *shaken) real() array {
	out := newArray(floats, a.shape)
	out.dtype = format.Float64
	for i := range out.f {
		out.f[i] = a.number(i)
	}
	return out
}

// doubted reports which elements of integers may be others.
func (s *shaking) doubted(a *shaken) []bool {
	some := make([]bool, a.len())
	for k := range s.copies {
		for i, y := range layer(a.doubt, k).f {
			some[i] = some[i] || y != a.number(i)
		}
	}
	return some
}

// carry carries the doubts of a node's arguments to its results: to integers as doubts; for
// floating-point numbers it returns what their copies move by. ok is false for an
// operator that it does not know, whose results are then uncertain.
func (s *shaking) carry(n *graph.Node, c call, args, results []*shaken, index uint64) (moved array, ok bool) {
	out := results[0]
	data := len(args) // the arguments that are computed with; the others say how
	switch op := n.Op.(type) {
	case graph.Cast:
	case graph.Binary:
		if op != graph.Add && op != graph.Sub && op != graph.Mul || out.kind != ints {
			return array{}, false
		}
	case graph.Reshape, graph.Transpose, graph.Slice, graph.Expand, graph.Split:
		if len(args) != 1 {
			return array{}, false
		}
	case graph.Concat:
	case graph.Gather:
		data = 1
	case graph.DequantizeLinear:
		if args[1].doubt.f != nil {
			return array{}, false
		}
	case graph.QuantizeLinear:
		return array{}, quantizes(op) && s.quantizedAt(op, args, out)
	case graph.Requantize:
		return array{}, s.requantized(n, c, args, out, index)
	default:
		return array{}, false
	}
	for _, a := range args[data:] {
		if a.doubt.f != nil {
			return array{}, false
		}
	}
	stacks := make([]array, len(results))
	for i, r := range results {
		stacks[i] = newArray(floats, lifted(s.copies, r.shape))
		stacks[i].dtype = format.Float64
	}
	compute := func(integers func(a *shaken) array) ([]array, error) {
		ck := c
		ck.args, ck.types = slices.Clone(c.args), slices.Repeat([]format.DType{format.Float64}, len(results))
		for i := range data {
			if args[i].kind != floats {
				ck.args[i] = integers(args[i])
			}
		}
		return carried(n.Op, ck)
	}
	for k := range s.copies {
		y, err := compute(func(a *shaken) array { return a.doubtOf(k) })
		if err != nil {
			return array{}, false
		}
		for i := range stacks {
			copy(layer(stacks[i], k).f, y[i].f)
		}
	}
	if out.kind == floats {
		x, err := compute((*shaken).real)
		if err != nil {
			return array{}, false
		}
		for k := range s.copies {
			for i, y := range x[0].f {
				layer(stacks[0], k).f[i] -= y
			}
		}
		return stacks[0], true
	}
	for i, r := range results {
		if r.doubt.f == nil {
			r.doubt = stacks[i]
		}
	}
	return array{}, true
}

// quantizedAt moves integers as their zero point may.
func (s *shaking) quantizedAt(op graph.QuantizeLinear, args []*shaken, out *shaken) bool {
	zero := args[2]
	at := scaleOf(args[1].shape, args[0].shape, op.Axis, op.Block)
	stack := newArray(floats, lifted(s.copies, out.shape))
	stack.dtype = format.Float64
	for k := range s.copies {
		y, moved := layer(stack, k).f, layer(zero.doubt, k).f
		for i := range y {
			z := at(i) % zero.len()
			y[i] = out.number(i) + moved[z] - zero.number(z)
		}
	}
	out.doubt = stack
	return true
}

// requantized doubts the integers that sums in doubt, or its own roundings, may round to
// others. It returns false if more than the sums is in doubt.
func (s *shaking) requantized(n *graph.Node, c call, args []*shaken, out *shaken, index uint64) bool {
	for _, a := range args[1:] {
		if a.doubt.f != nil {
			return false
		}
	}
	sum, unsure, spread := args[0], s.tiesOfProducts(n.Op.(graph.Requantize), c, out), make([]float64, out.len())
	from := places(sum.shape, out.shape)
	for k := range s.copies {
		if sum.doubt.f == nil {
			break
		}
		far := newArray(ints, sum.shape)
		far.dtype = sum.dtype
		moved := layer(sum.doubt, k).f
		for i, x := range sum.i {
			far.i[i] = x + int64(math.Round((moved[i]-float64(x))*sigmas/s.shrink))
		}
		ck := c
		ck.args = slices.Clone(c.args)
		ck.args[0] = far
		y, err := apply(n, ck)
		if err != nil {
			return false
		}
		for i, v := range y[0].i {
			unsure[i] = unsure[i] || v != out.i[i]
			spread[i] += square((moved[from(i)] - float64(sum.i[from(i)])) / s.shrink)
		}
	}
	if !slices.Contains(unsure, true) {
		return true
	}
	scale := scaleOfProducts(c, func(a, b, y float64) float64 { return a * b / y })
	out.doubt = s.doubtful(out, index<<8, func(i int) float64 {
		if !unsure[i] {
			return 0
		}
		return math.Hypot(tieDoubt, math.Sqrt(spread[i]/float64(s.copies))*scale(i))
	})
	return true
}

// carried computes an operator on integers that are real numbers.
func carried(op graph.Op, c call) ([]array, error) {
	switch op := op.(type) {
	case graph.Cast:
		return c.args[:1], nil
	case graph.Binary:
		y, err := binary(op, c.args[0], c.args[1], c.shapes[0])
		return []array{y}, err
	case graph.DequantizeLinear:
		c.args[1] = c.args[1].wide()
	}
	return kernels[reflect.TypeOf(op)].compute(op, c)
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

// reach returns the range of numbers and 0.
func reach(x []float64) (least, most float64) {
	for _, v := range x {
		least, most = min(least, v), max(most, v)
	}
	return least, most
}
