package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// poolOps are the operators that reduce windows.
var poolOps = []Op{MaxPool{}, AveragePool{}, MaxUnpool{}}

// MaxPool is the largest element of every window over the spatial dimensions of
// (N,C,...); padding never counts. The optional second result is the position of that
// element in the whole argument, the first of several: in row-major order, or with
// ColumnMajor in the order in which the first spatial dimension runs fastest. With
// CeilMode a window that extends beyond the pads counts, unless it begins there.
type MaxPool struct {
	KernelShape, Strides, Pads, Dilations []int
	CeilMode                              bool `attr:"ceil_mode,omitzero"`
	ColumnMajor                           bool `attr:"storage_order,omitzero"`
}

// Name returns "MaxPool".
func (MaxPool) Name() string { return "MaxPool" }

func (MaxPool) required() int { return 1 }

func (p MaxPool) sliding() sliding {
	return sliding{p.KernelShape, p.Strides, p.Pads, p.Dilations}
}

// pooled returns the type of the windows over the argument.
func (s sliding) pooled(args []Type, ceil bool) (Type, error) {
	if err := expect(args, 1); err != nil {
		return Type{}, err
	}
	x := args[0]
	if len(x.Shape) < 3 {
		return x, fmt.Errorf("%s has no spatial dimensions", x.Shape)
	}
	out, err := s.over(x.Shape[2:], ceil)
	return Type{x.DType, append(slices.Clone(x.Shape[:2]), out...)}, err
}

// Infer returns (N,C,...) and int64 of the same shape.
func (p MaxPool) Infer(args []Type) ([]Type, error) {
	t, err := p.sliding().pooled(args, p.CeilMode)
	if t.DType == format.Bool {
		return nil, fmt.Errorf("the largest of %s", t)
	}
	return []Type{t, {format.Int64, t.Shape}}, err
}

// Grad implements Differentiable: the derivative goes to the element that was
// the largest.
func (p MaxPool) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x := n.Args[0]
	if dy[0] == nil {
		return []*Value{nil}
	}
	p.ColumnMajor = false
	at := b.Apply(p, 2, x)[1]
	flat := b.zeros(x, x.Shape.Elements())
	d := b.ScatterElements(flat, b.Reshape(at, at.Shape.Elements()), b.Reshape(dy[0], at.Shape.Elements()), 0)
	return []*Value{b.Reshape(d, x.Shape...)}
}

// zeros returns zeros in the type of x.
func (b *Builder) zeros(x *Value, s ...Dim) *Value { return b.filled(x, 0, s...) }

// filled returns a tensor filled with one number in the type of x.
func (b *Builder) filled(x *Value, fill float64, s ...Dim) *Value {
	v := b.ConstantOfShape(fill, s...)
	if x.DType != format.Float32 {
		v = b.Cast(v, x.DType)
	}
	return v
}

// AveragePool is the mean of every window over the spatial dimensions of (N,C,...). It
// divides by the number of the window's elements inside the argument, or with
// CountIncludePad inside the argument and its pads. CeilMode is as in MaxPool.
type AveragePool struct {
	KernelShape, Strides, Pads, Dilations []int
	CeilMode                              bool `attr:"ceil_mode,omitzero"`
	CountIncludePad                       bool `attr:"count_include_pad,omitzero"`
}

// Name returns "AveragePool".
func (AveragePool) Name() string { return "AveragePool" }

func (p AveragePool) sliding() sliding {
	return sliding{p.KernelShape, p.Strides, p.Pads, p.Dilations}
}

// Infer returns (N,C,...).
func (p AveragePool) Infer(args []Type) ([]Type, error) {
	t, err := p.sliding().pooled(args, p.CeilMode)
	if err != nil {
		return nil, err
	}
	return []Type{t}, expectFloat(args...)
}

// Decompose implements Composite: a convolution with ones, divided by the
// convolution of the elements that count.
func (p AveragePool) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	types, err := p.Infer([]Type{x.Type})
	if err != nil {
		b.fail("graph: %v", err)
		return []*Value{x}
	}
	y, s := types[0].Shape, p.sliding()
	dims := len(s.kernel)
	planes := x.Shape[0].Mul(x.Shape[1])
	ones := b.filled(x, 1, append(Shape{N(1), N(1)}, Numbers(s.kernel...)...)...)
	beyond := make([]int, 2*dims) // elements that the last window reads after the pads
	padded := Shape{N(1), N(1)}
	for i := range dims {
		if p.CeilMode {
			beyond[dims+i], _ = s.reach(i, y[2+i]).Sub(x.Shape[2+i]).Number() // a known number, or 0 with stride 1
			beyond[dims+i] = max(0, beyond[dims+i])
		}
		d := x.Shape[2+i]
		if p.CountIncludePad {
			d = d.Add(N(s.pads[i] + s.pads[dims+i]))
		}
		padded = append(padded, d)
	}
	pads := slices.Clone(s.pads)
	for i := range beyond {
		pads[i] += beyond[i]
	}
	sum := b.apply(Conv{Strides: s.strides, Pads: pads, Dilations: s.dilations, Group: 1}, b.Reshape(x, append(Shape{planes, N(1)}, x.Shape[2:]...)...), ones)
	if !p.CountIncludePad {
		beyond = pads
	}
	count := b.apply(Conv{Strides: s.strides, Pads: beyond, Dilations: s.dilations, Group: 1}, b.filled(x, 1, padded...), ones)
	return []*Value{b.Reshape(b.Div(sum, count), y...)}
}

// MaxUnpool is the inverse of MaxPool with indices. It puts the elements of its first
// argument (N,C,...) at the positions in the second, int64 of the same shape, into a
// tensor of Shape, with zeros elsewhere. If several have one position, the last one
// counts.
type MaxUnpool struct{ Shape Shape }

// Name returns "MaxUnpool".
func (MaxUnpool) Name() string { return "MaxUnpool" }

// Infer returns the shape.
func (m MaxUnpool) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	if args[1].DType != format.Int64 || !args[1].Shape.Equal(args[0].Shape) {
		return nil, fmt.Errorf("places %s of %s", args[1], args[0])
	}
	return one(args[0].DType, m.Shape), expectFloat(args[0])
}

// Grad implements Differentiable. Elements with the same position each get the
// derivative.
func (m MaxUnpool) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x := n.Args[0]
	flat := b.Reshape(dy[0], m.Shape.Elements())
	d := b.GatherElements(flat, b.Reshape(n.Args[1], x.Shape.Elements()), 0)
	return []*Value{b.Reshape(d, x.Shape...), nil}
}
