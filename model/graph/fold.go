package graph

import (
	"slices"

	"github.com/attnx/attnx/format"
)

// foldLimit is the number of elements up to which a constant is computed ahead:
// a larger one costs more to keep than to compute.
const foldLimit = 1 << 20

// Fold computes what depends on constants alone, and drops what changes
// nothing: a factor 1, a term 0, two moves that undo one another. Const values
// of up to a million elements are made.
func Fold(g *Graph) (*Graph, error) { return fold(g, foldLimit, true) }

// Precompute returns the pass that computes what depends on constants alone,
// Const values of up to so many elements.
func Precompute(limit int) Pass {
	return func(g *Graph) (*Graph, error) { return fold(g, limit, false) }
}

func fold(g *Graph, limit int, simplify bool) (*Graph, error) {
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
		t, ok := format.Tensor{}, false
		if _, filled := n.Op.(ConstantOfShape); !filled { // as it is it takes no room in a file
			if t, ok = fromSizes(n.Op, args); ok {
				ok = t.Elements() <= limit
			}
		}
		if !ok {
			t, ok = fromConstants(n, args, limit)
		}
		if !ok {
			return nil
		}
		return []*Value{b.root().Const(t.WithName(n.Name() + ".const"))}
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

// fromConstants computes an elementwise operator, a Where, a Cast of integers to
// float32 or a Reshape of constants, each element rounded once; ok is
// false for any other node.
func fromConstants(n *Node, args []*Value, limit int) (t format.Tensor, ok bool) {
	out := n.Results[0]
	shape, ok := out.Shape.Numbers()
	if !ok || len(args) == 0 {
		return t, false
	}
	count, ok := format.Elements(shape)
	if !ok || count > limit {
		return t, false
	}
	constants := make([]format.Tensor, len(args))
	for i, a := range args {
		if constants[i], ok = a.Constant(); !ok {
			return t, false
		}
	}
	at := func(arg, i int) int { return args[arg].Shape.within(i, shape) }
	switch op := n.Op.(type) {
	case Reshape:
		return format.Tensor{DType: out.DType, Shape: shape, Data: constants[0].Data}, true
	case Unary:
		x, err := constants[0].Float32s()
		f := op.Float()
		if err != nil || f == nil {
			return t, false
		}
		y := make([]float32, count)
		for i := range y {
			y[i] = float32(f(float64(x[i])))
		}
		return format.FromFloat32s("", shape, y), true
	case Binary:
		return binaryConstant(op, constants[0], constants[1], shape, at)
	case Cast:
		return castConstant(constants[0], op.To)
	case Where:
		size := out.DType.Size()
		data := make([]byte, 0, count*size)
		for i := range count {
			from := 2
			if constants[0].Data[at(0, i)] != 0 {
				from = 1
			}
			j := at(from, i) * size
			data = append(data, constants[from].Data[j:j+size]...)
		}
		return format.Tensor{DType: out.DType, Shape: shape, Data: data}, true
	}
	return t, false
}

func binaryConstant(op Binary, x, y format.Tensor, shape []int, at func(arg, i int) int) (format.Tensor, bool) {
	count, _ := format.Elements(shape)
	switch x.DType {
	case format.Float32:
		p, errX := x.Float32s()
		q, errY := y.Float32s()
		if f := op.Float(); f != nil && errX == nil && errY == nil {
			z := make([]float32, count)
			for i := range z {
				z[i] = float32(f(float64(p[at(0, i)]), float64(q[at(1, i)])))
			}
			return format.FromFloat32s("", shape, z), true
		}
	case format.Int64:
		p, errX := x.Int64s()
		q, errY := y.Int64s()
		if errX != nil || errY != nil {
			return x, false
		}
		if compare := op.Compare(); compare != nil {
			return truths(count, shape, func(i int) bool {
				a, b := p[at(0, i)], q[at(1, i)]
				switch {
				case a < b:
					return compare(-1, true)
				case a > b:
					return compare(1, true)
				}
				return compare(0, true)
			}), true
		}
		z := make([]int64, count)
		for i := range z {
			var err error
			if z[i], err = op.Int()(p[at(0, i)], q[at(1, i)]); err != nil {
				return x, false // whoever runs it says so
			}
		}
		return format.FromInt64s("", shape, z), true
	case format.Bool:
		if logic := op.Logic(); logic != nil {
			return truths(count, shape, func(i int) bool { return logic(x.Data[at(0, i)] != 0, y.Data[at(1, i)] != 0) }), true
		}
	}
	return x, false
}

// castConstant converts integers to float32.
func castConstant(x format.Tensor, to format.DType) (format.Tensor, bool) {
	if x.DType != format.Int64 || to != format.Float32 {
		return x, false
	}
	v, err := x.Int64s()
	if err != nil {
		return x, false
	}
	y := make([]float32, len(v))
	for i, n := range v {
		y[i] = float32(n)
	}
	return format.FromFloat32s("", x.Shape, y), true
}

func truths(count int, shape []int, f func(i int) bool) format.Tensor {
	data := make([]byte, count)
	for i := range data {
		if f(i) {
			data[i] = 1
		}
	}
	return format.Tensor{DType: format.Bool, Shape: shape, Data: data}
}

// within returns the place, in a tensor of shape s broadcast into one of shape
// t, of what is at place i there.
func (s Shape) within(i int, t []int) int {
	place, step := 0, 1
	for axis := len(t) - 1; axis >= 0; axis-- {
		p := i % t[axis]
		i /= t[axis]
		if own := axis - (len(t) - len(s)); own >= 0 {
			if n, _ := s[own].Number(); n != 1 {
				place += p * step
				step *= n
			}
		}
	}
	return place
}
