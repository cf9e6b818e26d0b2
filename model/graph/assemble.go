package graph

import "slices"

// assemble returns the graph with one node for each phase, where the first of its
// results is needed.
func assemble(g *Graph, parts map[*Node]*phase) (*Graph, error) {
	b := NewBuilder()
	for v := range g.Values() {
		b.Reserve(v.Name)
	}
	a := assembling{b: b, parts: parts, now: map[*Value]*Value{}, done: map[*phase]bool{}}
	for _, n := range g.Nodes { // their order is known outside
		if leaf(n.Op) {
			a.node(n)
		}
	}
	for _, n := range g.Nodes {
		a.node(n)
	}
	copyOutputs(b, g, a.now)
	whole, err := b.Graph()
	if err != nil {
		return nil, err
	}
	return Prune(whole)
}

// inOrder reports whether each phase can be computed after all that it needs.
func inOrder(g *Graph, parts map[*Node]*phase) bool {
	begun, done := map[any]bool{}, map[any]bool{}
	var visit func(n *Node) bool
	visit = func(n *Node) bool {
		var unit any = n
		needs := n.Args
		if p := parts[n]; p != nil {
			unit, needs = p, p.inputs
		}
		if begun[unit] {
			return done[unit]
		}
		begun[unit] = true
		done[unit] = !slices.ContainsFunc(needs, func(v *Value) bool { return !visit(v.Node) })
		return done[unit]
	}
	return !slices.ContainsFunc(g.Nodes, func(n *Node) bool { return !visit(n) })
}

type assembling struct {
	b     *Builder
	parts map[*Node]*phase
	now   map[*Value]*Value
	done  map[*phase]bool
}

// node records a node, or the phase that it belongs to, after all that it needs.
func (a *assembling) node(n *Node) {
	p := a.parts[n]
	if p == nil {
		if a.now[n.Results[0]] == nil {
			for i, v := range a.b.clone(n, a.values(n.Args)) {
				a.now[n.Results[i]] = v
			}
		}
		return
	}
	if a.done[p] {
		return
	}
	a.done[p] = true
	args := a.values(p.inputs)
	b := &Builder{recording: a.b.recording, made: true}
	for i, v := range b.Apply(piecewise{p}, len(p.outs), args...) {
		a.now[p.outs[i]] = a.b.Name(p.outs[i].Name, v)
	}
}

func (a *assembling) values(of []*Value) []*Value {
	out := make([]*Value, len(of))
	for i, v := range of {
		if a.now[v] == nil {
			a.node(v.Node)
		}
		out[i] = a.now[v]
	}
	return out
}
