package graph

import (
	"fmt"
	"slices"
)

// GradPrefix stands before a parameter's name in the name of the output that
// is its gradient: "grad.wte.weight".
const GradPrefix = "grad."

// Grad returns the pass that differentiates: after the outputs that are there,
// it hands out for every parameter the derivative of the scalar output called
// loss, in the parameter's shape. What is differentiated are the operators of
// the graph by the rules of gradrules.go, in reverse order; composites have
// rules of their own, which share what the forward pass computes once
// Decompose and Merge have run.
//
// Letters may stay open, except where a rule needs to know a length: it then
// says which to bind.
func Grad(loss string) Pass {
	return func(g *Graph) (*Graph, error) {
		i := slices.IndexFunc(g.Outputs, func(o Output) bool { return o.Name == loss })
		if i < 0 {
			return nil, fmt.Errorf("graph: no output is called %.80q", loss)
		}
		y := g.Outputs[i].Value
		if len(y.Shape) != 0 || !y.DType.Float() {
			return nil, fmt.Errorf("graph: output %.80q is %s%s, a gradient is that of one number", loss, y.DType, y.Shape)
		}
		b := Extend(g)
		grads := b.backward(g, y)
		for _, p := range g.Params {
			d := grads[p]
			if d == nil { // it has no part in the loss
				d = b.Scope(p.Name+".grad").ConstantOfShape(0, p.Shape...)
			}
			if slices.Contains(g.Values, d) || slices.ContainsFunc(b.graph.Outputs, func(o Output) bool { return o.Value == d }) {
				d = b.Identity(d) // a name of its own
			}
			b.Output(GradPrefix+p.Name, b.Name(GradPrefix+p.Name, d))
		}
		full, err := b.Graph()
		if err != nil {
			return nil, err
		}
		return Prune(full)
	}
}

// Extend returns a Builder that goes on after the values and outputs of g,
// which stays as it is.
func Extend(g *Graph) *Builder {
	b := NewBuilder()
	b.graph = Graph{
		Values: slices.Clone(g.Values), Inputs: slices.Clone(g.Inputs),
		Params: slices.Clone(g.Params), Outputs: slices.Clone(g.Outputs),
	}
	for _, v := range g.Values {
		b.names[v.Name] = v
	}
	return b
}

// backward records the derivative of y by every value it depends on.
func (b *Builder) backward(g *Graph, y *Value) map[*Value]*Value {
	learned := map[*Value]bool{} // depends on a parameter, through floating-point values
	for _, v := range g.Values {
		learned[v] = v.Op == Param
		for _, a := range v.Args {
			learned[v] = learned[v] || learned[a]
		}
		learned[v] = learned[v] && v.DType.Float()
	}
	grads := map[*Value]*Value{y: b.Scalar(1)}
	done := map[*Value]bool{}
	for i := len(g.Values) - 1; i >= 0; i-- {
		v := g.Values[i]
		if v.Op.Leaf() || !learned[v] || done[v] {
			continue
		}
		results := siblings(g.Values, v)
		if firstOf(g.Values, results) != v {
			continue // the others' gradients are not all there yet
		}
		dy := make([]*Value, len(results))
		known := false
		for r, w := range results {
			if w != nil {
				dy[r], done[w] = grads[w], true
				known = known || dy[r] != nil
			}
		}
		if !known {
			continue
		}
		rule := gradRules[v.Op]
		if rule == nil {
			b.fail("graph: %s %.80q has no derivative", v.Op, v.Name)
			return grads
		}
		for j, d := range rule(b.Scope(v.Name+".grad"), v, dy) {
			a := v.Args[j]
			switch {
			case d == nil || !learned[a]:
			case grads[a] == nil:
				grads[a] = d
			default:
				grads[a] = b.Scope(a.Name+".grad").accumulate(grads[a], d)
			}
		}
		if b.err != nil {
			return grads
		}
	}
	return grads
}

// accumulate adds two gradients of one value. A matrix product takes the other
// one in as its third argument, and one that is scattered into zeros is
// scattered into the other, which saves a pass over both.
func (b *Builder) accumulate(x, y *Value) *Value {
	for _, p := range [][2]*Value{{y, x}, {x, y}} { // the later one first: it needs the other least
		switch m := p[0]; {
		case m.Op == Gemm && len(m.Args) == 2:
			return b.Gemm(m.Args[0], m.Args[1], p[1], m.Attr.TransA, m.Attr.TransB)
		case m.Op == ScatterElements && everyElement(m.Args[0], 0):
			return b.ScatterElements(p[1], m.Args[1], m.Args[2], m.Attr.Axis)
		}
	}
	return b.Add(x, y)
}

// siblings returns the results of the application of an operator that v is one
// of, by their number; nil for a result that is not used.
func siblings(values []*Value, v *Value) []*Value {
	n := 1
	if v.Op == Split {
		n = len(v.Attr.Sizes)
	}
	out := make([]*Value, max(n, v.Attr.Result+1))
	if n == 1 {
		out[v.Attr.Result] = v
		return out
	}
	for _, w := range values {
		if w.Op == v.Op && w.Args[0] == v.Args[0] && w.Attr.Axis == v.Attr.Axis && slices.Equal(w.Attr.Sizes, v.Attr.Sizes) && out[w.Attr.Result] == nil {
			out[w.Attr.Result] = w
		}
	}
	if out[v.Attr.Result] != v { // the same part twice: on its own
		alone := make([]*Value, n)
		alone[v.Attr.Result] = v
		return alone
	}
	return out
}

// firstOf returns the one of some values that comes first in the graph.
func firstOf(values, some []*Value) *Value {
	for _, v := range values {
		if slices.Contains(some, v) {
			return v
		}
	}
	return nil
}
