package normal

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Result is the outcome of a comparison.
type Result struct {
	Identical bool
	// Of two graphs that differ: the names of the first values that are made in
	// different ways, in the first and in the second graph; "" where there is none.
	A, B   string
	Reason string // what differs there
	// Elements: the same operators compute every output, with other attributes, or other
	// elements of weights or constants beyond what rounding to their type explains.
	Elements bool
	// Added and Lacking name the operators of the second graph that can give another
	// result for some inputs alone (conditions, limits of values, narrower integers) and
	// that the first has fewer of, and the other way round; "" if there are none.
	Added, Lacking string
	// Narrowed names what rounds to a type of fewer digits or a smaller range in the second graph, where the first
	// rounds fewer numbers to that type; "" if nothing does. Numbers that a sample has may be
	// exact in it.
	Narrowed string
}

// Identical reports whether b computes what a does: the same outputs, for every
// input that a takes. It runs in the size of the graphs, and reads each weight
// once. Its error is that of a graph whose operators cannot be decomposed.
func Identical(a, b Model, o Options) (Result, error) {
	t := newTable(o, a.Graph.Context)
	first, err := t.form(a)
	if err != nil {
		return Result{}, err
	}
	t.first = false
	second, err := t.form(b)
	if err != nil {
		return Result{}, err
	}
	return t.compare(first, second), nil
}

// form is a graph whose values have numbers.
type form struct {
	graph   *graph.Graph
	numbers map[*graph.Value]int
	names   map[int]string // the first value with a number
}

// kept are operators that stay whole, because their decomposition needs known
// sizes.
func kept(n *graph.Node) bool {
	switch n.Op.(type) {
	case graph.LSTM, graph.GRU, graph.RNN:
		return true
	}
	return false
}

// Prepare does the part of Identical that is the same for every comparison of a
// model.
func Prepare(m Model) (Model, error) {
	if m.prepared {
		return m, nil
	}
	g, err := graph.Apply(m.Graph, graph.Prune, graph.Decompose(kept))
	return Model{Graph: g, Weights: m.Weights, prepared: true}, err
}

func (t *table) form(m Model) (form, error) {
	m, err := Prepare(m)
	if err != nil {
		return form{}, err
	}
	g := m.Graph
	weights := map[string]format.Tensor{}
	for _, w := range m.Weights {
		weights[w.Name] = w
	}
	f := form{graph: g, numbers: map[*graph.Value]int{}, names: map[int]string{}}
	for _, n := range g.Nodes {
		ids, err := t.node(n, f, weights)
		if err != nil {
			return form{}, err
		}
		for i, v := range n.Results {
			f.numbers[v] = ids[i]
			_, constant := n.Op.(graph.Const) // its name is the graph's own, and says less than that of its reader
			if _, named := f.names[ids[i]]; !named && !constant {
				f.names[ids[i]] = v.Name
			}
		}
	}
	return f, nil
}

func (t *table) node(n *graph.Node, f form, weights map[string]format.Tensor) ([]int, error) {
	v := n.Results[0]
	switch op := n.Op.(type) {
	case graph.Input:
		return []int{t.number("input "+v.Name+" "+t.typeKey(v.Type), expr{op: graph.Input{}, typ: v.Type})}, nil
	case graph.Param:
		w, ok := weights[v.Name]
		if !ok {
			return nil, fmt.Errorf("normal: weight %.80q is missing", v.Name)
		}
		return []int{t.constant(w)}, nil
	case graph.Const:
		return []int{t.constant(op.Value)}, nil
	}
	args := make([]int, len(n.Args))
	for i, a := range n.Args {
		args[i] = f.numbers[a]
	}
	types := make([]graph.Type, len(n.Results))
	for i, r := range n.Results {
		types[i] = r.Type
	}
	return t.apply(n.Op, types, args), nil
}

func (t *table) compare(a, b form) Result {
	for _, in := range b.graph.Inputs {
		i := slices.IndexFunc(a.graph.Inputs, func(v *graph.Value) bool { return v.Name == in.Name })
		if i < 0 {
			return Result{B: in.Name, Reason: "is an input of the second graph only"}
		}
		if x, y := t.typeKey(a.graph.Inputs[i].Type), t.typeKey(in.Type); x != y {
			return Result{A: in.Name, B: in.Name, Reason: fmt.Sprintf("is an input %s, and %s in the second graph", a.graph.Inputs[i].Type, in.Type)}
		}
	}
	for _, in := range a.graph.Inputs {
		if !slices.ContainsFunc(b.graph.Inputs, func(v *graph.Value) bool { return v.Name == in.Name }) {
			return Result{A: in.Name, Reason: "is an input of the first graph only"}
		}
	}
	for _, o := range b.graph.Outputs {
		if !slices.ContainsFunc(a.graph.Outputs, func(p graph.Output) bool { return p.Name == o.Name }) {
			return Result{B: o.Name, Reason: "is an output of the second graph only"}
		}
	}
	d := descent{table: t, a: a, b: b, seen: map[[2]int]bool{}, known: map[int]bool{}}
	for _, id := range a.numbers {
		d.known[id] = true
	}
	for _, o := range a.graph.Outputs {
		i := slices.IndexFunc(b.graph.Outputs, func(p graph.Output) bool { return p.Name == o.Name })
		if i < 0 {
			return Result{A: o.Name, Reason: "is an output of the first graph only"}
		}
		x, y := a.numbers[o.Value], b.numbers[b.graph.Outputs[i].Value]
		if x != y {
			d.output = o.Name
			r := d.first(x, y)
			r.Elements = t.elementsAlone(a, b)
			r.Added, r.Lacking = t.selecting(a, b)
			r.Narrowed = t.narrowing(a, b)
			return r
		}
	}
	return Result{Identical: true}
}

