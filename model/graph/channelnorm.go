package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// channelOps are the normalizations of channels, and the determinant.
var channelOps = []Op{BatchNormalization{}, GroupNormalization{}, Det{}}

// BatchNormalization is (x - mean) / √(variance + ε) · scale + bias for x (N,C,...).
// The other arguments are scale, bias, mean and variance, (C) each (arXiv:1502.03167).
type BatchNormalization struct {
	Epsilon  float64
	Momentum float64 `attr:"momentum,omitzero"` // share of a running moment that a step of training keeps; 0: Momentum
}

// Name returns "BatchNormalization".
func (BatchNormalization) Name() string { return "BatchNormalization" }

// Infer returns the type of x.
func (n BatchNormalization) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 5); err != nil {
		return nil, err
	}
	return []Type{args[0]}, perChannel(args)
}

// perChannel checks that the other arguments have one number per channel of the
// first.
func perChannel(args []Type) error {
	x := args[0].Shape
	if len(x) < 2 {
		return fmt.Errorf("%s has no channels", x)
	}
	for _, t := range args[1:] {
		if !t.Shape.Equal(x[1:2]) {
			return fmt.Errorf("%s for the channels of %s", t, x)
		}
	}
	return expectFloat(args...)
}

// Decompose implements Composite.
func (n BatchNormalization) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	deviation := b.Sqrt(b.Add(args[4], b.like(x, n.Epsilon)))
	y := b.Div(b.Sub(x, b.channels(args[3], x)), b.channels(deviation, x))
	return []*Value{b.Add(b.Mul(y, b.channels(args[1], x)), b.channels(args[2], x))}
}

// channels returns v (C) in a shape that broadcasts along the channels of x.
func (b *Builder) channels(v, x *Value) *Value {
	s := Shape{v.Shape[0]}
	for range len(x.Shape) - 2 {
		s = append(s, N(1))
	}
	return b.Reshape(v, s...)
}

// GroupNormalization normalizes each of NumGroups groups of channels of its first
// argument (N,C,...) to mean 0 and variance 1, then multiplies by scale (C), the second
// argument, and adds bias (C), the third (arXiv:1803.08494). With one group per channel
// it is instance normalization.
type GroupNormalization struct {
	Epsilon   float64
	NumGroups int
}

// Name returns "GroupNormalization".
func (GroupNormalization) Name() string { return "GroupNormalization" }

// Infer returns the type of the first argument.
func (n GroupNormalization) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 3); err != nil {
		return nil, err
	}
	if err := perChannel(args); err != nil {
		return nil, err
	}
	if c, known := args[0].Shape[1].Number(); !known || n.NumGroups < 1 || c%n.NumGroups != 0 {
		return nil, fmt.Errorf("%s in %d groups", args[0].Shape, n.NumGroups)
	}
	return []Type{args[0]}, nil
}

// Decompose implements Composite.
func (n GroupNormalization) Decompose(b *Builder, args []*Value) []*Value {
	x := args[0]
	c, _ := x.Shape[1].Number()
	width := N(c / n.NumGroups).Mul(x.Shape[2:].Elements())
	parts := b.Reshape(x, x.Shape[0], N(n.NumGroups), width)
	d := b.Sub(parts, b.ReduceMean(parts, true, -1))
	deviation := b.Sqrt(b.Add(b.ReduceMean(b.Mul(d, d), true, -1), b.like(x, n.Epsilon)))
	y := b.Reshape(b.Div(d, deviation), x.Shape...)
	return []*Value{b.Add(b.Mul(y, b.channels(args[1], x)), b.channels(args[2], x))}
}

// Det is the determinant of the square matrices in the last two dimensions.
type Det struct{}

// Name returns "Det".
func (Det) Name() string { return "Det" }

// Infer drops the last two dimensions.
func (Det) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	s := args[0].Shape
	if n := len(s); n < 2 || s[n-1] != s[n-2] {
		return nil, errors.New("its argument is not square matrices")
	}
	return one(args[0].DType, s[:len(s)-2]), expectFloat(args...)
}

// mostCofactors bounds the size of matrices that are differentiated: all of their
// cofactors are computed at once.
const mostCofactors = 64

// Grad implements Differentiable: the derivative by an element is its cofactor, the
// determinant with its row replaced by that of the identity. So a matrix without an
// inverse has one too.
func (d Det) Grad(b *Builder, node *Node, dy []*Value) []*Value {
	x := node.Args[0]
	lead, n := x.Shape[:len(x.Shape)-2], 0
	if size, known := x.Shape[len(lead)].Number(); known && size <= mostCofactors {
		n = size
	} else {
		b.fail("graph: the derivative of Det by %s: expected matrices of at most %d rows, with sizes that are numbers", x.Shape, mostCofactors)
		return []*Value{nil}
	}
	identity := make([]float32, n*n)
	replaced := make([]byte, n*n) // row i of copy i
	for i := range n {
		identity[i*n+i], replaced[i*n+i] = 1, 1
	}
	size, one := N(n), N(1)
	rows := b.typed(x, format.FromFloat32s("", []int{1, n, 1, n}, identity)) // of the copies for each column
	at := b.Const(format.Tensor{DType: format.Bool, Shape: []int{n, 1, n, 1}, Data: replaced})
	each := b.Reshape(x, slices.Concat(lead, Shape{one, one, size, size})...)
	cofactors := b.apply(d, b.Where(at, rows, each)) // lead, row, column
	return []*Value{b.Mul(cofactors, b.Reshape(dy[0], slices.Concat(lead, Shape{one, one})...))}
}
