package read

import (
	"slices"

	"github.com/attnx/attnx/model/graph"
)

// convFamily is convolutions and their transposes.
var convFamily = family{
	"Conv":                records(func(n *node) *graph.Value { return n.conv(n.arg(0), n.arg(1), n.optional(2)) }),
	"ConvTranspose":       records(readConvTranspose),
	"DeformConv":          records(readDeformConv),
	"Col2Im":              records(readCol2Im),
	"CausalConvWithState": {read: readCausalConv},
}

// conv records a convolution with the node's attributes.
func (n *node) conv(x, w, bias *graph.Value) *graph.Value {
	s := n.windows(n.kernelShape(w.Shape), len(x.Shape)-2)
	n.autoPad(s, x.Shape[2:])
	op := graph.Conv{Strides: s.strides, Pads: s.pads, Dilations: s.dilations, Group: n.int("group", 1)}
	return n.apply(op, n.present(x, w, bias)...)
}

// present drops the last argument if it is nil.
func (n *node) present(args ...*graph.Value) []*graph.Value {
	if last := len(args) - 1; args[last] == nil {
		return args[:last]
	}
	return args
}

// readConvTranspose converts output_shape to pads. Elements that the pads cannot
// provide are zeros at the end, a negative pad.
func readConvTranspose(n *node) *graph.Value {
	x, w, bias := n.arg(0), n.arg(1), n.optional(2)
	dims := len(x.Shape) - 2
	s := n.windows(n.kernelShape(w.Shape), dims)
	extra := n.ints("output_padding")
	if extra == nil {
		extra = make([]int, max(0, dims))
	}
	if len(extra) != dims {
		n.invalid("output_padding %v for %d spatial dimensions", extra, dims)
	}
	mode, sizes := n.text("auto_pad", "NOTSET"), n.ints("output_shape")
	if len(sizes) == dims+2 {
		sizes = sizes[2:] // some exporters name batch and channels too
	}
	same := mode == "SAME_UPPER" || mode == "SAME_LOWER"
	switch {
	case sizes != nil && len(sizes) != dims:
		n.invalid("output_shape %v for %d spatial dimensions", sizes, dims)
	case mode == "VALID" && sizes == nil:
		clear(s.pads)
	}
	for i := range dims {
		total := s.extent(i) + extra[i] - s.strides[i] // SAME: the output size is stride times input size
		if sizes != nil {
			d, known := x.Shape[2+i].Number()
			if !known {
				n.open("output_shape for a dimension of %s", x.Shape[2+i])
			}
			total += s.strides[i]*d - sizes[i]
		} else if !same {
			continue
		}
		s.split(i, max(0, total), mode != "SAME_UPPER")
		if total < 0 {
			s.pads[dims+i] = total
		}
	}
	op := graph.ConvTranspose{Strides: s.strides, Pads: s.pads, Dilations: s.dilations, OutputPadding: extra, Group: n.int("group", 1)}
	return n.apply(op, n.present(x, w, bias)...)
}

// readDeformConv adds the bias, the fourth input, to the result.
func readDeformConv(n *node) *graph.Value {
	x, w := n.arg(0), n.arg(1)
	if len(x.Shape) != 4 {
		n.refuse("%d spatial dimensions", len(x.Shape)-2)
	}
	s := n.windows(n.kernelShape(w.Shape), 2)
	op := graph.DeformConv{Strides: s.strides, Pads: s.pads, Dilations: s.dilations, Group: n.int("group", 1), OffsetGroup: n.int("offset_group", 1)}
	y := n.apply(op, n.present(x, w, n.arg(2), n.optional(4))...)
	if n.has(3) {
		y = n.b.Add(y, n.perChannel(n.arg(3), len(x.Shape)))
	}
	return y
}

// perChannel returns v (C) in a shape that broadcasts along the channels of a tensor
// of the rank.
func (n *node) perChannel(v *graph.Value, rank int) *graph.Value {
	s := slices.Clone(v.Shape)
	for range rank - 2 {
		s = append(s, graph.N(1))
	}
	return n.reshape(v, s)
}

func readCol2Im(n *node) *graph.Value {
	image, block := n.dims(1), n.integers(2)
	s := n.windows(block, len(image))
	return n.apply(graph.Col2Im{Image: image, Block: s.kernel, Strides: s.strides, Pads: s.pads, Dilations: s.dilations}, n.arg(0))
}

// readCausalConv convolves each channel with its earlier elements: the state, or
// zeros. The second result is the state for the following elements.
func readCausalConv(n *node) []*graph.Value {
	x, w, bias, past := n.arg(0), n.arg(1), n.optional(2), n.optional(3)
	sizes, known := w.Shape.Numbers()
	if !known || len(sizes) != 3 || len(x.Shape) != 3 {
		n.refuse("weights %s for %s", w.Shape, x.Shape)
	}
	before := graph.N(sizes[2] - 1)
	if past == nil {
		past = n.b.Expand(n.like(x, 0), x.Shape[0], x.Shape[1], before)
	}
	padded := n.b.Concat(2, past, x)
	op := graph.Conv{Strides: []int{1}, Pads: []int{0, 0}, Dilations: []int{1}, Group: sizes[0]}
	y := n.apply(op, n.present(padded, w, bias)...)
	switch activation := n.text("activation", "none"); activation {
	case "none", "":
	case "silu", "swish":
		y = n.b.SiLU(y)
	default:
		n.refuse("activation %.80q", activation)
	}
	end := padded.Shape[2]
	return []*graph.Value{y, n.b.Slice(padded, 2, end.Sub(before), end)}
}
