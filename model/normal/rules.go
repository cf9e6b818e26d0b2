package normal

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// apply numbers the results of an operator. Every rule returns values that are
// equal to the operator's for all inputs; an operator without a rule stays as it
// is.
func (t *table) apply(op graph.Op, types []graph.Type, args []int) []int {
	out := types[0]
	one := func(id int) []int { return []int{id} }
	switch op := op.(type) {
	case graph.Reshape:
		return one(t.reshape(args[0], out.Shape))
	case graph.Transpose:
		return one(t.transpose(args[0], op.Perm))
	case graph.Slice:
		return one(t.slice(args[0], op.Axis, op.Start, op.Limit))
	case graph.Split:
		ids := make([]int, len(types))
		at := 0
		for i, n := range op.Sizes {
			if i < len(ids) {
				ids[i] = t.slice(args[0], op.Axis, graph.N(at), graph.N(at+n))
			}
			at += n
		}
		return ids
	case graph.Concat:
		return one(t.concat(op, out, args))
	case graph.Expand:
		return one(t.expand(args[0], out.Shape))
	case graph.ConstantOfShape:
		x := format.FromFloat32s("", []int{}, []float32{float32(op.Fill)})
		return one(t.expand(t.constant(x), out.Shape))
	case graph.Range:
		return one(t.ranged(op, out))
	case graph.Gather:
		return one(t.gather(op, out, args))
	case graph.GatherElements:
		op.FromEnd = false // admissible ids are on the axis
		return one(t.value(op, out, 0, args...))
	case graph.Cast:
		return one(t.cast(op, out, args[0]))
	case graph.Unary:
		return one(t.unary(op, out, args[0]))
	case graph.Binary:
		return one(t.binary(op, out, args[0], args[1]))
	case graph.Where:
		return one(t.where(out, args))
	case graph.Reduce:
		return one(t.reduce(op, out, args[0]))
	case graph.MatMul:
		return one(t.matmul(out, args[0], args[1]))
	}
	ids := make([]int, len(types))
	for i, typ := range types {
		ids[i] = t.value(op, typ, i, args...)
	}
	return ids
}

// where: a negated condition exchanges the values.
func (t *table) where(typ graph.Type, args []int) int {
	c, x, y := args[0], args[1], args[2]
	if u, ok := is[graph.Unary](t, c); ok && u == graph.Not {
		c, x, y = t.arg(c), y, x
	}
	c, x, y = t.unexpanded(typ.Shape, c, x, y), t.unexpanded(typ.Shape, x, c, y), t.unexpanded(typ.Shape, y, c, x)
	if x == y && t.shape(x).Equal(typ.Shape) {
		return x
	}
	return t.computed(graph.Where{}, typ, c, x, y)
}

// reduce keeps the axes and drops them afterwards.
func (t *table) reduce(op graph.Reduce, typ graph.Type, x int) int {
	if op.KeepDims {
		return t.value(op, typ, 0, x)
	}
	kept := slices.Clone(t.shape(x))
	for _, axis := range op.Axes {
		kept[axis] = graph.N(1)
	}
	op.KeepDims = true
	return t.reshape(t.value(op, graph.Type{DType: typ.DType, Shape: kept}, 0, x), typ.Shape)
}

// matmul: a matrix multiplies rows, however they are arranged. A number that scales
// a factor scales the product.
func (t *table) matmul(typ graph.Type, x, y int) int {
	var scales []int
	x, y = t.unscaled(x, &scales), t.unscaled(y, &scales)
	if len(scales) > 0 {
		return t.elementwise(graph.Mul, typ, append(scales, t.matmul(typ, x, y)))
	}
	if s := t.shape(x); len(t.shape(y)) == 2 && len(s) > 2 {
		rows := s[:len(s)-1].Elements()
		flat := graph.Type{DType: typ.DType, Shape: graph.Shape{rows, t.shape(y)[1]}}
		if rows.Valid() {
			return t.reshape(t.matmul(flat, t.reshape(x, graph.Shape{rows, s[len(s)-1]}), y), typ.Shape)
		}
	}
	return t.value(graph.MatMul{}, typ, 0, x, y)
}

// unscaled returns a product without its factors that are single constants.
func (t *table) unscaled(x int, scales *[]int) int {
	e := t.exprs[x]
	if e.op != graph.Op(graph.Mul) {
		return x
	}
	var rest []int
	for _, a := range e.args {
		if _, ok := t.scalar(a); ok && t.single(a) {
			*scales = append(*scales, t.reshape(a, graph.Shape{}))
		} else {
			rest = append(rest, a)
		}
	}
	if len(rest) == 0 || len(rest) == len(e.args) {
		return x
	}
	return t.elementwise(graph.Mul, e.typ, rest)
}
