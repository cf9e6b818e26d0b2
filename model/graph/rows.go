package graph

// Rows rewrites operators that treat all tokens alike to matrices of B·T rows
// instead of tensors (B,T,...). Matrix products become Gemm, which includes the
// bias and whose gradients are Gemm again. Named dimensions must be bound,
// since a Gemm has two dimensions. Row matrices get derived names: "logits"
// becomes "logits.rows".
func Rows(g *Graph) (*Graph, error) {
	rewritten, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		rows := inRows(b, n, args)
		for i, r := range rows {
			if v := n.Results[i]; len(v.Shape) >= 3 {
				rows[i] = b.Reshape(b.root().Name(v.Name+".rows", r), v.Shape...)
			}
		}
		return rows
	})
	if err != nil {
		return nil, err
	}
	return Fold(rewritten)
}

// inRows returns the results of n as matrices (or the loss of one), or nil if n
// does not change.
func inRows(b *Builder, n *Node, args []*Value) []*Value {
	if loss, ok := n.Op.(SoftmaxCrossEntropyLoss); ok {
		return lossInRows(b, loss, n, args)
	}
	shape := n.Results[0].Shape
	if len(shape) < 3 || len(args) == 0 {
		return nil
	}
	last := len(shape) - 1
	count, known := shape[:last].Elements().Number()
	if !known {
		return nil
	}
	x := args[0]
	_, view := Is[Reshape](x) // probably of a row matrix
	switch op := n.Op.(type) {
	case Gather: // rows of a matrix
		if len(x.Shape) == 2 && op.Axis == 0 {
			return []*Value{b.Gather(x, b.Reshape(args[1], N(count)))}
		}
	case MatMul:
		if w := args[1]; len(w.Shape) == 2 && len(x.Shape) == len(shape) {
			if t, ok := Is[Transpose](w); ok && t.Perm[0] == 1 { // and not (0,1), which moves nothing
				return []*Value{b.Gemm(b.asRows(x, count), w.Args()[0], nil, false, true)}
			}
			return []*Value{b.Gemm(b.asRows(x, count), w, nil, false, false)}
		}
	case Binary:
		return binaryInRows(b, op, args, shape, count)
	case LayerNormalization, RMSNormalization:
		return b.Apply(op, len(n.Results), append([]*Value{b.asRows(x, count)}, args[1:]...)...)
	case Unary, Gelu, Swish:
		if view {
			return []*Value{b.apply(op, b.asRows(x, count))}
		}
	case Split:
		if op.Axis == last && view {
			return b.Split(b.asRows(x, count), 1, op.Sizes...)
		}
	}
	return nil
}

func lossInRows(b *Builder, loss SoftmaxCrossEntropyLoss, n *Node, args []*Value) []*Value {
	if len(args[0].Shape) != 3 {
		return nil
	}
	x := b.classesLast(args[0])
	count, known := n.Args[1].Shape.Elements().Number()
	if _, view := Is[Reshape](x); !view || !known {
		return nil
	}
	return []*Value{b.apply(loss, b.asRows(x, count), b.Reshape(args[1], N(count)))}
}

func binaryInRows(b *Builder, op Binary, args []*Value, shape Shape, count int) []*Value {
	x, y := args[0], args[1]
	if len(x.Shape) < len(y.Shape) || !x.Shape.Equal(shape) {
		return nil
	}
	if _, view := Is[Reshape](x); !view {
		return nil
	}
	_, other := Is[Reshape](y)
	switch {
	case y.Shape.Equal(x.Shape) && other:
		return []*Value{b.apply(op, b.asRows(x, count), b.asRows(y, count))}
	case len(y.Shape) <= 1:
		x = b.asRows(x, count)
		if gemm, ok := Is[Gemm](x); ok && op == Add && len(x.Args()) == 2 && len(y.Shape) == 1 { // a bias
			return []*Value{b.apply(gemm, x.Args()[0], x.Args()[1], y)}
		}
		return []*Value{b.apply(op, x, y)}
	}
	return nil
}

// asRows returns x as a matrix of n rows. If x is a reshaped row matrix, it
// returns that matrix.
func (b *Builder) asRows(x *Value, n int) *Value {
	if len(x.Shape) == 2 {
		return x
	}
	want := Shape{N(n), x.Shape[len(x.Shape)-1]}
	for base := x; ; {
		if _, view := Is[Reshape](base); !view {
			return b.Reshape(x, want...)
		}
		base = base.Args()[0]
		if base.Shape.Equal(want) {
			return base
		}
		x = base
	}
}
