package read

import (
	"slices"

	"github.com/attnx/attnx/model/graph"
)

// windows holds the attributes that convolutions and pools share.
type windows struct{ kernel, strides, pads, dilations []int }

// windows returns the attributes for the given number of spatial dimensions, with
// defaults filled in. pads are those of attribute "pads" until autoPad resolves
// auto_pad.
func (n *node) windows(kernel []int, dims int) windows {
	w := windows{kernel: kernel, strides: n.ints("strides"), pads: n.ints("pads"), dilations: n.ints("dilations")}
	if dims < 1 {
		n.invalid("a tensor without spatial dimensions")
	}
	for _, list := range []*[]int{&w.strides, &w.dilations} {
		if *list == nil {
			*list = slices.Repeat([]int{1}, dims)
		}
	}
	if w.pads == nil {
		w.pads = make([]int, 2*dims)
	}
	for _, list := range [][]int{w.kernel, w.strides, w.dilations} {
		if len(list) != dims || slices.ContainsFunc(list, func(v int) bool { return v < 1 || v > 1<<24 }) {
			n.invalid("kernel_shape %v, strides %v or dilations %v for %d spatial dimensions", w.kernel, w.strides, w.dilations, dims)
		}
	}
	if len(w.pads) != 2*dims {
		n.invalid("pads %v for %d spatial dimensions", w.pads, dims)
	}
	return w
}

// extent returns the number of positions from the first to the last of a
// window.
func (w windows) extent(axis int) int { return w.dilations[axis]*(w.kernel[axis]-1) + 1 }

// split sets the pads of an axis to a total. The odd element is at the end, or
// with before at the beginning.
func (w windows) split(axis, total int, before bool) {
	half := total / 2
	if before {
		half = total - half
	}
	w.pads[axis], w.pads[len(w.kernel)+axis] = half, total-half
}

// autoPad resolves auto_pad over dimensions of the given sizes.
func (n *node) autoPad(w windows, spatial graph.Shape) {
	mode := n.text("auto_pad", "NOTSET")
	switch mode {
	case "", "NOTSET":
		return
	case "VALID", "SAME_UPPER", "SAME_LOWER":
		clear(w.pads)
	default:
		n.invalid("auto_pad is %.80q", mode)
	}
	for i, d := range spatial {
		if mode == "VALID" {
			continue
		}
		total := w.extent(i) - 1 // with stride 1 the total does not depend on the size
		if w.strides[i] > 1 {
			size, known := d.Number()
			if !known {
				n.open("auto_pad for a dimension of %s", d)
			}
			total = (size+w.strides[i]-1)/w.strides[i]*w.strides[i] - w.strides[i] + w.extent(i) - size
		}
		w.split(i, max(0, total), mode == "SAME_LOWER")
	}
}

// kernelShape returns the kernel_shape attribute, which must agree with the
// weights' shape from axis 2 on.
func (n *node) kernelShape(weights graph.Shape) []int {
	sizes, ok := weights.Numbers()
	if !ok || len(sizes) < 3 {
		n.refuse("weights of the shape %s", weights)
	}
	if k := n.ints("kernel_shape"); k != nil && !slices.Equal(k, sizes[2:]) {
		n.invalid("kernel_shape %v with weights %s", k, weights)
	}
	return sizes[2:]
}
