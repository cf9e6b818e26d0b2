package graph

import "slices"

// region is what grows around a large value along one of its axes: nodes that compute
// each part of the axis without the others, and whose large values are read by such
// nodes only. Computed part by part, no large value is ever there as a whole.
type region struct {
	*surveyed
	seed   *Value
	thread map[*Node]thread // of its nodes
	copied map[*Node]bool   // those that are computed outside, too: see cheap
	axis   map[*Value]int   // of values that are cut
}

// surveyed is a graph with what regions need to know of it.
type surveyed struct {
	g     *Graph
	users map[*Value][]*Node
	out   map[*Value]bool // outputs of the graph
	light map[*Value]bool // see cheap
}

func survey(g *Graph) *surveyed {
	s := &surveyed{g: g, users: map[*Value][]*Node{}, out: map[*Value]bool{}, light: map[*Value]bool{}}
	for _, n := range g.Nodes {
		for i, a := range n.Args {
			if !slices.Contains(n.Args[:i], a) {
				s.users[a] = append(s.users[a], n)
			}
		}
	}
	for _, o := range g.Outputs {
		s.out[o.Value] = true
	}
	return s
}

func elements(v *Value) int64 {
	n, _ := v.Shape.Elements().Number()
	return int64(n)
}

// muchSmaller is how many times larger than what it is computed from a value must be,
// for its nodes to be worth computing in parts. Hidden layers, of four times the width
// of a network, are not.
const muchSmaller = 4

// large reports whether a value must not be there as a whole.
func (r *region) large(v *Value) bool { return elements(v)*muchSmaller > elements(r.seed) }

// cheap reports whether v is computed from smaller values without sums: a mask, a bias
// that is looked up. Each region computes its own parts of it.
func (r *region) cheap(v *Value) bool {
	if known, ok := r.light[v]; ok {
		return known
	}
	switch v.Op().(type) {
	case Unary, Cast, Binary, Where, Expand, ConstantOfShape, Slice, Concat, GatherElements, OneHot, Gather, Transpose, Reshape:
	default:
		r.light[v] = false
		return false
	}
	r.light[v] = false // while it is looked at
	for _, a := range v.Args() {
		if !a.Leaf() && elements(a)*muchSmaller > elements(v) && !r.cheap(a) {
			return false
		}
	}
	r.light[v] = true
	return true
}

// sums reports whether v is smaller than what it is computed from, which is cheap.
func (r *region) sums(v *Value) bool {
	return !r.large(v) && slices.ContainsFunc(v.Args(), func(a *Value) bool { return !a.Leaf() && r.large(a) && r.cheap(a) })
}

// grow returns the region of a value along an axis, or nil if one of its large values
// would have to be whole.
func (s *surveyed) grow(seed *Value, axis int) *region {
	r := &region{surveyed: s, seed: seed, thread: map[*Node]thread{}, copied: map[*Node]bool{}, axis: map[*Value]int{}}
	t, ok := byResult(seed.Node, seed.Index, axis)
	if !ok || !r.absorb(seed.Node, t, false) || !r.local() {
		return nil
	}
	for n, t := range r.thread {
		for i, a := range n.Args {
			if t.args[i] == entire && r.inside(a) && r.large(a) {
				return nil
			}
		}
	}
	return r
}

// inside reports whether parts of v are computed in the region.
func (r *region) inside(v *Value) bool {
	t, ok := r.thread[v.Node]
	return ok && t.results[v.Index] >= 0
}

// cut notes the axis along which v is cut. It returns false if that is another one
// already.
func (r *region) cut(v *Value, axis int) bool {
	if before, ok := r.axis[v]; ok {
		return before == axis
	}
	r.axis[v] = axis
	return true
}

// absorb adds a node, with all that must come with it.
func (r *region) absorb(n *Node, t thread, copied bool) bool {
	if before, ok := r.thread[n]; ok {
		return slices.Equal(before.args, t.args) && slices.Equal(before.results, t.results)
	}
	r.thread[n] = t
	if copied {
		r.copied[n] = true
	}
	for i, a := range n.Args {
		if t.args[i] == entire {
			continue
		}
		if !r.cut(a, t.args[i]) {
			return false
		}
		if a.Leaf() || !r.large(a) && !r.sums(a) {
			continue
		}
		p, ok := byResult(a.Node, a.Index, t.args[i])
		if ok && !r.absorb(a.Node, p, r.sums(a) || r.cheap(a)) {
			return false
		}
	}
	for j, v := range n.Results {
		if t.results[j] == summed {
			continue
		}
		if !r.cut(v, t.results[j]) {
			return false
		}
		if copied || !r.large(v) {
			continue
		}
		if r.out[v] || !r.absorbUsers(v, t.results[j]) {
			return false
		}
	}
	return true
}

func (r *region) absorbUsers(v *Value, axis int) bool {
	for _, u := range r.users[v] {
		for i, a := range u.Args {
			if a != v {
				continue
			}
			if t, ok := byArg(u, i, axis); !ok || !r.absorb(u, t, false) {
				return false
			}
		}
	}
	return true
}

// local adds what leads from a small value of the region back into it along the axis,
// as the sums of a softmax that is written out do.
func (r *region) local() bool {
	for changed := true; changed; {
		changed = false
		after := r.after()
		for _, n := range r.g.Nodes {
			t, ok := r.thread[n]
			if !ok {
				continue
			}
			for i, a := range n.Args {
				if t.args[i] == entire || r.inside(a) || !after[a.Node] {
					continue
				}
				found := map[*Node]thread{}
				if !r.leads(a, t.args[i], after, found) {
					continue
				}
				for _, m := range r.g.Nodes {
					if t, ok := found[m]; ok && !r.absorb(m, t, false) {
						return false
					}
				}
				changed = changed || len(found) > 0
			}
		}
	}
	return true
}

// after returns the nodes that need a result of the region.
func (r *region) after() map[*Node]bool {
	after := map[*Node]bool{}
	for _, n := range r.g.Nodes {
		_, in := r.thread[n]
		needs := in && !r.copied[n]
		for _, a := range n.Args {
			needs = needs || after[a.Node]
		}
		if needs {
			after[n] = true
		}
	}
	return after
}

// leads finds the nodes that compute v from parts of the region's values and from what
// does not depend on them, if there are only such.
func (r *region) leads(v *Value, axis int, after map[*Node]bool, found map[*Node]thread) bool {
	if r.inside(v) {
		return r.axis[v] == axis
	}
	if !after[v.Node] {
		return true
	}
	if _, seen := found[v.Node]; seen {
		return true
	}
	switch v.Op().(type) {
	case Unary, Cast, Binary, Where, Expand, Transpose, Reshape, Reduce:
	default:
		return false
	}
	t, ok := byResult(v.Node, v.Index, axis)
	if !ok || len(found) > 16 {
		return false
	}
	found[v.Node] = t
	for i, a := range v.Args() {
		if t.args[i] == entire {
			if after[a.Node] {
				return false
			}
		} else if !r.leads(a, t.args[i], after, found) {
			return false
		}
	}
	return true
}