// descent finds where two values begin to differ.
type descent struct {
	*table
	a, b   form
	output string
	known  map[int]bool // the numbers of the first graph
	seen   map[[2]int]bool
	places map[*graph.Graph]map[int]int // see at
}

// first goes from two values that differ to the arguments that differ, as long as
// the same operator makes them.
func (d *descent) first(x, y int) Result {
	named := [2]string{d.output, d.output} // the last values with names on the way
	for {
		if name, ok := d.a.names[x]; ok {
			named[0] = name
		}
		if name, ok := d.b.names[y]; ok {
			named[1] = name
		}
		next := d.differing(x, y)
		if next == nil || d.seen[[2]int{next[0], next[1]}] {
			return Result{A: named[0], B: named[1], Reason: d.describe(x, y)}
		}
		d.seen[[2]int{next[0], next[1]}] = true
		x, y = next[0], next[1]
	}
}

// differing returns the first arguments of two values that differ, nil if their
// operators do.
func (d *descent) differing(x, y int) []int {
	p, q := d.exprs[x], d.exprs[y]
	if p.op == nil || q.op == nil || d.known[y] || d.operator(x) != d.operator(y) || len(p.args) != len(q.args) || p.index != q.index {
		return nil
	}
	if op, is := p.op.(graph.Binary); is && slices.Contains(commutes, op) {
		return d.exchanged(d.terms(op, x, nil), d.terms(op, y, nil))
	}
	for i := range p.args {
		if p.args[i] != q.args[i] {
			return []int{p.args[i], q.args[i]}
		}
	}
	return nil
}

// terms returns what an operator whose arguments can be exchanged joins, with the terms of
// its arguments that the same operator makes.
func (d *descent) terms(op graph.Binary, id int, all []int) []int {
	for _, a := range d.exprs[id].args {
		if d.exprs[a].op == graph.Op(op) && (op == graph.Add || op == graph.Mul) {
			all = d.terms(op, a, all)
		} else {
			all = append(all, a)
		}
	}
	return all
}

// exchanged returns the first terms of two lists that the other has not. Their order is that
// of numbers, which says nothing: they are paired in the order of their graphs.
func (d *descent) exchanged(left, right []int) []int {
	for i := 0; i < len(left); i++ {
		if j := slices.Index(right, left[i]); j >= 0 {
			left, right = slices.Delete(left, i, i+1), slices.Delete(right, j, j+1)
			i--
		}
	}
	if len(left) == 0 || len(left) != len(right) {
		return nil
	}
	slices.SortStableFunc(left, func(i, j int) int { return d.at(d.a, i) - d.at(d.a, j) })
	slices.SortStableFunc(right, func(i, j int) int { return d.at(d.b, i) - d.at(d.b, j) })
	return []int{left[0], right[0]}
}

// at returns the place in a graph of the value with a number, or of the last one that it is
// made of.
func (d *descent) at(f form, id int) int {
	if d.places[f.graph] == nil {
		places := map[int]int{}
		for i, n := range f.graph.Nodes {
			for _, v := range n.Results {
				if _, known := places[f.numbers[v]]; !known {
					places[f.numbers[v]] = i
				}
			}
		}
		if d.places == nil {
			d.places = map[*graph.Graph]map[int]int{}
		}
		d.places[f.graph] = places
	}
	places := d.places[f.graph]
	if i, known := places[id]; known {
		return i
	}
	places[id] = 0 // while it is looked at
	last := 0
	for _, a := range d.exprs[id].args {
		last = max(last, d.at(f, a))
	}
	places[id] = last
	return last
}

func (d *descent) operator(id int) string {
	e := d.exprs[id]
	if e.op == nil {
		return "elements " + d.typeKey(e.typ)
	}
	return e.op.Name() + graph.Attributes(e.op)
}

func (d *descent) describe(x, y int) string {
	p, q := d.exprs[x], d.exprs[y]
	if p.op == nil && q.op == nil {
		if p.typ.String() == q.typ.String() {
			return "holds other elements"
		}
		return fmt.Sprintf("holds %s, and %s in the second graph", p.typ, q.typ)
	}
	return fmt.Sprintf("is %.80s, and %.80s in the second graph", d.operator(x), d.operator(y))
}
