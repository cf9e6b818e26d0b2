package graph

// Rows writes what treats every token alike on matrices of B·T rows instead of
// tensors (B,T,...): matrix products become Gemm, which takes its bias along
// and whose gradients are Gemm again. All letters must be bound, because B·T
// is no size of the graph's. Values that are matrices of rows keep no name of
// their own: "logits" becomes "logits.rows".
func Rows(g *Graph) (*Graph, error) {
	rewritten, err := Rewrite(g, func(b *Builder, v *Value, args []*Value) *Value {
		r := inRows(b, v, args)
		if r == nil {
			return nil
		}
		if len(v.Shape) < 3 {
			return r
		}
		return b.Reshape(b.Name("rows", r), v.Shape...)
	})
	if err != nil {
		return nil, err
	}
	return Fold(rewritten)
}

// inRows returns v as a matrix (or the loss of one), or nil where v stays as
// it is.
func inRows(b *Builder, v *Value, args []*Value) *Value {
	if v.Op == SoftmaxCrossEntropyLoss && len(args[0].Shape) == 3 {
		if x := b.classesLast(args[0]); x.Op == Reshape {
			n, known := v.Args[1].Shape.count()
			if known {
				return b.SoftmaxCrossEntropyLoss(b.asRows(x, n), b.Reshape(args[1], N(n)), v.Attr.IgnoreIndex)
			}
		}
		return nil
	}
	if len(v.Shape) < 3 || len(args) == 0 {
		return nil
	}
	n, known := v.Shape[:len(v.Shape)-1].count()
	if !known {
		return nil
	}
	last := len(v.Shape) - 1
	x := args[0]
	switch v.Op {
	case Gather: // rows of a matrix
		if len(x.Shape) == 2 {
			return b.Gather(x, b.Reshape(args[1], N(n)))
		}
	case MatMul:
		if w := args[1]; len(w.Shape) == 2 {
			if w.Op == Transpose { // (1,0), of rank 2
				return b.Gemm(b.asRows(x, n), w.Args[0], nil, false, true)
			}
			return b.Gemm(b.asRows(x, n), w, nil, false, false)
		}
	case Add, Sub, Mul, Div:
		y := args[1]
		switch {
		case y.Shape.Equal(x.Shape) && x.Op == Reshape && y.Op == Reshape:
			return b.op(v.Op, v.Attr, b.asRows(x, n), b.asRows(y, n))
		case len(y.Shape) <= 1 && x.Op == Reshape:
			x = b.asRows(x, n)
			if v.Op == Add && x.Op == Gemm && len(x.Args) == 2 && len(y.Shape) == 1 { // a bias
				return b.Gemm(x.Args[0], x.Args[1], y, x.Attr.TransA, x.Attr.TransB)
			}
			return b.op(v.Op, v.Attr, x, y)
		}
	case LayerNormalization:
		return b.op(v.Op, v.Attr, b.asRows(x, n), args[1], args[2])
	case Neg, Exp, Log, Sqrt, Tanh, Relu, Gelu:
		if x.Op == Reshape {
			return b.op(v.Op, v.Attr, b.asRows(x, n))
		}
	case Split:
		if v.Attr.Axis == last && x.Op == Reshape {
			a := v.Attr
			a.Axis = 1
			return b.op(Split, a, b.asRows(x, n))
		}
	}
	return nil
}

// asRows returns x as a matrix of n rows, from where it was one if it was.
func (b *Builder) asRows(x *Value, n int) *Value {
	if len(x.Shape) == 2 {
		return x
	}
	width := x.Shape[len(x.Shape)-1]
	want := Shape{N(n), width}
	for base := x; base.Op == Reshape; {
		base = base.Args[0]
		if base.Shape.Equal(want) {
			return base
		}
		x = base
	}
	return b.Reshape(x, want...)
}
