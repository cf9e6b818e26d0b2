package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// signalOps are signals: Fourier transforms, windows, counts of n-grams.
var signalOps = []Op{DFT{}, TfIdfVectorizer{}}

// DFT is the discrete Fourier transform along an axis. The last axis has the real
// and imaginary parts, or only the real part. Length elements are transformed; a
// shorter axis is padded with zeros. With Onesided the second half of the
// frequencies, which mirrors the first, is left out; the inverse then takes the
// first half and returns real numbers.
type DFT struct {
	Axis     int
	Length   Dim
	Inverse  bool `attr:"inverse,omitzero"`
	Onesided bool `attr:"onesided,omitzero"`
}

// Name returns "DFT".
func (DFT) Name() string { return "DFT" }

// Infer returns the type of the frequencies, or of the elements for the inverse.
func (d DFT) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if err := expectFloat(args[0]); err != nil {
		return nil, err
	}
	s, last := args[0].Shape, len(args[0].Shape)-1
	if err := expectAxis(d.Axis, s); err != nil {
		return nil, err
	}
	if d.Axis == last || !s[last].Is(1) && !s[last].Is(2) {
		return nil, fmt.Errorf("axis %d of %s, whose last axis has the parts of numbers", d.Axis, s)
	}
	out, parts := d.Length, N(2)
	switch n, known := d.Length.Number(); {
	case known && n < 1:
		return nil, fmt.Errorf("a transform of %d elements", n)
	case d.Onesided && d.Inverse:
		parts = N(1)
	case d.Onesided && !known:
		return nil, fmt.Errorf("half of %s frequencies", d.Length)
	case d.Onesided:
		out = N(n/2 + 1)
	}
	return one(args[0].DType, s.with(d.Axis, out).with(last, parts)), nil
}

// Grad implements Differentiable. The transform is linear, and its transpose is the
// transform back, up to the number of elements.
func (d DFT) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, g := n.Args[0], dy[0]
	last := len(x.Shape) - 1
	length, known := d.Length.Number()
	size, fixed := x.Shape[d.Axis].Number()
	if !known || !fixed {
		b.fail("graph: the derivative of DFT by %s: bind the named dimensions first", x.Shape)
		return []*Value{nil}
	}
	factor := float64(length)
	switch {
	case d.Inverse:
		factor = 1 / factor
		g = b.apply(DFT{Axis: d.Axis, Length: d.Length}, g)
	case d.Onesided: // the other half has no part in the result
		half, _ := g.Shape[d.Axis].Number()
		g = b.apply(DFT{Axis: d.Axis, Length: d.Length, Inverse: true}, b.padTo(g, d.Axis, half, length))
	default:
		g = b.apply(DFT{Axis: d.Axis, Length: d.Length, Inverse: true}, g)
	}
	g = b.Mul(g, b.like(g, factor))
	if d.Inverse && d.Onesided { // a frequency stands for its mirror too
		weights := make([]float32, length/2+1)
		for i := range weights {
			if weights[i] = 2; i == 0 || 2*i == length {
				weights[i] = 1
			}
		}
		g = b.Slice(g, d.Axis, N(0), N(len(weights)))
		s := make([]int, len(x.Shape))
		for i := range s {
			s[i] = 1
		}
		s[d.Axis] = len(weights)
		g = b.Mul(g, b.typed(g, format.FromFloat32s("", s, weights)))
	}
	if x.Shape[last].Is(1) {
		g = b.Slice(g, last, N(0), N(1))
	}
	now, _ := g.Shape[d.Axis].Number()
	return []*Value{b.padTo(g, d.Axis, now, size)}
}

// padTo returns x with zeros behind its axis of n elements, or cut, so that it has the
// given size.
func (b *Builder) padTo(x *Value, axis, n, size int) *Value {
	if n == size {
		return x
	}
	p := Pad{Mode: "constant", Before: make(Shape, len(x.Shape)), After: make(Shape, len(x.Shape))}
	p.After[axis] = N(size - n)
	return b.apply(p, x)
}

// TfIdfVectorizer counts n-grams in rows of integers. The second argument is a
// vector with the n-grams to count: first those of one element, then from the
// offsets in Counts on those of two, three and so on. N-gram i is counted at
// position Indexes[i]. Up to MaxSkip elements between those of an n-gram are
// skipped, the same number each time. Mode is TF (the counts), IDF (the weights of
// those that occur) or TFIDF (their product). The third argument has the weights by
// position, all 1 if it is missing.
type TfIdfVectorizer struct {
	Min, Max, MaxSkip int
	Mode              string
	Counts, Indexes   []int
}

// Name returns "TfIdfVectorizer".
func (TfIdfVectorizer) Name() string { return "TfIdfVectorizer" }

// Width returns the number of positions.
func (t TfIdfVectorizer) Width() int {
	width := 0
	for _, i := range t.Indexes {
		width = max(width, i+1)
	}
	return width
}

// Infer returns the result type: one position per counted n-gram and row.
func (t TfIdfVectorizer) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 2, 3); err != nil {
		return nil, err
	}
	x := args[0]
	if bits, _ := x.DType.Integer(); bits == 0 || args[1].DType != format.Int64 || len(x.Shape) > 2 || len(args[1].Shape) != 1 {
		return nil, fmt.Errorf("n-grams %s in %s", args[1], x)
	}
	pool, known := args[1].Shape[0].Number()
	for i, at := range t.Counts {
		if at < 0 || known && at > pool || i > 0 && at < t.Counts[i-1] {
			return nil, fmt.Errorf("n-grams of %d elements begin at %d of %d", i+1, at, pool)
		}
	}
	for _, i := range t.Indexes {
		if i < 0 || i >= 1<<31 {
			return nil, fmt.Errorf("an n-gram is counted at place %d", i)
		}
	}
	if t.Mode != "TF" && t.Mode != "IDF" && t.Mode != "TFIDF" {
		return nil, fmt.Errorf("mode %.80q", t.Mode)
	}
	width := N(t.Width())
	if t.Min < 1 || t.Max < t.Min || t.MaxSkip < 0 || len(args) == 3 && !args[2].Shape.Equal(Shape{width}) {
		return nil, fmt.Errorf("n-grams of %d to %d elements with %d between, %s places", t.Min, t.Max, t.MaxSkip, width)
	}
	s := Shape{width}
	if len(x.Shape) == 2 {
		s = Shape{x.Shape[0], width}
	}
	return one(format.Float32, s), nil
}
