package normal

import (
	"math"
	"slices"
	"strconv"

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

// wider lists the element types that hold every number of another.
var wider = map[format.DType][]format.DType{
	format.Bool:     {format.Int64, format.Int32, format.Uint8, format.Float32, format.Float64},
	format.Float16:  {format.Float32, format.Float64},
	format.BFloat16: {format.Float32, format.Float64},
	format.Float32:  {format.Float64},
	format.Int32:    {format.Int64, format.Float64},
	format.Int8:     {format.Int32, format.Int64, format.Float32, format.Float64},
	format.Uint8:    {format.Int32, format.Int64, format.Float32, format.Float64},
}

// cast: to a wider type and back is nothing. Where rounding does not count, neither
// does a cast between floating-point types.
func (t *table) cast(op graph.Cast, typ graph.Type, x int) int {
	from := t.exprs[x].typ.DType
	if from == op.To || t.Rounded && from.Float() && op.To.Float() {
		return x
	}
	if c, ok := t.tensor(x); ok && from.Float() && op.To.Float() {
		if c, _, err := c.Convert(op.To); err == nil {
			return t.constant(c)
		}
	}
	if before, again := is[graph.Cast](t, x); again {
		if first := t.arg(x); t.exprs[first].typ.DType == op.To && slices.Contains(wider[op.To], before.To) {
			return first
		}
	}
	return t.computed(op, typ, x)
}

// computed numbers the result of an operator: a constant if its arguments are.
func (t *table) computed(op graph.Op, typ graph.Type, args ...int) int {
	all := make([]format.Tensor, len(args))
	for i, a := range args {
		var ok bool
		if all[i], ok = t.tensor(a); !ok || t.Rounded && typ.DType.Float() {
			return t.value(op, typ, 0, args...)
		}
	}
	if c, ok := graph.Compute(op, typ, all...); ok {
		return t.constant(c)
	}
	return t.value(op, typ, 0, args...)
}

func (t *table) unary(op graph.Unary, typ graph.Type, x int) int {
	if op == graph.Identity {
		return x
	}
	if before, again := is[graph.Unary](t, x); again && before == op && (op == graph.Neg || op == graph.Not || op == graph.Reciprocal) {
		return t.arg(x)
	}
	if op == graph.Not { // of whole numbers, one of < and ≥ holds
		opposite := map[graph.Binary]graph.Binary{graph.Less: graph.LessOrEqual, graph.LessOrEqual: graph.Less}
		if b, ok := is[graph.Binary](t, x); ok {
			args := t.exprs[x].args
			if bits, _ := t.exprs[args[0]].typ.DType.Integer(); bits > 0 {
				if o, ok := opposite[b]; ok {
					return t.value(o, typ, 0, args[1], args[0])
				}
			}
		}
	}
	return t.computed(op, typ, x)
}

// commutes are the functions whose arguments can be exchanged.
var commutes = []graph.Binary{graph.Add, graph.Mul, graph.Max, graph.Min, graph.Equal, graph.And, graph.Or, graph.Xor, graph.BitwiseAnd, graph.BitwiseOr, graph.BitwiseXor}

// gathers are those of them that take any number of terms, in any order.
var gathers = []graph.Binary{graph.Add, graph.Mul, graph.Max, graph.Min, graph.And, graph.Or}

// mostTerms bounds the terms that are gathered, so that a long chain takes linear
// time.
const mostTerms = 256

func (t *table) binary(op graph.Binary, typ graph.Type, x, y int) int {
	switch op {
	case graph.Greater:
		op, x, y = graph.Less, y, x
	case graph.GreaterOrEqual:
		op, x, y = graph.LessOrEqual, y, x
	}
	if op == graph.Pow && typ.DType.Float() {
		switch n, _ := t.scalar(y); n {
		case 1:
			return t.expand(x, typ.Shape)
		case 2:
			return t.elementwise(graph.Mul, typ, []int{x, x})
		case 0.5:
			return t.expand(t.unary(graph.Sqrt, t.exprs[x].typ, x), typ.Shape)
		}
	}
	if op == graph.Div && typ.DType.Float() { // x/y is x·(1/y)
		op, y = graph.Mul, t.reciprocal(y)
	}
	return t.elementwise(op, typ, []int{x, y})
}

// elementwise numbers a function of two or more arguments that broadcast to a shape.
// The terms of a sum, and the factors of a product, are gathered and sorted.
func (t *table) elementwise(op graph.Binary, typ graph.Type, args []int) int {
	all := slices.Clone(args)
	for i := range all {
		all[i] = t.unexpanded(typ.Shape, all[i], slices.Concat(all[:i], all[i+1:])...)
	}
	for i, a := range all {
		s := t.shape(a)
		if _, constant := t.tensor(a); constant && len(s) > 0 && s[0].Is(1) {
			for len(s) > 0 && s[0].Is(1) { // broadcasting adds leading axes
				s = s[1:]
			}
			all[i] = t.reshape(a, s)
		}
	}
	if slices.Contains(gathers, op) {
		var terms []int
		for _, a := range all {
			if inner, ok := is[graph.Binary](t, a); ok && inner == op && len(t.exprs[a].args) < mostTerms {
				terms = append(terms, t.exprs[a].args...)
			} else {
				terms = append(terms, a)
			}
		}
		all = t.withoutNeutral(op, typ, terms)
		if len(all) == 1 {
			return t.expand(all[0], typ.Shape)
		}
	}
	if slices.Contains(commutes, op) {
		slices.Sort(all)
	}
	if len(all) == 2 {
		if op == graph.Sub || op == graph.Div {
			if v, ok := t.scalar(all[1]); ok && op == graph.Sub && v == 0 && typ.DType.Float() {
				return t.expand(all[0], typ.Shape)
			}
		}
		return t.computed(op, typ, all...)
	}
	return t.value(op, typ, 0, all...)
}

// withoutNeutral drops terms 0 and factors 1, as long as the others have the shape.
func (t *table) withoutNeutral(op graph.Binary, typ graph.Type, terms []int) []int {
	neutral := map[graph.Binary]float64{graph.Add: 0, graph.Mul: 1}
	n, ok := neutral[op]
	if !ok || !typ.DType.Float() {
		return terms
	}
	var out []int
	for _, a := range terms {
		if v, ok := t.scalar(a); !ok || v != n {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return terms[:1]
	}
	return out
}

// reciprocal returns 1/y. Where y is a power of two this is a constant, and
// otherwise not: tools round it.
func (t *table) reciprocal(y int) int {
	e := t.exprs[y]
	if n, ok := t.scalar(y); ok && n != 0 && e.typ.DType == format.Float32 {
		if fraction, _ := math.Frexp(n); fraction == 0.5 || fraction == -0.5 {
			c := format.FromFloat32s("", []int{}, []float32{float32(1 / n)})
			return t.expand(t.reshape(t.constant(c), ones(len(e.typ.Shape))), e.typ.Shape)
		}
	}
	if before, again := is[graph.Unary](t, y); again && before == graph.Reciprocal {
		return t.arg(y)
	}
	return t.value(graph.Reciprocal, e.typ, 0, y)
}

func ones(n int) graph.Shape {
	s := make(graph.Shape, n)
	for i := range s {
		s[i] = graph.N(1)
	}
	return s
}

// scalar returns the number that is each element of a floating-point constant.
func (t *table) scalar(id int) (float64, bool) {
	if _, ok := is[graph.Expand](t, id); ok {
		id = t.arg(id)
	}
	if _, ok := is[graph.Reshape](t, id); ok {
		id = t.arg(id)
	}
	e := t.exprs[id]
	if e.op != nil || !e.typ.DType.Float() || e.leaf.Elements() != 1 {
		return 0, false
	}
	v, err := e.leaf.AsFloat64s()
	if err != nil {
		return 0, false
	}
	return v[0], true
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
