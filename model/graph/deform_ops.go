package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// DeformConv is Conv over (N,C,H,W) with windows that read between the positions. Each
// element of the kernel is moved by an offset, the third argument
// (N,OffsetGroup·KH·KW·2,OH,OW), height before width. A value between four elements is
// their bilinear interpolation; beyond the argument it is zero (arXiv:1703.06211). The
// optional fourth argument (N,OffsetGroup·KH·KW,OH,OW) multiplies the values that are
// read (arXiv:1811.11168).
type DeformConv struct {
	Strides, Pads, Dilations []int
	Group, OffsetGroup       int
}

// Name returns "DeformConv".
func (DeformConv) Name() string { return "DeformConv" }

// Infer returns (N,M,OH,OW).
func (c DeformConv) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 3, 4); err != nil {
		return nil, err
	}
	if err := expectFloat(args...); err != nil {
		return nil, err
	}
	out, err := Conv{Strides: c.Strides, Pads: c.Pads, Dilations: c.Dilations, Group: c.Group}.Infer(args[:2])
	if err != nil {
		return nil, err
	}
	x, w, y := args[0].Shape, args[1].Shape, out[0].Shape
	channels, known := x[1].Number()
	if len(x) != 4 || !known || c.OffsetGroup < 1 || channels%c.OffsetGroup != 0 {
		return nil, fmt.Errorf("%s in %d groups of offsets", x, c.OffsetGroup)
	}
	places := w[2].Mul(w[3]).Mul(N(c.OffsetGroup))
	for i, t := range args[2:] {
		if !t.Shape.Equal(Shape{x[0], places.Mul(N(2 - i)), y[2], y[3]}) {
			return nil, fmt.Errorf("offsets or mask %s for %s", t.Shape, y)
		}
	}
	return out, nil
}

// Col2Im sums blocks to an image. Its argument (N,C·elements of a block,windows) has
// the blocks of all windows that slide over an image of the spatial shape Image. The
// result is (N,C,Image...).
type Col2Im struct {
	Image                           Shape
	Block, Strides, Pads, Dilations []int
}

// Name returns "Col2Im".
func (Col2Im) Name() string { return "Col2Im" }

// Infer returns (N,C,Image...).
func (c Col2Im) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	windows, err := sliding{c.Block, c.Strides, c.Pads, c.Dilations}.over(c.Image, false)
	if err != nil {
		return nil, err
	}
	x, block := args[0].Shape, 1
	for _, n := range c.Block {
		if block *= n; block > maxWindow {
			return nil, fmt.Errorf("blocks of %v", c.Block)
		}
	}
	if len(x) != 3 || x[2] != windows.Elements() {
		return nil, fmt.Errorf("%s for the %s windows over %s", x, windows, c.Image)
	}
	channels, ok := x[1].Quotient(N(block))
	if !ok {
		return nil, fmt.Errorf("%s as blocks of %v", x, c.Block)
	}
	return one(args[0].DType, append(Shape{x[0], channels}, c.Image...)), expectFloat(args...)
}

// colTerms is a Col2Im written as a transposed convolution, whose weights put each
// element of a block to its place.
type colTerms Col2Im

func (colTerms) Name() string { return "Col2Im" }

func (c colTerms) Infer(args []Type) ([]Type, error) { return Col2Im(c).Infer(args) }

// Decompose implements Composite.
func (c colTerms) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	image, ok := b.numbersOf(c, c.Image)
	if !ok {
		return []*Value{x}
	}
	s := sliding{c.Block, c.Strides, c.Pads, c.Dilations}
	windows, _ := s.over(c.Image, false)
	block := 1
	for _, n := range c.Block {
		block *= n
	}
	channels, _ := x.Shape[1].Quotient(N(block))
	planes := x.Shape[0].Mul(channels)
	t := ConvTranspose{Strides: c.Strides, Pads: c.Pads, Dilations: c.Dilations, Group: 1, OutputPadding: make([]int, len(image))}
	for i, n := range image {
		covered, _ := s.reach(i, windows[i]).Number()
		t.OutputPadding[i] = n - covered
	}
	places := make([]float32, block*block)
	for i := range block {
		places[i*block+i] = 1
	}
	w := b.typed(x, format.FromFloat32s("", append([]int{block, 1}, c.Block...), places))
	y := b.apply(t, b.Reshape(x, append(Shape{planes, N(block)}, windows...)...), w)
	return []*Value{b.Reshape(y, append(Shape{x.Shape[0], channels}, c.Image...)...)}
}

// Grad implements Differentiable: each element of a block gets the derivative of the
// place that it is added to.
func (c Col2Im) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return b.gradOfDecomposition(colTerms(c), n, dy)
}
