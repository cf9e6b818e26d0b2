package graph

import "fmt"

// MatMul is the matrix product (...,M,K) times (...,K,N), whose leading
// dimensions broadcast to one another.
type MatMul struct{}

// Name returns "MatMul".
func (MatMul) Name() string { return "MatMul" }

// Infer returns (...,M,N).
func (MatMul) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	if err := expectFloat(args...); err != nil {
		return nil, err
	}
	a, b := args[0].Shape, args[1].Shape
	m, n := len(a), len(b)
	if m < 2 || n < 2 || a[m-1] != b[n-2] {
		return nil, fmt.Errorf("%s times %s: inner sizes differ", a, b)
	}
	lead, err := broadcast(a[:m-2], b[:n-2])
	if err != nil {
		return nil, fmt.Errorf("%s times %s: %w", a, b, err)
	}
	return one(args[0].DType, append(append(Shape(nil), lead...), a[m-2], b[n-1])), nil
}

// Grad implements Differentiable: of z = x y, dx = dz yᵀ and dy = xᵀ dz.
func (MatMul) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, y, dz := n.Args[0], n.Args[1], dy[0]
	if len(y.Shape) == 2 {
		if rows, known := x.Shape[:len(x.Shape)-1].Elements().Number(); known {
			flat := func(v *Value) *Value { return b.rows(v, rows) }
			dx := b.Reshape(b.Gemm(flat(dz), y, nil, false, true), x.Shape...)
			return []*Value{dx, b.Gemm(flat(x), flat(dz), nil, true, false)}
		}
	}
	return []*Value{
		b.reduceTo(b.MatMul(dz, b.swapped(y)), x.Shape),
		b.reduceTo(b.MatMul(b.swapped(x), dz), y.Shape),
	}
}

// swapped returns v with its last two axes exchanged.
func (b *Builder) swapped(v *Value) *Value {
	perm := axes(v.Shape)
	n := len(perm)
	perm[n-2], perm[n-1] = perm[n-1], perm[n-2]
	return b.Transpose(v, perm...)
}

// rows returns x as a matrix of n rows.
func (b *Builder) rows(x *Value, n int) *Value {
	if len(x.Shape) == 2 {
		return x
	}
	return b.Reshape(x, N(n), x.Shape[len(x.Shape)-1])
}

// Gemm is a b, or a b + c, for matrices; a and b are transposed first if the
// attributes say so, and c broadcasts into the product.
type Gemm struct {
	TransA bool `attr:"transA,omitzero"`
	TransB bool `attr:"transB,omitzero"`
}

// Name returns "Gemm".
func (Gemm) Name() string { return "Gemm" }

// Infer returns (M,N).
func (g Gemm) Infer(args []Type) ([]Type, error) {
	if err := expectFrom(args, 2, 3); err != nil {
		return nil, err
	}
	if err := expectFloat(args...); err != nil {
		return nil, err
	}
	x, y := args[0].Shape, args[1].Shape
	if len(x) != 2 || len(y) != 2 {
		return nil, fmt.Errorf("%s times %s: expected two matrices", x, y)
	}
	transposed := func(s Shape, yes bool) Shape {
		if yes {
			return Shape{s[1], s[0]}
		}
		return s
	}
	p, q := transposed(x, g.TransA), transposed(y, g.TransB)
	out := Shape{p[0], q[1]}
	if p[1] != q[0] {
		return nil, fmt.Errorf("%s times %s: inner sizes differ", p, q)
	}
	if len(args) == 3 && !args[2].Shape.into(out) {
		return nil, fmt.Errorf("%s cannot be added to %s", args[2], out)
	}
	return one(args[0].DType, out), nil
}

// Decompose implements Composite.
func (g Gemm) Decompose(b *Builder, args []*Value) []*Value {
	x, y := args[0], args[1]
	if g.TransA {
		x = b.swapped(x)
	}
	if g.TransB {
		y = b.swapped(y)
	}
	z := b.MatMul(x, y)
	if len(args) == 3 {
		z = b.Add(z, args[2])
	}
	return []*Value{z}
}

// Grad implements Differentiable: of Y = A' B' + C, dA' = dY B'ᵀ and dB' = A'ᵀ dY.
func (g Gemm) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, y, dz := n.Args[0], n.Args[1], dy[0]
	out := make([]*Value, len(n.Args))
	if g.TransA {
		out[0] = b.Gemm(y, dz, nil, g.TransB, true)
	} else {
		out[0] = b.Gemm(dz, y, nil, false, !g.TransB)
	}
	if g.TransB {
		out[1] = b.Gemm(dz, x, nil, true, g.TransA)
	} else {
		out[1] = b.Gemm(x, dz, nil, !g.TransA, false)
	}
	if len(n.Args) == 3 {
		out[2] = b.reduceTo(dz, n.Args[2].Shape)
	}
	return out
}
