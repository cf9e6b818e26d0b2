package ref

import "github.com/attnx/attnx/format"

// windows slide over the spatial dimensions of an array, which follow batch and
// channels.
type windows struct {
	in, out []int   // sizes of the dimensions, and number of windows along each
	strides []int   // from one window to the next
	taps    [][]int // offset of each element of a window, in the first window
}

// newWindows returns windows with a kernel over dimensions in, with out windows
// along each.
func newWindows(in, out, kernel, strides, pads, dilations []int) windows {
	w := windows{in: in, out: out, strides: strides}
	n, _ := format.Elements(kernel)
	for i := range n {
		tap := position(i, kernel)
		for axis := range tap {
			tap[axis] = tap[axis]*dilations[axis] - pads[axis]
		}
		w.taps = append(w.taps, tap)
	}
	return w
}

// plane returns the number of elements of the spatial dimensions, and places
// the number of windows.
func (w windows) plane() int  { n, _ := format.Elements(w.in); return n }
func (w windows) places() int { n, _ := format.Elements(w.out); return n }

// runs calls f for the windows j0 to j1 in which an element is inside the array: in
// groups of count windows from j on, whose elements are at at, at+step and so on in
// the plane.
func (w windows) runs(tap []int, j0, j1 int, f func(j, count, at, step int)) {
	last := len(w.in) - 1
	width, size, step, offset := w.out[last], w.in[last], w.strides[last], tap[last]
	low, high := 0, 0 // the windows of a row in which the element is inside
	if offset < 0 {
		low = (step - 1 - offset) / step
	}
	if size > offset {
		high = min(width, (size-1-offset)/step+1)
	}
	for row := j0 / width; row*width < j1; row++ {
		first, end := max(low, j0-row*width), min(high, j1-row*width)
		if base, ok := w.row(row, tap); ok && first < end {
			f(row*width+first, end-first, base*size+first*step+offset, step)
		}
	}
}

// row returns the position of an element of a row of windows along all dimensions but
// the last, and whether it is inside these.
func (w windows) row(row int, tap []int) (at int, inside bool) {
	stride := 1
	for axis := len(w.in) - 2; axis >= 0; axis-- {
		i := row%w.out[axis]*w.strides[axis] + tap[axis]
		if i < 0 || i >= w.in[axis] {
			return 0, false
		}
		at += i * stride
		stride *= w.in[axis]
		row /= w.out[axis]
	}
	return at, true
}

// columns packs the matrix with one window per column. Row c·taps+t has element
// t of every window over channel c, zero outside the array.
func (w windows) columns(x []float64) packer {
	plane := w.plane()
	if w.whole() {
		return rowsOf(x, plane)
	}
	return func(to []float64, k0, k1, j0, j1 int) {
		depth := k1 - k0
		clear(to[:(j1-j0+panelWidth-1)/panelWidth*panelWidth*depth])
		for k := k0; k < k1; k++ {
			channel, row := x[k/len(w.taps)*plane:][:plane], (k-k0)*panelWidth
			w.runs(w.taps[k%len(w.taps)], j0, j1, func(j, count, at, step int) {
				for i := j - j0; i < j-j0+count; i++ {
					to[i/panelWidth*depth*panelWidth+row+i%panelWidth] = channel[at]
					at += step
				}
			})
		}
	}
}

// whole reports whether every window is one element, in order.
func (w windows) whole() bool {
	if len(w.taps) != 1 {
		return false
	}
	for axis, n := range w.in {
		if w.out[axis] != n || w.strides[axis] != 1 || w.taps[0][axis] != 0 {
			return false
		}
	}
	return true
}
