package ref

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// stretch walks two arrays that broadcast into one shape, line by line: a line has n
// elements, and along it an array's position moves by 1 or stays.
type stretch struct {
	n           int
	left, right view // of the first elements of the lines
	steps       [2]int
}

// newStretch makes the lines as long as the shapes allow.
func newStretch(a, b, shape []int) stretch {
	all, _ := format.Elements(shape)
	tail := len(shape)
	for tail > 0 && alongOne(a, b, shape, tail-1) {
		tail--
	}
	s := stretch{n: 1}
	for _, size := range shape[tail:] {
		s.n *= size
	}
	if all == 0 {
		return s
	}
	s.left, s.right = spread(a, shape), spread(b, shape)
	for i, v := range []*view{&s.left, &s.right} {
		if tail < len(shape) && slices.Max(v.stride[tail:]) > 0 {
			s.steps[i] = 1
		}
		v.shape, v.stride = v.shape[:tail], v.stride[:tail]
	}
	return s
}

// alongOne reports whether the last axes from the given one on are one line: each array
// either has all of them or none.
func alongOne(a, b, shape []int, axis int) bool {
	for _, from := range [][]int{a, b} {
		whole, none := true, true
		for i := axis; i < len(shape); i++ {
			size := 1
			if at := i - (len(shape) - len(from)); at >= 0 {
				size = from[at]
			}
			whole = whole && size == shape[i]
			none = none && size == 1
		}
		if !whole && !none {
			return false
		}
	}
	return true
}

// lines calls f for each line, with the position of its first element in the result
// and in both arrays, on all processors.
func (s stretch) lines(f func(i, left, right int)) {
	count, _ := format.Elements(s.left.shape)
	inParts(count, 2*s.n, func(from, to int) {
		next := positions(s.right, from)
		for i, left := range s.left.part(from, to) {
			f(i*s.n, left, next())
		}
	})
}

// positions returns a function that returns the positions of a view one after the
// other, from number from on.
func positions(v view, from int) func() int {
	index := position(from, v.shape)
	at := v.start
	for axis, x := range index {
		at += x * v.stride[axis]
	}
	first := true
	return func() int {
		if first {
			first = false
			return at
		}
		for axis := len(index) - 1; axis >= 0; axis-- {
			index[axis]++
			at += v.stride[axis]
			if index[axis] < v.shape[axis] {
				break
			}
			at -= index[axis] * v.stride[axis]
			index[axis] = 0
		}
		return at
	}
}

// combine sets out to a function of the elements of two arrays that broadcast into its
// shape.
func combine(op graph.Binary, a, b, out array) {
	if len(out.f) == 0 {
		return
	}
	s := newStretch(a.shape, b.shape, out.shape)
	f := op.Float()
	long := func(from, to, left, right int) { combineLine(op, f, out.f[from:to], a.f[left:], b.f[right:], s.steps) }
	if s.n == len(out.f) { // one line: in parts
		inParts(s.n, 2, func(from, to int) { long(from, to, from*s.steps[0], from*s.steps[1]) })
		return
	}
	s.lines(func(i, left, right int) { long(i, i+s.n, left, right) })
}

// combineLine is combine for one line. Arithmetic has loops of its own: a call for
// each element takes longer than it.
func combineLine(op graph.Binary, f func(x, y float64) float64, out, x, y []float64, steps [2]int) {
	if steps == [2]int{1, 1} {
		x, y = x[:len(out)], y[:len(out)]
		switch op {
		case graph.Add:
			for i, v := range x {
				out[i] = v + y[i]
			}
			return
		case graph.Sub:
			for i, v := range x {
				out[i] = v - y[i]
			}
			return
		case graph.Mul:
			for i, v := range x {
				out[i] = v * y[i]
			}
			return
		}
	}
	if steps == [2]int{1, 0} {
		x, z := x[:len(out)], y[0]
		switch op {
		case graph.Add:
			for i, v := range x {
				out[i] = v + z
			}
			return
		case graph.Sub:
			for i, v := range x {
				out[i] = v - z
			}
			return
		case graph.Mul:
			for i, v := range x {
				out[i] = v * z
			}
			return
		case graph.Div:
			for i, v := range x {
				out[i] = v / z
			}
			return
		}
	}
	for i := range out {
		out[i] = f(x[i*steps[0]], y[i*steps[1]])
	}
}
