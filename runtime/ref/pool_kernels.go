package ref

import (
	"cmp"
	"math"

	"github.com/attnx/attnx/model/graph"
)

// poolKernels reduce windows.
var poolKernels = []kernel{
	certain(func(op graph.AveragePool, c call) array { return averagePool(op, c.args[0], c.shapes[0]) }),
	several(func(op graph.MaxPool, c call) ([]array, error) { return maxPool(op, c), nil }),
	single(func(_ graph.MaxUnpool, c call) (array, error) {
		out := newArray(floats, c.shapes[0])
		if err := checkIDs(c.args[1], len(out.f)); err != nil {
			return out, err
		}
		for i, at := range c.args[1].i {
			out.f[at] = c.args[0].f[i]
		}
		return out, nil
	}),
}

// averagePool returns the mean of every window.
func averagePool(op graph.AveragePool, x array, shape []int) array {
	out := newArray(floats, shape)
	w := newWindows(x.shape[2:], shape[2:], op.KernelShape, op.Strides, op.Pads, op.Dilations)
	plane, places := w.plane(), w.places()
	counted := w
	if op.CountIncludePad { // over the argument and its pads
		dims := len(w.in)
		wide := make([]int, dims)
		for i, n := range w.in {
			wide[i] = n + op.Pads[i] + op.Pads[dims+i]
		}
		counted = newWindows(wide, w.out, op.KernelShape, op.Strides, make([]int, 2*dims), op.Dilations)
	}
	counts := make([]float64, places)
	for _, tap := range counted.taps {
		counted.runs(tap, 0, places, func(j, count, _, _ int) {
			for i := range count {
				counts[j+i]++
			}
		})
	}
	parallel(shape[0]*shape[1], func(i int) {
		from, to := x.f[i*plane:][:plane], out.f[i*places:][:places]
		for _, tap := range w.taps {
			w.runs(tap, 0, places, func(j, count, at, step int) {
				for o := j; o < j+count; o++ {
					to[o] += from[at]
					at += step
				}
			})
		}
		for j, n := range counts {
			to[j] /= n
		}
	})
	return out
}

// maxPool returns the largest element of every window, and its index.
func maxPool(op graph.MaxPool, c call) []array {
	x := c.args[0]
	w := newWindows(x.shape[2:], c.shapes[0][2:], op.KernelShape, op.Strides, op.Pads, op.Dilations)
	out, at := newArray(x.kind, c.shapes[0]), newArray(ints, c.shapes[0])
	fill(out.f, math.Inf(-1))
	plane, places := w.plane(), w.places()
	parallel(at.shape[0]*at.shape[1], func(i int) {
		index := at.i[i*places:][:places]
		for j := range index {
			index[j] = -1
		}
		if x.kind == ints {
			largest(w, x.i[i*plane:][:plane], out.i[i*places:][:places], index)
		} else {
			largest(w, x.f[i*plane:][:plane], out.f[i*places:][:places], index)
		}
		for j := range index {
			if op.ColumnMajor {
				index[j] = columnMajor(int(index[j]), w.in)
			}
			index[j] += int64(i * plane)
		}
	})
	return []array{out, at}
}

// largest sets to the largest element of every window over one channel, and index to
// its position, the first of several. NaN counts as larger than every number.
func largest[T cmp.Ordered](w windows, from, to []T, index []int64) {
	for _, tap := range w.taps {
		w.runs(tap, 0, len(to), func(j, count, at, step int) {
			for o := j; o < j+count; o++ {
				if v := from[at]; v > to[o] || index[o] < 0 || v != v && to[o] == to[o] {
					to[o], index[o] = v, int64(at)
				}
				at += step
			}
		})
	}
}

// columnMajor converts a position to the order in which the first dimension runs
// fastest.
func columnMajor(at int, shape []int) int64 {
	p, out := position(at, shape), 0
	for axis := len(shape) - 1; axis >= 0; axis-- {
		out = out*shape[axis] + p[axis]
	}
	return int64(out)
}
