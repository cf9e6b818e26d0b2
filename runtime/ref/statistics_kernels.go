package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
)

// statisticsKernels compute normalizations, reductions and losses that attnx's networks do not use.
var statisticsKernels = []kernel{
	certain(func(op graph.ReduceProd, c call) array {
		x := c.args[0]
		if x.kind == ints {
			return fold(x, op.Axes, c.shapes[0], func(p, v int64) int64 { return p * v }, 1)
		}
		return fold(x, op.Axes, c.shapes[0], func(p, v float64) float64 { return p * v }, 1)
	}),
	single(func(op graph.ArgMin, c call) (array, error) { return argMin(c.args[0], op, c.shapes[0]) }),
	certain(func(op graph.CumProd, c call) array {
		x := c.args[0]
		if x.kind == ints {
			return cumulate(x, graph.CumSum(op), func(p, v int64) int64 { return p * v }, 1)
		}
		return cumulate(x, graph.CumSum(op), func(p, v float64) float64 { return p * v }, 1)
	}),
}

// numbers are the types in which the oracle stores numbers.
type numbers interface{ int64 | float64 }

// elementsOf returns the elements of a as slices of type T.
func elementsOf[T numbers](a array) []T {
	var zero T
	if _, ok := any(zero).(int64); ok {
		return any(a.i).([]T)
	}
	return any(a.f).([]T)
}

// fold returns f folded over the axes, starting with start. Elements are taken in
// their order in x.
func fold[T numbers](x array, axes, shape []int, f func(so, v T) T, start T) array {
	kept := append([]int(nil), x.shape...)
	for _, axis := range axes {
		kept[axis] = 1
	}
	out := newArray(x.kind, shape)
	from, to := elementsOf[T](x), elementsOf[T](out)
	for i := range to {
		to[i] = start
	}
	for i, at := range spread(kept, x.shape).all() {
		to[at] = f(to[at], from[i])
	}
	return out
}

// foldExtreme returns the largest elements over the axes, or with sign -1 the
// smallest. Without elements the result is the limit of the type.
func foldExtreme(x array, axes, shape []int, sign int) array {
	if x.kind == floats {
		if sign > 0 {
			return fold(x, axes, shape, func(most, v float64) float64 { return max(most, v) }, math.Inf(-1))
		}
		return fold(x, axes, shape, func(least, v float64) float64 { return min(least, v) }, math.Inf(1))
	}
	bits, signed := x.dtype.Integer()
	least, most := int64(0), int64(1)<<bits-1 // UINT64 is stored by its bits
	if signed {
		least, most = -1<<(bits-1), 1<<(bits-1)-1
	}
	start := least
	if sign < 0 {
		start = most
	}
	return fold(x, axes, shape, func(so, v int64) int64 {
		less := v < so
		if x.unsigned() {
			less = uint64(v) < uint64(so)
		}
		if less == (sign < 0) {
			return v
		}
		return so
	}, start)
}

// cumulate returns f folded over the elements up to each one along the axis.
func cumulate[T numbers](x array, op graph.CumSum, f func(so, v T) T, start T) array {
	out := newArray(x.kind, x.shape)
	from, to := elementsOf[T](x), elementsOf[T](out)
	if len(to) == 0 {
		return out
	}
	n, step := x.shape[op.Axis], whole(x.shape).stride[op.Axis]
	for i := range len(from) / n {
		first := i/step*step*n + i%step
		so := start
		for j := range n {
			at := first + j*step
			if op.Reverse {
				at = first + (n-1-j)*step
			}
			before := so
			so = f(so, from[at])
			to[at] = so
			if op.Exclusive {
				to[at] = before
			}
		}
	}
	return out
}

// argMin returns the index of the first or last smallest element along the axis.
func argMin(x array, op graph.ArgMin, shape []int) (array, error) {
	out := newArray(ints, shape)
	n, step := x.shape[op.Axis], whole(x.shape).stride[op.Axis]
	if n == 0 && len(out.i) > 0 {
		return out, fmt.Errorf("axis %d of %v has no smallest element", op.Axis, x.shape)
	}
	notNumber := func(at int) bool { return x.kind == floats && math.IsNaN(x.f[at]) }
	for i := range out.i {
		first := i/step*step*n + i%step
		place := func(j int) int {
			if op.Last {
				j = n - 1 - j
			}
			return j
		}
		best := 0
		for j := 1; j < n && !notNumber(first+place(best)*step); j++ { // as in NumPy, the first NaN wins
			at := first + place(j)*step
			if o, _ := order(x, x, at, first+place(best)*step); o < 0 || notNumber(at) {
				best = j
			}
		}
		out.i[i] = int64(place(best))
	}
	return out, nil
}
