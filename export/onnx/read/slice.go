package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// part is the range of an axis that a Slice takes.
type part struct {
	axis       int
	start, end graph.Dim // end is exclusive; both count from the front
	step       int
}

// parts returns the ranges of a Slice, in any of its versions.
func parts(n *node) (all []part) {
	s := n.shape(0)
	var starts, ends []graph.Dim
	var axes, steps []int
	if n.version < 10 && n.domain == "" {
		starts, ends, axes = graph.Numbers(n.ints("starts")...), graph.Numbers(n.ints("ends")...), n.ints("axes")
	} else {
		starts, ends = n.dims(1), n.dims(2)
		if n.has(3) {
			axes = n.integers(3)
		}
		if n.has(4) {
			steps = n.integers(4)
		}
	}
	if len(starts) != len(ends) || axes != nil && len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		n.invalid("it has %d starts, %d ends, %d axes and %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	for i := range starts {
		p := part{axis: i, step: 1}
		if axes != nil {
			p.axis = axes[i]
		}
		p.axis = n.axis(p.axis, len(s))
		if steps != nil {
			p.step = steps[i]
		}
		if p.step == 0 {
			n.invalid("a step of 0")
		}
		p.start, p.end = n.clamp(starts[i], s[p.axis], p.step, false), n.clamp(ends[i], s[p.axis], p.step, true)
		if length, ok := p.end.Sub(p.start).Number(); ok && length < 0 && p.step > 0 {
			p.end = p.start
		}
		all = append(all, p)
	}
	return all
}

// endless is the smallest number that means the end of any axis in exporters:
// TensorFlow writes this one, others the largest 32- or 64-bit integer.
const endless = 1_000_000_000

// clamp returns a position on an axis of the given size, counted from the front. A
// position that cannot be compared with a named size is kept, as if it were on the axis:
// see Result.Assumes.
func (n *node) clamp(at, size graph.Dim, step int, end bool) graph.Dim {
	number, known := at.Number()
	length, fixed := size.Number()
	least, most := 0, 0 // bounds of the offset from size
	switch {
	case step < 0 && end:
		least, most = -1, -1
	case step < 0:
		most = -1
	}
	switch {
	case known && number >= endless:
		return size.Add(graph.N(most))
	case known && number < -endless:
		return graph.N(least)
	case known && number < 0:
		at = size.Add(at)
	case !known:
		if s, ok := signOf(at); ok && s < 0 {
			at = size.Add(at)
		}
	}
	if !fixed && known && (number > 1 || number < -1) {
		n.r.assumes = true
	}
	if number, known = at.Number(); known && fixed {
		return graph.N(min(max(number, least), length+most))
	}
	return at
}

func readSlice(n *node) *graph.Value {
	x := n.arg(0)
	for _, p := range parts(n) {
		switch {
		case p.step == 1 && p.start.Is(0) && p.end == x.Shape[p.axis]:
		case p.step == 1:
			x = n.b.Slice(x, p.axis, p.start, p.end)
		default:
			x = n.steps(x, p)
		}
	}
	return x
}

// count returns the number of positions of a part whose ends are numbers.
func (p part) count(n *node) (start, count int) {
	start, known := p.start.Number()
	end, fixed := p.end.Number()
	if !known || !fixed {
		n.open("positions %s to %s in steps of %d", p.start, p.end, p.step)
	}
	return start, max(0, (end-start+p.step-sign(p.step))/p.step)
}

// steps picks every step-th position.
func (n *node) steps(x *graph.Value, p part) *graph.Value {
	start, count := p.count(n)
	ids := make([]int64, count)
	for i := range ids {
		ids[i] = int64(start + i*p.step)
	}
	picked := n.b.Const(format.FromInt64s("", []int{count}, ids))
	return n.apply(graph.Gather{Axis: p.axis}, x, picked)
}

func knowSlice(n *node) *elements {
	x := n.carried(0)
	if x == nil {
		return nil
	}
	for _, p := range parts(n) {
		_, known := p.start.Number()
		if _, fixed := p.end.Number(); !known || !fixed {
			return nil // sliced when the graph runs
		}
		start, count := p.count(n)
		x = x.along(p.axis, start, p.step, count)
	}
	return x
}
