package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// imageOps are images: resizing, sampling, padding, regions.
var imageOps = []Op{Resize{}, GridSample{}, RoiAlign{}, MaxRoiPool{}, Pad{}}

// sampling are the interpolation modes.
var sampling = []string{"nearest", "linear", "cubic"}

// coordinates are the ways to map a coordinate of a resized axis to the
// original axis.
var coordinates = []string{"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"}

// Resize resamples x along one axis; images are resized one axis after the other.
// Coordinates and Scale map a position of the result to one of the axis, and Mode
// combines the elements around it. These and the other attributes are ONNX's.
type Resize struct {
	Axis           int
	Size           Dim     // of the axis in the result
	Scale          float64 // 0: the new size divided by the old one
	Mode           string  // nearest, linear, cubic
	Coordinates    string
	Nearest        string  `attr:"nearest,omitzero"`
	CubicA         float64 `attr:"cubic_a,omitzero"`
	ExcludeOutside bool    `attr:"exclude_outside,omitzero"`
	Antialias      bool    `attr:"antialias,omitzero"`
	Start          float64 `attr:"start,omitzero"` // the part of the axis for tf_crop_and_resize
	End            float64 `attr:"end,omitzero"`
	Fill           float64 `attr:"fill,omitzero"` // value for positions outside
	// Back is the size of the original axis if a derivative is resized: each
	// element is then added to its source positions.
	Back Dim `attr:"back,omitzero"`
}

// Name returns "Resize".
func (Resize) Name() string { return "Resize" }

// Infer returns the argument's shape with the new size of the axis.
func (r Resize) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	x := args[0]
	if err := expectAxis(r.Axis, x.Shape); err != nil {
		return nil, err
	}
	if r.Mode != "nearest" {
		if err := expectFloat(x); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(sampling, r.Mode) || !slices.Contains(coordinates, r.Coordinates) || !(r.Scale >= 0) {
		return nil, fmt.Errorf("mode %.80q with coordinates %.80q and scale %g", r.Mode, r.Coordinates, r.Scale)
	}
	if r.Mode == "nearest" && !slices.Contains([]string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}, r.Nearest) {
		return nil, fmt.Errorf("the nearest element by %.80q", r.Nearest)
	}
	if !r.Back.Is(0) {
		if x.Shape[r.Axis] != r.Size {
			return nil, fmt.Errorf("a derivative %s of the size %s", x, r.Size)
		}
		return one(x.DType, x.Shape.with(r.Axis, r.Back)), nil
	}
	return one(x.DType, x.Shape.with(r.Axis, r.Size)), nil
}

// Grad implements Differentiable: a derivative goes back to the source positions.
func (r Resize) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if r.Back.Is(0) {
		r.Back = n.Args[0].Shape[r.Axis]
	} else {
		r.Back = N(0)
	}
	return []*Value{b.apply(r, dy[0])}
}

// GridSample samples x (N,C,sizes) at the coordinates of a grid (N,sizes,number
// of sizes), which are -1 to 1 along an axis, the last axis first.
type GridSample struct {
	Mode         string // nearest, linear, cubic
	Padding      string // zeros, border, reflection
	AlignCorners bool   `attr:"align_corners,omitzero"`
}

// Name returns "GridSample".
func (GridSample) Name() string { return "GridSample" }

// Infer returns the channels of x with the sizes of the grid.
func (g GridSample) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	x, grid := args[0], args[1]
	if err := expectFloat(grid); err != nil {
		return nil, err
	}
	axes := len(x.Shape) - 2
	if axes < 1 || !x.DType.Float() || len(grid.Shape) != axes+2 || !grid.Shape[axes+1].Is(axes) || grid.Shape[0] != x.Shape[0] {
		return nil, fmt.Errorf("a grid %s for %s", grid, x)
	}
	if !slices.Contains(sampling, g.Mode) || !slices.Contains([]string{"zeros", "border", "reflection"}, g.Padding) {
		return nil, fmt.Errorf("mode %.80q with padding %.80q", g.Mode, g.Padding)
	}
	return one(x.DType, append(append(Shape(nil), x.Shape[:2]...), grid.Shape[1:axes+1]...)), nil
}

// RoiAlign pools regions of x (N,C,H,W), each into Height·Width elements: the mean,
// or with Max the largest, of sample points. Its other arguments are the regions
// (n,4), as x0, y0, x1, y1, and the image index of each.
type RoiAlign struct {
	Height, Width int
	Samples       int     // points in each direction; 0: as many as there are elements
	Scale         float64 // scale of the regions' coordinates
	HalfPixel     bool    `attr:"half_pixel,omitzero"`
	Max           bool    `attr:"max,omitzero"`
}

// Name returns "RoiAlign".
func (RoiAlign) Name() string { return "RoiAlign" }

// Infer returns the type of (n,C,Height,Width).
func (r RoiAlign) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 3); err != nil {
		return nil, err
	}
	if err := expectRegions(args[0], args[1], 4); err != nil {
		return nil, err
	}
	if bits, _ := args[2].DType.Integer(); bits == 0 || len(args[2].Shape) != 1 || args[2].Shape[0] != args[1].Shape[0] {
		return nil, fmt.Errorf("the images of the regions are %s", args[2])
	}
	return pooled(args, r.Height, r.Width)
}

