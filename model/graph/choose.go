package graph

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/format"
)

// Where selects between two values, which broadcast with the condition: the
// second argument where the first, BOOL, is true, otherwise the third.
type Where struct{}

// Name returns "Where".
func (Where) Name() string { return "Where" }

// Infer broadcasts the shapes.
func (Where) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 3); err != nil {
		return nil, err
	}
	c, x, y := args[0], args[1], args[2]
	if c.DType != format.Bool || x.DType != y.DType {
		return nil, fmt.Errorf("%s ? %s : %s: expected BOOL and two values of one type", c, x, y)
	}
	shape, err := broadcast(c.Shape, x.Shape, y.Shape)
	return one(x.DType, shape), err
}

// Grad implements Differentiable.
func (Where) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	cond, zero := n.Args[0], b.like(dy[0], 0)
	return []*Value{nil,
		b.reduceTo(b.Where(cond, dy[0], zero), n.Args[1].Shape),
		b.reduceTo(b.Where(cond, zero, dy[0]), n.Args[2].Shape)}
}

// Cast converts to another element type: a float loses its fraction, any nonzero
// value is true. With Saturate a number too large for a floating-point type
// becomes its largest number, not infinity or NaN.
type Cast struct {
	To       format.DType
	Saturate bool `attr:"saturate,omitzero"`
}

// Name returns "Cast".
func (Cast) Name() string { return "Cast" }

// Infer returns the argument's shape.
func (c Cast) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if c.To.Size() == 0 {
		return nil, errors.New("it has no element type to convert to")
	}
	return one(c.To, args[0].Shape), nil
}

// Grad implements Differentiable. The derivative by integers, which GradThrough asks for,
// is float32.
func (Cast) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if !n.Args[0].DType.Float() {
		if b.through && ofIntegers(n.Args[0]) {
			return []*Value{b.Cast(dy[0], format.Float32)}
		}
		return []*Value{nil}
	}
	return []*Value{b.Cast(dy[0], n.Args[0].DType)}
}
