package ref

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// each returns f of every element.
func each(x array, f func(float64) float64) array {
	out := newArray(floats, x.shape)
	inParts(len(x.f), 8, func(from, to int) {
		for i, v := range x.f[from:to] {
			out.f[from+i] = f(v)
		}
	})
	return out
}

// unary returns a function of every element.
func unary(op graph.Unary, x array) array {
	switch op {
	case graph.Identity:
		return x
	case graph.Not:
		out := newArray(bools, x.shape)
		for i, v := range x.b {
			out.b[i] = !v
		}
		return out
	}
	switch truth := op.Truth(); {
	case x.kind == ints:
		out := newArray(ints, x.shape)
		f := op.Int()
		for i, v := range x.i {
			out.i[i] = f(v)
		}
		return out
	case truth != nil:
		out := newArray(bools, x.shape)
		for i, v := range x.f {
			out.b[i] = truth(v)
		}
		return out
	}
	return each(x, op.Float())
}

// binary returns a function of two arrays that broadcast into the shape.
func binary(op graph.Binary, a, b array, shape []int) (array, error) {
	left, right := places(a.shape, shape), places(b.shape, shape)
	switch compare := op.Compare(); {
	case a.kind == bools:
		out := newArray(bools, shape)
		for i := range out.b {
			out.b[i] = op.Logic()(a.b[left(i)], b.b[right(i)])
		}
		return out, nil
	case compare != nil:
		out := newArray(bools, shape)
		for i := range out.b {
			out.b[i] = compare(order(a, b, left(i), right(i)))
		}
		return out, nil
	case a.kind == ints:
		out := newArray(ints, shape)
		f := integerFunction(op, a.unsigned())
		for i := range out.i {
			var err error
			if out.i[i], err = f(a.i[left(i)], b.i[right(i)]); err != nil {
				return array{}, fmt.Errorf("%d and %d at %v: %w", a.i[left(i)], b.i[right(i)], position(i, shape), err)
			}
		}
		return out, nil
	}
	out := newArray(floats, shape)
	combine(op, a, b, out)
	return out, nil
}

// integerFunction returns the function of a Binary on integers, or on the bits of
// UINT64.
func integerFunction(op graph.Binary, unsigned bool) func(x, y int64) (int64, error) {
	if f := op.Uint(); unsigned && f != nil {
		return func(x, y int64) (int64, error) {
			z, err := f(uint64(x), uint64(y))
			return int64(z), err
		}
	}
	return op.Int()
}

// order compares two numbers: negative if the first is smaller. ordered is
// false if one is NaN.
func order(a, b array, i, j int) (sign int, ordered bool) {
	if a.unsigned() {
		return cmp.Compare(uint64(a.i[i]), uint64(b.i[j])), true
	}
	if a.kind == ints {
		return cmp.Compare(a.i[i], b.i[j]), true
	}
	switch x, y := a.f[i], b.f[j]; {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	case x == y:
		return 0, true
	}
	return 0, false
}

// places returns a function from the index of an element in an array of shape
// into to the index of its source in an array of shape from, which is
// broadcast. It must be called with 0, 1, 2 and so on, each any number of
// times.
func places(from, into []int) func(i int) int { return placesAfter(0, from, into) }

// placesAfter is places for calls with first, first+1 and so on.
func placesAfter(first int, from, into []int) func(i int) int {
	n, _ := format.Elements(from)
	if slices.Equal(from, into) {
		return func(i int) int { return i }
	}
	if n == 1 {
		return func(int) int { return 0 }
	}
	if tail := len(into) - len(from); slices.Equal(from, into[max(0, tail):]) { // the whole array repeats
		return func(i int) int { return i % n }
	}
	v := spread(from, into)
	at, last, index := 0, first, make([]int, len(into))
	if first > 0 {
		index = position(first, into)
	}
	for axis, x := range index {
		at += x * v.stride[axis]
	}
	return func(i int) int {
		for last < i {
			last++
			for axis := len(index) - 1; axis >= 0; axis-- {
				index[axis]++
				at += v.stride[axis]
				if index[axis] < v.shape[axis] {
					break
				}
				at -= index[axis] * v.stride[axis]
				index[axis] = 0
			}
		}
		return at
	}
}

// reduce returns the sum, mean or extreme over the axes. Elements are taken in
// their order in x.
func reduce(op graph.Reduce, x array, shape []int) array {
	count := 1
	for _, axis := range op.Axes {
		count *= x.shape[axis]
	}
	switch op.Kind {
	case graph.ReduceMax:
		return foldExtreme(x, op.Axes, shape, 1)
	case graph.ReduceMin:
		return foldExtreme(x, op.Axes, shape, -1)
	}
	if x.kind == ints {
		return fold(x, op.Axes, shape, func(sum, v int64) int64 { return sum + v }, 0)
	}
	out := fold(x, op.Axes, shape, func(sum, v float64) float64 { return sum + v }, 0)
	if op.Kind == graph.ReduceMean {
		for i := range out.f {
			out.f[i] /= float64(count)
		}
	}
	return out
}

func fill(x []float64, v float64) {
	for i := range x {
		x[i] = v
	}
}

// argMax returns the index of the first largest element along the axis.
func argMax(x array, axis int, shape []int) (array, error) {
	out := newArray(ints, shape)
	n, step := x.shape[axis], whole(x.shape).stride[axis]
	if n == 0 && len(out.i) > 0 {
		return out, fmt.Errorf("axis %d of %v has no largest element", axis, x.shape)
	}
	for i := range out.i {
		first := i/step*step*n + i%step
		best := 0
		for j := range n {
			v, most := x.f[first+j*step], x.f[first+best*step]
			if math.IsNaN(most) {
				break // as in NumPy, the first NaN wins
			}
			if v > most || math.IsNaN(v) {
				best = j
			}
		}
		out.i[i] = int64(best)
	}
	return out, nil
}

// cumSum returns running sums along the axis.
func cumSum(x array, op graph.CumSum) array {
	if x.kind == ints {
		return cumulate(x, op, func(sum, v int64) int64 { return sum + v }, 0)
	}
	return cumulate(x, op, func(sum, v float64) float64 { return sum + v }, 0)
}

// softmax calls f for every element with the largest element of its line along
// the axis and the line's sum of exp(element - largest).
func softmax(x array, axis int, f func(x, top, sum float64) float64) array {
	out := newArray(floats, x.shape)
	if len(out.f) == 0 {
		return out
	}
	n, step := x.shape[axis], whole(x.shape).stride[axis]
	inLines(len(x.f)/n, 16*n, func(i int) {
		first := i/step*step*n + i%step
		top, sum := topAndSum(x.f, first, step, n)
		for j := range n {
			at := first + j*step
			out.f[at] = f(x.f[at], top, sum)
		}
	})
	return out
}

// topAndSum returns the largest of the n elements of x at first, first+step,
// ..., and the sum of exp(element - largest).
func topAndSum(x []float64, first, step, n int) (top, sum float64) {
	top = math.Inf(-1)
	for j := range n {
		top = max(top, x[first+j*step])
	}
	for j := range n {
		sum += math.Exp(x[first+j*step] - top)
	}
	return top, sum
}
