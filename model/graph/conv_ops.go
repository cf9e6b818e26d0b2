package graph

import (
	"errors"
	"fmt"
	"slices"
)

// convOps are convolutions and their transposes.
var convOps = []Op{Conv{}, ConvTranspose{}, DeformConv{}, Col2Im{}}

// sliding describes how windows slide over the spatial dimensions, which follow
// batch and channels. Window o covers the positions o·stride - pad + k·dilation of
// its dimension, for every k below the kernel's size. The first half of the pads
// is before the dimensions, the second half after them. A negative pad crops.
type sliding struct{ kernel, strides, pads, dilations []int }

// check reports attributes with wrong lengths or values for the given number of
// dimensions.
func (s sliding) check(dims int) error {
	switch {
	case dims < 1:
		return errors.New("no spatial dimensions")
	case len(s.kernel) != dims || len(s.strides) != dims || len(s.dilations) != dims || len(s.pads) != 2*dims:
		return fmt.Errorf("kernel %v, strides %v, dilations %v and pads %v for %d spatial dimensions", s.kernel, s.strides, s.dilations, s.pads, dims)
	}
	for _, list := range [][]int{s.kernel, s.strides, s.dilations} {
		if slices.ContainsFunc(list, func(n int) bool { return n < 1 || n > maxWindow }) {
			return fmt.Errorf("kernel %v, strides %v or dilations %v: expected 1 to %d", s.kernel, s.strides, s.dilations, maxWindow)
		}
	}
	elements := 1
	for _, n := range s.kernel {
		if elements *= n; elements > maxKernel {
			return fmt.Errorf("a kernel %v of more than %d elements", s.kernel, maxKernel)
		}
	}
	if slices.ContainsFunc(s.pads, func(n int) bool { return n < -maxWindow || n > maxWindow }) {
		return fmt.Errorf("pads %v: expected at most %d", s.pads, maxWindow)
	}
	return nil
}

// maxWindow bounds the attributes of windows, so that their products fit in an int.
// maxKernel bounds the elements of a window, because evaluators list them.
const (
	maxWindow = 1 << 24
	maxKernel = 1 << 22
)

// extent returns the number of positions from the first to the last of a
// window.
func (s sliding) extent(axis int) int { return s.dilations[axis]*(s.kernel[axis]-1) + 1 }

// count returns the number of windows over a dimension of size d. With ceil a
// window that extends beyond the pads counts, unless it begins there.
func (s sliding) count(axis int, d Dim, ceil bool) (Dim, error) {
	before, after, stride := s.pads[axis], s.pads[len(s.kernel)+axis], s.strides[axis]
	room := d.Add(N(before + after - s.extent(axis)))
	n, known := room.Number()
	switch {
	case known && n < 0:
		return d, fmt.Errorf("a window of %d positions over a dimension of %s with pads %d and %d", s.extent(axis), d, before, after)
	case known:
		windows := n/stride + 1
		size, _ := d.Number()
		if ceil && n%stride != 0 && windows*stride < size+before {
			windows++
		}
		return N(windows), nil
	case stride == 1:
		return room.Add(N(1)), nil
	case !ceil:
		rest := 0
		if last := room.Terms()[len(room.Terms())-1]; len(last.Symbols) == 0 {
			rest = last.Coefficient
		}
		remainder := (rest%stride + stride) % stride
		if q, ok := room.Sub(N(remainder)).Quotient(N(stride)); ok {
			return q.Add(N(1)), nil
		}
	}
	return d, fmt.Errorf("windows with the stride %d over a dimension of %s, which may leave a remainder", stride, d)
}

// over returns the shape of the windows over the spatial dimensions of x.
func (s sliding) over(spatial Shape, ceil bool) (Shape, error) {
	if err := s.check(len(spatial)); err != nil {
		return nil, err
	}
	out := make(Shape, len(spatial))
	for i, d := range spatial {
		var err error
		if out[i], err = s.count(i, d, ceil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Conv slides weights (M,C/Group,kernel...) over its first argument (N,C,...) and
// adds a bias (M), the optional third argument. Each of the Group groups of channels
// has its own weights. The padding is zero.
type Conv struct {
	Strides, Pads, Dilations []int
	Group                    int
}

// Name returns "Conv".
func (Conv) Name() string { return "Conv" }

func (c Conv) sliding(kernel []int) sliding {
	return sliding{kernel, c.Strides, c.Pads, c.Dilations}
}

// weighted checks the arguments of a convolution and returns the kernel's size.
func weighted(args []Type, group int) ([]int, error) {
	if err := expectFloat(args...); err != nil {
		return nil, err
	}
	x, w := args[0].Shape, args[1].Shape
	if len(x) < 3 || len(w) != len(x) {
		return nil, fmt.Errorf("weights %s for %s", w, x)
	}
	sizes, ok := w.Numbers()
	if !ok || group < 1 || sizes[0]%group != 0 {
		return nil, fmt.Errorf("weights %s in %d groups", w, group)
	}
	return sizes[2:], nil
}

// Infer returns (N,M,...).
func (c Conv) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 2, 3); err != nil {
		return nil, err
	}
	kernel, err := weighted(args, c.Group)
	if err != nil {
		return nil, err
	}
	x, w := args[0].Shape, args[1].Shape
	if x[1] != w[1].Mul(N(c.Group)) || len(args) == 3 && !args[2].Shape.Equal(w[:1]) {
		return nil, fmt.Errorf("weights %s in %d groups, and bias, for %s", w, c.Group, x)
	}
	out, err := c.sliding(kernel).over(x[2:], false)
	return one(args[0].DType, append(Shape{x[0], w[0]}, out...)), err
}

// Grad implements Differentiable. By the first argument it is the transposed
// convolution. By the weights it is the convolution of the argument with dy, with
// batch and channels exchanged, and strides and dilations exchanged.
func (c Conv) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, w, d := n.Args[0], n.Args[1], dy[0]
	out := []*Value{c.gradInput(b, x, w, d), c.gradWeights(b, x, d, w.Shape)}
	if len(n.Args) == 3 {
		out = append(out, b.sumChannels(d))
	}
	return out
}

