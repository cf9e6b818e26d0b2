package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// Fold computes values that depend only on constants, and drops operators
// without effect: a factor 1, a term 0, two moves that cancel. It creates Const
// values of up to a million elements, with a total of 32 MiB.
func Fold(g *Graph) (*Graph, error) { return fold(g, foldLimit, true) }

// Precompute returns the pass that computes values that depend only on
// constants. It creates Const values of up to limit elements. Their total is 32
// MiB, or 8 bytes times limit if that is more.
func Precompute(limit int) Pass {
	return func(g *Graph) (*Graph, error) { return fold(g, limit, false) }
}

func fold(g *Graph, limit int, simplify bool) (*Graph, error) {
	constants := newAhead(limit)
	folded, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		if leaf(n.Op) || len(n.Results) != 1 {
			return nil
		}
		if simplify {
			if v := unchanged(n, args); v != nil {
				return []*Value{v}
			}
			if v := shortcut(b, n.Op, args); v != nil {
				return []*Value{v}
			}
		}
		if _, filled := n.Op.(ConstantOfShape); filled { // in this form it takes no room in a file
			return nil
		}
		t, ok := constants.compute(n.Op, args)
		if !ok {
			return nil
		}
		return []*Value{b.root().Const(t.WithName(""))}
	})
	if err != nil {
		return nil, err
	}
	return Prune(folded)
}

// shortcut merges two successive Reshapes, or two successive Transposes, to
// one. It returns nil if there is nothing to merge.
func shortcut(b *Builder, op Op, args []*Value) *Value {
	switch op := op.(type) {
	case Reshape:
		if _, ok := Is[Reshape](args[0]); ok {
			inner := args[0].Args()[0]
			if inner.Shape.Equal(op.Shape) {
				return inner
			}
			return b.apply(op, inner)
		}
	case Transpose:
		if first, ok := Is[Transpose](args[0]); ok {
			perm := make([]int, len(op.Perm))
			for i, p := range op.Perm {
				perm[i] = first.Perm[p]
			}
			inner := args[0].Args()[0]
			if slices.IsSorted(perm) {
				return inner
			}
			return b.Transpose(inner, perm...)
		}
	}
	return nil
}

// SliceRanges replaces a Gather of consecutive rows of a table by a Slice, as
// for a learned embedding of positions. No position is then computed or looked
// up.
func SliceRanges(g *Graph) (*Graph, error) {
	onlyPositions := func(n *Node) bool {
		_, ok := n.Op.(Positions)
		return !ok
	}
	return Apply(g, Decompose(onlyPositions), func(g *Graph) (*Graph, error) {
		return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
			if gather, ok := n.Op.(Gather); ok && gather.Axis == 0 {
				if r, ok := Is[Range](args[1]); ok {
					return []*Value{b.Slice(args[0], 0, r.Start, r.Limit)}
				}
			}
			return nil
		})
	}, Prune)
}

// unchanged returns the argument that equals the result of n, or nil.
func unchanged(n *Node, args []*Value) *Value {
	out := n.Results[0]
	same := func(v *Value) bool { return v.Shape.Equal(out.Shape) }
	switch op := n.Op.(type) {
	case Binary:
		neutral, ok := map[Binary]float32{Add: 0, Sub: 0, Mul: 1, Div: 1}[op]
		if !ok {
			return nil
		}
		if everyElement(args[1], neutral) && same(args[0]) {
			return args[0]
		}
		if (op == Add || op == Mul) && everyElement(args[0], neutral) && same(args[1]) {
			return args[1]
		}
	case Reshape, Slice, Expand:
		if same(args[0]) {
			return args[0]
		}
	case Transpose:
		if slices.IsSorted(op.Perm) {
			return args[0]
		}
	case Concat:
		if len(args) == 1 {
			return args[0]
		}
	case Cast:
		if args[0].DType == op.To {
			return args[0]
		}
	}
	return nil
}

// everyElement reports whether v is a float32 constant with all elements equal
// to x.
func everyElement(v *Value, x float32) bool {
	if v.DType != format.Float32 {
		return false
	}
	if c, ok := Is[ConstantOfShape](v); ok {
		return c.Fill == float64(x)
	}
	t, ok := v.Constant()
	if !ok {
		return false
	}
	data, err := t.Float32s()
	return err == nil && len(data) > 0 && !slices.ContainsFunc(data, func(e float32) bool { return e != x })
}
