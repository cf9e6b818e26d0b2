package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// Fold computes what depends on constants alone, and drops what changes
// nothing: a factor 1, a term 0, two moves that undo one another. Const values
// of up to a million elements are made, of 32 MiB together.
func Fold(g *Graph) (*Graph, error) { return fold(g, foldLimit, true) }

// Precompute returns the pass that computes what depends on constants alone,
// Const values of up to so many elements; all together may take 32 MiB, or 8
// bytes for each of so many elements if that is more.
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
		if _, filled := n.Op.(ConstantOfShape); filled { // as it is it takes no room in a file
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

// shortcut returns a Reshape of a Reshape, or a Transpose of a Transpose, as
// one of what that began with.
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

// SliceRanges writes rows of a table at consecutive positions as a Slice of it:
// a learned embedding of positions. No position has to be looked up, and none
// computed on the way.
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

// unchanged returns the argument that the result of n is equal to, or nil.
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

// everyElement reports whether v is a float32 constant of nothing but x.
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