// sumChannels returns the sum over all dimensions except the second.
func (b *Builder) sumChannels(d *Value) *Value {
	return b.ReduceSum(d, false, slices.Delete(axes(d.Shape), 1, 2)...)
}

// gradInput is the derivative by the first argument. Elements at the end that no
// window covers get zeros.
func (c Conv) gradInput(b *Builder, x, w, dy *Value) *Value {
	t := ConvTranspose{Strides: c.Strides, Pads: c.Pads, Dilations: c.Dilations, Group: c.Group, OutputPadding: make([]int, len(c.Strides))}
	kernel, _ := w.Shape[2:].Numbers()
	for i := range c.Strides {
		rest := x.Shape[2+i].Sub(c.sliding(kernel).reach(i, dy.Shape[2+i]))
		known := false
		if t.OutputPadding[i], known = rest.Number(); !known {
			b.fail("graph: the derivative of Conv by %s: bind the named dimensions first", x.Shape)
		}
	}
	return b.apply(t, dy, w)
}

// reach returns the size of the dimension that the windows cover, without pads.
func (s sliding) reach(axis int, windows Dim) Dim {
	return windows.Sub(N(1)).Mul(N(s.strides[axis])).Add(N(s.extent(axis) - s.pads[axis] - s.pads[len(s.kernel)+axis]))
}

// gradWeights is the derivative by weights of the given shape.
func (c Conv) gradWeights(b *Builder, x, dy *Value, weights Shape) *Value {
	swapped := Conv{Strides: c.Dilations, Dilations: c.Strides, Pads: c.Pads, Group: c.Group}
	g := N(c.Group)
	parts, rank := b.apply(Reshape{append(Shape{x.Shape[0], g, weights[1]}, x.Shape[2:]...)}, x), len(x.Shape)
	perm := append([]int{2, 1, 0}, axes(make(Shape, rank+1))[3:]...)
	parts = b.Transpose(parts, perm...) // (C/G,G,N,...)
	parts = b.Reshape(parts, append(Shape{weights[1], g.Mul(x.Shape[0])}, x.Shape[2:]...)...)
	swap := append([]int{1, 0}, axes(make(Shape, rank))[2:]...)
	d := b.apply(swapped, parts, b.Transpose(dy, swap...)) // (C/G,M,kernel...), larger if windows leave a remainder
	for i := 2; i < rank; i++ {
		if d.Shape[i] != weights[i] {
			d = b.Slice(d, i, N(0), weights[i])
		}
	}
	return b.Transpose(d, swap...)
}

// ConvTranspose is the transpose of Conv by its first argument: every element of
// (N,C,...) adds weights (C,M/Group,kernel...), multiplied by the element, to the
// window that Conv would read. The result has M channels. OutputPadding adds
// positions at the end of each dimension. The optional third argument is a bias.
type ConvTranspose struct {
	Strides, Pads, Dilations, OutputPadding []int
	Group                                   int
}

// Name returns "ConvTranspose".
func (ConvTranspose) Name() string { return "ConvTranspose" }

// Infer returns (N,M,...).
func (c ConvTranspose) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 2, 3); err != nil {
		return nil, err
	}
	kernel, err := weighted(args, c.Group)
	if err != nil {
		return nil, err
	}
	x, w := args[0].Shape, args[1].Shape
	channels := w[1].Mul(N(c.Group))
	if x[1] != w[0] || len(args) == 3 && !args[2].Shape.Equal(Shape{channels}) {
		return nil, fmt.Errorf("weights %s in %d groups, and bias, for %s", w, c.Group, x)
	}
	s := sliding{kernel, c.Strides, c.Pads, c.Dilations}
	if err := s.check(len(x) - 2); err != nil {
		return nil, err
	}
	if len(c.OutputPadding) != len(kernel) {
		return nil, fmt.Errorf("output padding %v of %d dimensions", c.OutputPadding, len(kernel))
	}
	out := Shape{x[0], channels}
	for i, extra := range c.OutputPadding {
		d := s.reach(i, x[2+i]).Add(N(extra))
		if n, known := d.Number(); extra < 0 || extra > maxWindow || known && n < 0 {
			return nil, fmt.Errorf("a dimension of %s, with the output padding %d", d, extra)
		}
		out = append(out, d)
	}
	return one(args[0].DType, out), nil
}

// Grad implements Differentiable: the convolution whose transpose this is.
func (c ConvTranspose) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, w, d := n.Args[0], n.Args[1], dy[0]
	conv := Conv{Strides: c.Strides, Pads: c.Pads, Dilations: c.Dilations, Group: c.Group}
	dx := b.apply(conv, d, w)
	for i := 2; i < len(x.Shape); i++ { // with an output padding of a stride or more, windows read further
		if dx.Shape[i] != x.Shape[i] {
			dx = b.Slice(dx, i, N(0), x.Shape[i])
		}
	}
	out := []*Value{dx, conv.gradWeights(b, d, x, w.Shape)}
	if len(n.Args) == 3 {
		out = append(out, b.sumChannels(d))
	}
	return out
}
