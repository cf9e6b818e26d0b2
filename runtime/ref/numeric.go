package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
)

// each returns f of every element.
func each(x array, f func(float64) float64) array {
	out := newArray(floats, x.shape)
	for i, v := range x.f {
		out.f[i] = f(v)
	}
	return out
}

// arithmetic returns a op b, b broadcast into a.
func arithmetic(op graph.Op, a, b array) (array, error) {
	out := newArray(a.kind, a.shape)
	pairs := spread(b.shape, a.shape).all()
	switch a.kind {
	case floats:
		for i, at := range pairs {
			x, y := a.f[i], b.f[at]
			switch op {
			case graph.Add:
				out.f[i] = x + y
			case graph.Sub:
				out.f[i] = x - y
			case graph.Mul:
				out.f[i] = x * y
			case graph.Div:
				out.f[i] = x / y
			}
		}
		return out, nil
	case ints:
		for i, at := range pairs {
			x, y := a.i[i], b.i[at]
			switch op {
			case graph.Add:
				out.i[i] = x + y
			case graph.Sub:
				out.i[i] = x - y
			case graph.Mul:
				out.i[i] = x * y
			case graph.Div:
				if y == 0 {
					return array{}, fmt.Errorf("integer %d at %v is divided by zero", x, position(i, a.shape))
				}
				out.i[i] = x / y
			}
		}
		return out, nil
	}
	return array{}, fmt.Errorf("arithmetic on booleans")
}

// sum returns the sum of floats, each broadcast into the shape.
func sum(xs []array, shape []int) array {
	out := newArray(floats, shape)
	for _, x := range xs {
		for i, at := range spread(x.shape, shape).all() {
			out.f[i] += x.f[at]
		}
	}
	return out
}

// equal returns a = b, b broadcast into a.
func equal(a, b array) array {
	out := newArray(bools, a.shape)
	for i, at := range spread(b.shape, a.shape).all() {
		switch a.kind {
		case floats:
			out.b[i] = a.f[i] == b.f[at]
		case ints:
			out.b[i] = a.i[i] == b.i[at]
		case bools:
			out.b[i] = a.b[i] == b.b[at]
		}
	}
	return out
}

// cast returns x as another kind: a float loses its fraction, anything but
// zero is true.
func cast(x array, to kind) (array, error) {
	out := newArray(to, x.shape)
	for i := range x.len() {
		switch {
		case x.kind == floats && to == floats:
			out.f[i] = x.f[i]
		case x.kind == floats && to == ints:
			// -2^63 is a float64, 2^63-1 is not: its neighbour 2^63 is too large.
			if !(x.f[i] >= math.MinInt64 && x.f[i] < -math.MinInt64) {
				return array{}, fmt.Errorf("%g at %v is no int64", x.f[i], position(i, x.shape))
			}
			out.i[i] = int64(x.f[i])
		case x.kind == floats && to == bools:
			out.b[i] = x.f[i] != 0
		case x.kind == ints && to == floats:
			out.f[i] = float64(x.i[i])
		case x.kind == ints && to == ints:
			out.i[i] = x.i[i]
		case x.kind == ints && to == bools:
			out.b[i] = x.i[i] != 0
		case to == bools:
			out.b[i] = x.b[i]
		case x.b[i] && to == floats:
			out.f[i] = 1
		case x.b[i] && to == ints:
			out.i[i] = 1
		}
	}
	return out, nil
}

// reduce returns the sums over the axes, divided by count. Elements are added
// in the order in which x holds them.
func reduce(x array, axes []int, shape []int, count float64) array {
	kept := append([]int(nil), x.shape...)
	for _, axis := range axes {
		kept[axis] = 1
	}
	out := newArray(floats, shape)
	for i, at := range spread(kept, x.shape).all() {
		out.f[at] += x.f[i]
	}
	for i := range out.f {
		out.f[i] /= count
	}
	return out
}

// softmax calls f for every element with the largest of its line along the
// axis and the line's sum of exp(element - largest).
func softmax(x array, axis int, f func(x, top, sum float64) float64) array {
	out := newArray(floats, x.shape)
	if len(out.f) == 0 {
		return out
	}
	n, step := x.shape[axis], whole(x.shape).stride[axis]
	parallel(len(x.f)/n, func(i int) {
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
