package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
)

// broadcast returns the shape to which the given ones broadcast: axis by axis,
// aligned at the last one, an axis of size 1 repeats.
func broadcast(shapes ...Shape) (Shape, error) {
	var out Shape // from the last axis to the first
	for _, s := range shapes {
		for i := range s {
			switch d := s[len(s)-1-i]; {
			case i == len(out):
				out = append(out, d)
			case out[i].Is(1):
				out[i] = d
			case !d.Is(1) && d != out[i]:
				return nil, fmt.Errorf("%s and %s do not broadcast to one shape: axis -%d is %s and %s", shapes[0], s, i+1, out[i], d)
			}
		}
	}
	slices.Reverse(out)
	return out, nil
}

// arithmetic records x op y. A graph holds only operators whose second argument
// broadcasts into the first, so where it is the first that must, the arguments
// are exchanged, a difference becomes a sum, or x is repeated.
func (b *Builder) arithmetic(op Op, x, y *Value) *Value {
	if b.err != nil || !b.own(op.String(), x, y) || y.Shape.into(x.Shape) || x.DType != y.DType {
		return b.op(op, Attr{}, x, y)
	}
	out, err := broadcast(x.Shape, y.Shape)
	switch {
	case err != nil:
		b.fail("graph: %s: %v", op, err)
		return b.op(op, Attr{}, x, y)
	case !x.Shape.into(y.Shape) || op == Div:
		return b.op(op, Attr{}, b.expand(x, out), y)
	case op == Sub:
		return b.op(Add, Attr{}, b.Neg(y), x)
	}
	return b.op(op, Attr{}, y, x)
}

// expand returns x repeated to the shape s that it broadcasts into: added to
// negative zeros, which change no number.
func (b *Builder) expand(x *Value, s Shape) *Value {
	if x.Shape.Equal(s) {
		return x
	}
	zeros := b.ConstantOfShape(math.Copysign(0, -1), s...)
	if x.DType != format.Float32 {
		zeros = b.Cast(zeros, x.DType)
	}
	return b.op(Add, Attr{}, zeros, x)
}
