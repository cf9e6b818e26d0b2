package graph

import "fmt"

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
