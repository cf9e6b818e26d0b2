package normal

import (
	"slices"
	"strconv"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// reshape: the order of the elements is the same, so the last shape counts. An
// elementwise function does not see the shape: its arguments are reshaped, if each
// has the result's shape or one number for each position of a last axis that stays.
// So a shape is given where a value is made, whatever comes after.
func (t *table) reshape(x int, shape graph.Shape) int {
	from := t.shape(x)
	if from.Equal(shape) {
		return x
	}
	key := strconv.Itoa(x) + shape.String()
	id, known := t.reshaped[key]
	if !known {
		id = t.reshapedAnew(x, shape)
		t.reshaped[key] = id
		t.reshaped[strconv.Itoa(id)+from.String()] = x
	}
	return id
}

func (t *table) reshapedAnew(x int, shape graph.Shape) int {
	e := t.exprs[x]
	typ := graph.Type{DType: e.typ.DType, Shape: shape}
	if t.moves--; t.moves < 0 {
		return t.value(graph.Reshape{Shape: shape}, typ, 0, x)
	}
	switch op := e.op.(type) {
	case graph.Reshape:
		return t.reshape(t.arg(x), shape)
	case graph.Expand:
		if t.single(t.arg(x)) {
			return t.expand(t.reshape(t.arg(x), graph.Shape{}), shape)
		}
	case graph.Unary:
		return t.unary(op, typ, t.reshape(t.arg(x), shape))
	case graph.Cast:
		return t.cast(op, typ, t.reshape(t.arg(x), shape))
	case graph.Binary:
		args := make([]int, len(e.args))
		for i, a := range e.args {
			switch s := t.shape(a); {
			case s.Equal(e.typ.Shape):
				args[i] = t.reshape(a, shape)
			case t.single(a) && len(s) <= len(shape), t.row(s, e.typ.Shape, shape):
				args[i] = a
			default:
				return t.value(graph.Reshape{Shape: shape}, typ, 0, x)
			}
		}
		return t.elementwise(op, typ, args)
	}
	return t.value(graph.Reshape{Shape: shape}, typ, 0, x)
}

// row reports whether s is one axis, the last one of both shapes.
func (t *table) row(s, from, to graph.Shape) bool {
	return len(s) == 1 && len(from) > 0 && len(to) > 0 && s[0] == from[len(from)-1] && s[0] == to[len(to)-1]
}

// single reports whether a value has one element.
func (t *table) single(id int) bool {
	for _, d := range t.shape(id) {
		if !d.Is(1) {
			return false
		}
	}
	return true
}

// transpose: two permutations are one, and one that moves axes of size 1 alone
// keeps the order of the elements. That of a constant is a constant.
func (t *table) transpose(x int, perm []int) int {
	if first, again := is[graph.Transpose](t, x); again {
		both := make([]int, len(perm))
		for i, p := range perm {
			both[i] = first.Perm[p]
		}
		x, perm = t.arg(x), both
	}
	from := t.shape(x)
	shape := make(graph.Shape, len(perm))
	var moved []int // the axes that have more than one position
	for i, p := range perm {
		if shape[i] = from[p]; !from[p].Is(1) {
			moved = append(moved, p)
		}
	}
	if slices.IsSorted(moved) {
		return t.reshape(x, shape)
	}
	if _, ok := is[graph.Expand](t, x); ok && t.single(t.arg(x)) {
		return t.expand(t.arg(x), shape)
	}
	if c, ok := t.tensor(x); ok {
		if c, ok = transposed(c, perm); ok {
			return t.constant(c)
		}
	}
	return t.value(graph.Transpose{Perm: perm}, graph.Type{DType: t.exprs[x].typ.DType, Shape: shape}, 0, x)
}

// slice: a part of a part is a part, and a part of consecutive numbers is a range.
// A constant counts as the numbers to the context only if it reaches that far: a
// shorter one would end early.
func (t *table) slice(x, axis int, start, limit graph.Dim) int {
	shape := t.shape(x)
	if start.Is(0) && limit == shape[axis] {
		return x
	}
	if outer, again := is[graph.Slice](t, x); again && outer.Axis == axis {
		return t.slice(t.arg(x), axis, outer.Start.Add(start), outer.Start.Add(limit))
	}
	to := slices.Clone(shape)
	to[axis] = limit.Sub(start)
	typ := graph.Type{DType: t.exprs[x].typ.DType, Shape: to}
	if id, ok := t.columns(x, typ, axis, start, limit); ok {
		return id
	}
	if r, ok := is[graph.Range](t, x); ok {
		return t.ranged(graph.Range{Start: r.Start.Add(start), Limit: r.Start.Add(limit)}, typ)
	}
	if c, ok := t.tensor(x); ok {
		first, known := start.Number()
		last, fixed := limit.Number()
		if known && fixed {
			if c, ok = sliced(c, axis, first, last); ok {
				return t.constant(c)
			}
		} else if from, count, ok := counting(c); ok && len(shape) == 1 && t.context > 0 && count >= t.context {
			return t.ranged(graph.Range{Start: start.Add(graph.N(from)), Limit: limit.Add(graph.N(from))}, typ)
		}
	}
	return t.value(graph.Slice{Axis: axis, Start: start, Limit: limit}, typ, 0, x)
}

// columns: columns of a product are those of its second factor, and a bias is cut
// with what it is added to. Tools join products of one value, and exporters cut
// them again.
func (t *table) columns(x int, typ graph.Type, axis int, start, limit graph.Dim) (int, bool) {
	_, known := start.Number()
	if _, fixed := limit.Number(); !known || !fixed || axis != len(typ.Shape)-1 {
		return 0, false
	}
	if t.moves--; t.moves < 0 {
		return 0, false
	}
	e := t.exprs[x]
	switch op := e.op.(type) {
	case graph.Reshape:
		inner := t.shape(t.arg(x))
		if _, product := is[graph.MatMul](t, t.arg(x)); !product || inner[len(inner)-1] != e.typ.Shape[axis] {
			return 0, false
		}
		if part, ok := t.columns(t.arg(x), graph.Type{DType: typ.DType, Shape: graph.Shape{inner[0], typ.Shape[axis]}}, 1, start, limit); ok {
			return t.reshape(part, typ.Shape), true
		}
	case graph.MatMul:
		if _, constant := t.tensor(e.args[1]); constant && len(t.shape(e.args[1])) == 2 {
			return t.matmul(typ, e.args[0], t.slice(e.args[1], 1, start, limit)), true
		}
	case graph.Binary:
		args := slices.Clone(e.args)
		cut := 0
		for i, a := range args {
			s := t.shape(a)
			_, constant := t.tensor(a)
			switch {
			case constant && (len(s) == 0 || s[len(s)-1].Is(1)):
			case constant && len(s) > 0 && s[len(s)-1] == e.typ.Shape[axis]:
				args[i] = t.slice(a, len(s)-1, start, limit)
			case s.Equal(e.typ.Shape):
				if part, ok := t.columns(a, graph.Type{DType: t.exprs[a].typ.DType, Shape: typ.Shape}, axis, start, limit); ok {
					args[i] = part
					cut++
					continue
				}
				return 0, false
			default:
				return 0, false
			}
		}
		if cut == 1 {
			return t.elementwise(op, typ, args), true
		}
	}
	return 0, false
}

// ranged: a range of known numbers is a constant.
func (t *table) ranged(r graph.Range, typ graph.Type) int {
	if c, ok := graph.Compute(r, typ); ok {
		return t.constant(c)
	}
	return t.value(r, typ, 0)
}

// concat: parts within parts are parts, and neighbouring parts of one value are
// one part.
func (t *table) concat(op graph.Concat, typ graph.Type, args []int) int {
	var parts []int
	for _, a := range args {
		if t.shape(a)[op.Axis].Is(0) {
			continue
		}
		if inner, ok := is[graph.Concat](t, a); ok && inner == op {
			parts = append(parts, t.exprs[a].args...)
			continue
		}
		if len(parts) > 0 {
			if both, ok := t.neighbours(op.Axis, parts[len(parts)-1], a); ok {
				parts[len(parts)-1] = both
				continue
			}
		}
		parts = append(parts, a)
	}
	switch len(parts) {
	case 0:
		parts = args
	case 1:
		return parts[0]
	}
	all := make([]format.Tensor, len(parts))
	for i, p := range parts {
		var ok bool
		if all[i], ok = t.tensor(p); !ok {
			return t.value(op, typ, 0, parts...)
		}
	}
	if c, ok := joined(all, op.Axis); ok {
		return t.constant(c)
	}
	return t.value(op, typ, 0, parts...)
}

// neighbours returns two parts of one value as one.
func (t *table) neighbours(axis, a, b int) (int, bool) {
	p, ok := is[graph.Slice](t, a)
	q, too := is[graph.Slice](t, b)
	if !ok || !too || p.Axis != axis || q.Axis != axis || p.Limit != q.Start || t.arg(a) != t.arg(b) {
		return 0, false
	}
	return t.slice(t.arg(a), axis, p.Start, q.Limit), true
}

func (t *table) expand(x int, shape graph.Shape) int {
	if _, again := is[graph.Expand](t, x); again {
		x = t.arg(x)
	}
	if t.shape(x).Equal(shape) {
		return x
	}
	return t.value(graph.Expand{Shape: shape}, graph.Type{DType: t.exprs[x].typ.DType, Shape: shape}, 0, x)
}

// gather: a known id, and consecutive ones, are a part of the axis. Ids before 0
// are not admissible, so it does not matter how they count.
func (t *table) gather(op graph.Gather, typ graph.Type, args []int) int {
	op.FromEnd = false
	table, ids := args[0], args[1]
	if r, ok := is[graph.Range](t, ids); ok {
		return t.slice(table, op.Axis, r.Start, r.Limit)
	}
	if c, ok := t.tensor(ids); ok {
		size, fixed := t.shape(table)[op.Axis].Number()
		v, err := c.Int64s()
		switch {
		case err != nil || len(v) == 0:
		case len(v) == 1:
			at := int(v[0])
			if at < 0 && fixed {
				at += size
			}
			if at >= 0 {
				return t.reshape(t.slice(table, op.Axis, graph.N(at), graph.N(at+1)), typ.Shape)
			}
		default:
			if first, count, ok := counting(c); ok && first >= 0 {
				return t.reshape(t.slice(table, op.Axis, graph.N(first), graph.N(first+count)), typ.Shape)
			}
		}
	}
	return t.value(op, typ, 0, table, ids)
}

// unexpanded returns x without an Expand that broadcasting makes anyway.
func (t *table) unexpanded(shape graph.Shape, x int, others ...int) int {
	if _, ok := is[graph.Expand](t, x); !ok {
		return x
	}
	inner := t.arg(x)
	for axis := range shape {
		covered := false
		for _, id := range append([]int{inner}, others...) {
			s := t.shape(id)
			at := len(s) - len(shape) + axis
			covered = covered || at >= 0 && s[at] == shape[axis]
		}
		if !covered {
			return x
		}
	}
	return inner
}
