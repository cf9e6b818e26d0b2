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
	}
	if q.unsure == nil && zero == nil {
		return
	}
	exact := quotientsOf(n.Op, args[0].wide(), args[1:])
	moved := func(k int) quotients { // one copy at a time: those of rounded inputs are computed here
		var scale []*shaken
		for i, a := range args[1:] {
			scale = append(scale, &shaken{array: s.copyOf(n.Args[1+i], a, k)})
		}
		return quotientsOf(n.Op, s.copyOf(n.Args[0], args[0], k).wide(), scale)
	}
	if zero != nil {
		zero.doubt = s.doubtful(zero, index<<8+2, []float64{0}, func(int) bool { return true }, func(k int) func(int) float64 {
			by := moved(k).zero - exact.zero
			return func(int) float64 { return by }
		})
		zero.unsure = nil
	}
	some := func(i int) bool { return q.unsure != nil && q.unsure[i] }
	q.doubt = s.doubtful(q, index<<8, args[0].wide().f, some, func(k int) func(int) float64 {
		to := moved(k)
		return func(i int) float64 { return to.of(i) - exact.of(i) }
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

// doubtful returns copies of integers. Those that are unsure move with the number that they are
// rounded from, as by says of each copy, and have an error of the rounding beside. Without the first, errors of more than a step, which
// the numbers of a row share, would become errors of each.
//
// Numbers that are equal and exact round alike, whatever the runtime does at the middle: OpenVINO
// 2026.4.1 rounds each 2 in the range from -2 to 2 up, and ONNX Runtime 1.30 down. With signs of
// their own, two of them cancel in all of eight copies once in 128 sums. Where equal numbers
// have errors, those of one runtime may differ: in half of the copies they round alike,
// as other roundings do.
func (s *shaking) doubtful(r *shaken, seed uint64, numbers []float64, unsure func(i int) bool, by func(k int) func(i int) float64) array {
	stack := newArray(floats, lifted(s.copies, r.shape))
	stack.dtype = format.Float64
	alike, apart := make([]float64, r.len()), make([]float64, r.len()) // the deviations of the roundings, of exact numbers and others
	for i := range alike {
		if unsure(i) {
			alike[i] = tieDoubt
		}
	}
	for k := range s.copies {
		moved := by(k)
		for i := range alike {
			if unsure(i) && moved(i) != 0 {
				alike[i], apart[i] = 0, tieDoubt
			}
		}
	}
	for k := range s.copies {
		y, base, signs := layer(stack, k).f, r.doubtOf(k).f, newSigns(seed, k)
		if signs.addAlike(y, alike, numbers, s.shrink); k%2 == 0 {
			signs.add(y, apart, s.shrink, 0)
		} else {
			signs.addAlike(y, apart, numbers, s.shrink)
		}
		moved := by(k)
		for i := range y {
			if unsure(i) {
				y[i] += moved(i)
			}
			y[i] = base[i] + math.RoundToEven(y[i]/doubtGrain)*doubtGrain
		}
	}
	return stack
}

// quotients are what an operator rounds to integers, and to the zero point.
type quotients struct {
	of   func(i int) float64
	zero float64
}

// quotientsOf returns the quotients of numbers by the scale that is given, or by that of their range.
func quotientsOf(op graph.Op, x array, scale []*shaken) quotients {
	if op, ok := op.(graph.QuantizeLinear); ok {
		by := scale[0].wide().f
		at := scaleOf(scale[0].shape, x.shape, op.Axis, op.Block)
		return quotients{of: func(i int) float64 { return x.number(i) / by[at(i)] }}
	}
	least, most := reach(x.f)
	if most == least {
		return quotients{of: func(int) float64 { return 0 }}
	}
	step := (most - least) / 255
	return quotients{func(i int) float64 { return x.f[i] / step }, -least / step}
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
	sum, unsure := args[0], s.tiesOfProducts(n.Op.(graph.Requantize), c, out)
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
		}
	}
	if !slices.Contains(unsure, true) {
		return true
	}
	scale := scaleOfProducts(c, func(a, b, y float64) float64 { return a * b / y })
	products := make([]float64, out.len())
	for i := range products {
		products[i] = float64(sum.i[from(i)]) * scale(i)
	}
	out.doubt = s.doubtful(out, index<<8, products, func(i int) bool { return unsure[i] }, func(k int) func(int) float64 {
		return func(i int) float64 {
			if sum.doubt.f == nil {
				return 0
			}
			return (layer(sum.doubt, k).f[from(i)] - float64(sum.i[from(i)])) * scale(i)
		}
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