func expectRegions(x, regions Type, columns int) error {
	if err := expectFloat(x, regions); err != nil {
		return err
	}
	if len(x.Shape) != 4 || len(regions.Shape) != 2 || !regions.Shape[1].Is(columns) {
		return fmt.Errorf("regions %s of %s", regions, x)
	}
	return nil
}

func pooled(args []Type, height, width int) ([]Type, error) {
	if height < 1 || width < 1 {
		return nil, fmt.Errorf("regions as %d·%d elements", height, width)
	}
	return one(args[0].DType, Shape{args[1].Shape[0], args[0].Shape[1], N(height), N(width)}), nil
}

// MaxRoiPool returns the largest elements of parts of regions of x (N,C,H,W). The
// regions are (n,5): the image, x0, y0, x1, y1.
type MaxRoiPool struct {
	Height, Width int
	Scale         float64 // scale of the regions' coordinates
}

// Name returns "MaxRoiPool".
func (MaxRoiPool) Name() string { return "MaxRoiPool" }

// Infer returns the type of (n,C,Height,Width).
func (m MaxRoiPool) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	if err := expectRegions(args[0], args[1], 5); err != nil {
		return nil, err
	}
	return pooled(args, m.Height, m.Width)
}

// Pad adds elements before and after each axis of x, or drops them if the number is
// negative. The new elements are the second argument, or 0 without one; in the
// other modes they repeat the edge, reflect x or wrap around.
type Pad struct {
	Mode          string // constant, edge, reflect, wrap
	Before, After Shape
}

// Name returns "Pad".
func (Pad) Name() string { return "Pad" }

// Infer returns the padded shape.
func (p Pad) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 1, 2); err != nil {
		return nil, err
	}
	x := args[0]
	if len(args) == 2 && (args[1].DType != x.DType || !args[1].Shape.Elements().Is(1)) {
		return nil, fmt.Errorf("%s is padded with %s", x, args[1])
	}
	if !slices.Contains([]string{"constant", "edge", "reflect", "wrap"}, p.Mode) || len(p.Before) != len(x.Shape) || len(p.After) != len(x.Shape) {
		return nil, fmt.Errorf("%s %.80q by %s and %s", x, p.Mode, p.Before, p.After)
	}
	s := append(Shape(nil), x.Shape...)
	for i := range s {
		s[i] = s[i].Add(p.Before[i]).Add(p.After[i])
		if n, known := s[i].Number(); known && n < 0 {
			return nil, fmt.Errorf("axis %d of %s loses more than it has", i, x)
		}
	}
	return one(x.DType, s), nil
}

// Grad implements Differentiable: the derivative of x is cut out. In modes that
// repeat elements the derivative of a copy is added to its source, as by a Gather
// along each axis, which needs its size.
func (p Pad) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if p.Mode != "constant" {
		return b.gradOfDecomposition(padGathers(p), n, dy)
	}
	back := Pad{Mode: "constant", Before: negative(p.Before), After: negative(p.After)}
	out := []*Value{b.apply(back, dy[0]), nil}
	if len(n.Args) == 2 {
		all := make([]int, len(dy[0].Shape))
		for i := range all {
			all[i] = i
		}
		d := b.Sub(b.ReduceSum(dy[0], false, all...), b.ReduceSum(out[0], false, all...))
		out[1] = b.Reshape(d, n.Args[1].Shape...)
	}
	return out[:len(n.Args)]
}

func negative(s Shape) Shape {
	out := make(Shape, len(s))
	for i, d := range s {
		out[i] = d.Mul(N(-1))
	}
	return out
}

// padGathers is a Pad written as one Gather per axis.
type padGathers Pad

func (padGathers) Name() string { return "Pad" }

func (p padGathers) Infer(args []Type) ([]Type, error) { return Pad(p).Infer(args) }

// Decompose implements Composite.
func (p padGathers) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	for axis, d := range x.Shape {
		n, known := d.Number()
		before, fixed := p.Before[axis].Number()
		after, bound := p.After[axis].Number()
		if !known || !fixed || !bound {
			b.fail("graph: the derivative of Pad %.80q of %s: bind the named dimensions first", p.Mode, x.Shape)
			return []*Value{x}
		}
		if before == 0 && after == 0 {
			continue
		}
		ids := make([]int64, n+before+after)
		for i := range ids {
			ids[i] = int64(PadSource(p.Mode, i, before, after, n))
		}
		x = b.apply(Gather{Axis: axis}, x, b.Const(format.FromInt64s("", []int{len(ids)}, ids)))
	}
	return []*Value{x}
}

// PadSource returns the source, on an axis of n elements, of position i of the result
// of Pad. It is negative for the constant. Negative pads drop elements first.
func PadSource(mode string, i, before, after, n int) int {
	first := max(0, -before)
	n -= first + max(0, -after) // number of remaining elements
	i -= max(0, before)
	switch {
	case i >= 0 && i < n:
	case mode == "constant" || n < 1:
		return -1
	case mode == "edge":
		i = min(max(i, 0), n-1)
	case mode == "wrap":
		i = (i%n + n) % n
	default:
		period := max(1, 2*(n-1))
		if i = (i%period + period) % period; i >= n {
			i = period - i
		}
	}
	return first + i
}
