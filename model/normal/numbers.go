package normal

import (
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

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
