package graph

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Pieces returns the pass that has large values computed piece by piece: at most limit
// bytes of one at a time, if its nodes can be cut along an axis. In a training step these
// are the logits with their probabilities and gradients, of some tokens at a time,
// and the scores of attention, of some queries at a time. What the backward pass
// reads again is computed again. The sizes must be bound. A graph without such
// values stays as it is.
//
// Runtimes order nodes as they like. So what a piece reads passes a Where that
// selects between the value and itself, on a condition from the results of the
// piece before.
func Pieces(limit int64) Pass {
	return func(g *Graph) (*Graph, error) {
		whole, err := gathered(g, limit)
		if err != nil || whole == g {
			return g, err
		}
		return inParts(whole)
	}
}

// inParts writes the nodes of gathered as their pieces.
func inParts(g *Graph) (*Graph, error) {
	return Decompose(func(n *Node) bool { _, is := n.Op.(piecewise); return !is })(g)
}

// gathered returns g with one node, a piecewise, for all that is computed in pieces
// together.
func gathered(g *Graph, limit int64) (*Graph, error) {
	if !slices.ContainsFunc(g.Nodes, func(n *Node) bool { return bytesOf(n.Results[0]) > limit && !leaf(n.Op) }) {
		return g, nil
	}
	for v := range g.Values() {
		if _, known := v.Shape.Elements().Number(); !known {
			return nil, fmt.Errorf("graph: value %.80q has the shape %s: bind its names first", v.Name, v.Shape)
		}
	}
	loose, err := loosened(g, limit)
	if err != nil {
		return nil, err
	}
	parts := map[*Node]*phase{}
	s := survey(loose)
	for _, seed := range s.seeds(limit) {
		if parts[seed.Node] != nil {
			continue
		}
		best := s.around(seed, limit)
		for _, p := range best {
			for _, n := range p.own {
				if parts[n] != nil {
					best = nil // of another region
				}
			}
		}
		for _, p := range best {
			for _, n := range p.own {
				parts[n] = p
			}
		}
		if best != nil && !inOrder(loose, parts) { // it and another region need each other
			maps.DeleteFunc(parts, func(_ *Node, p *phase) bool { return slices.Contains(best, p) })
		}
	}
	if len(parts) == 0 {
		return g, nil
	}
	return assemble(loose, parts)
}

func bytesOf(v *Value) int64 { return elements(v) * int64(v.DType.Size()) }

// seeds returns the computed values of more than limit bytes, the largest first.
func (s *surveyed) seeds(limit int64) (all []*Value) {
	r := &region{surveyed: s}
	for v := range s.g.Values() {
		if !v.Leaf() && bytesOf(v) > limit && v.DType.Float() && !r.cheap(v) {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(x, y *Value) int { return cmp.Compare(bytesOf(y), bytesOf(x)) })
	return all
}

// around returns the phases of the region of a value along its longest axis that has
// one, nil if pieces are not worth it.
func (s *surveyed) around(seed *Value, limit int64) []*phase {
	order := axes(seed.Shape)
	length := func(axis int) int { n, _ := seed.Shape[axis].Number(); return n }
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(length(j), length(i)) })
	for _, axis := range order {
		if length(axis) < 2 {
			break
		}
		if r := s.grow(seed, axis); r != nil {
			if p := r.phases(limit); p != nil {
				return p
			}
		}
	}
	return nil
}

// phase is what a region computes in one go through its pieces. A region of
// attention has two: the backward pass needs results of the forward pass that
// depend on all pieces.
type phase struct {
	*region
	nodes  []*Node // in order, with those that are computed again
	own    []*Node // whose results nobody has computed before
	inputs []*Value
	cuts   []int // axis of each input; entire: it is not cut
	outs   []*Value
	units  int   // the smallest parts that all axes have
	each   int   // units in a piece
	inner  int64 // bytes of large values that are there at one time if nothing is cut
}

// phases divides the region. A node comes in the phase after the last one that it
// needs a whole result of. nil: there would be more than two, or pieces would take as
// much as they save.
func (r *region) phases(limit int64) []*phase {
	at, outside := map[*Node]int{}, map[*Node]int{} // 1 + phase
	last := 0
	for _, n := range r.g.Nodes {
		t, in := r.thread[n]
		now, before := 1, 0
		for i, a := range n.Args {
			had := outside[a.Node]
			if r.inside(a) && !r.copied[a.Node] {
				had = at[a.Node]
			}
			before = max(before, had)
			if in && t.args[i] != entire && r.inside(a) {
				now = max(now, at[a.Node])
			} else {
				now = max(now, had+1)
			}
		}
		if in {
			at[n] = now
		}
		if !in || r.copied[n] {
			outside[n] = before
		} else {
			outside[n] = now // of what is summed
			last = max(last, now)
		}
	}
	if last > 2 {
		return nil
	}
	var all []*phase
	for k := range last {
		p := &phase{region: r}
		p.collect(at, k+1)
		all = append(all, p)
	}
	for i, p := range all { // what a later phase reads is a result
		for _, later := range all[i+1:] {
			for _, v := range later.inputs {
				if slices.Contains(p.own, v.Node) && !slices.Contains(p.outs, v) {
					p.outs = append(p.outs, v)
				}
			}
		}
	}
	units, most := 0, int64(1)
	for v, axis := range r.axis {
		n, _ := v.Shape[axis].Number()
		units = gcd(units, n)
		if r.inside(v) {
			most = max(most, bytesOf(v))
		}
	}
	for _, p := range all {
		p.units = units
		p.each = int(max(1, limit*int64(units)/most))
		p.each = (units + (units+p.each-1)/p.each - 1) / ((units + p.each - 1) / p.each)
		if len(p.outs) == 0 || !p.worthwhile() {
			return nil
		}
	}
	return all
}

func gcd(x, y int) int {
	for y != 0 {
		x, y = y, x%y
	}
	return x
}

// collect finds the nodes of a phase, its inputs and its results.
func (p *phase) collect(at map[*Node]int, k int) {
	need := map[*Node]bool{}
	var again func(n *Node)
	again = func(n *Node) { // what is large is not kept
		need[n] = true
		for i, a := range n.Args {
			if p.thread[n].args[i] != entire && p.inside(a) && !need[a.Node] && (p.copied[a.Node] || at[a.Node] == k || p.large(a)) {
				again(a.Node)
			}
		}
	}
	for _, n := range p.g.Nodes {
		if _, in := p.thread[n]; in && !p.copied[n] && at[n] == k {
			again(n)
			p.own = append(p.own, n)
		}
	}
	seen := map[*Value]bool{}
	for _, n := range p.g.Nodes {
		if !need[n] {
			continue
		}
		p.nodes = append(p.nodes, n)
		for i, a := range n.Args {
			axis := p.thread[n].args[i]
			if axis != entire && p.inside(a) && need[a.Node] {
				continue
			}
			if !seen[a] {
				seen[a] = true
				p.inputs, p.cuts = append(p.inputs, a), append(p.cuts, axis)
			} else if i := slices.Index(p.inputs, a); p.cuts[i] == entire {
				p.cuts[i] = axis
			}
		}
	}
	for _, n := range p.own {
		for j, v := range n.Results {
			if p.out[v] || p.thread[n].results[j] == summed || slices.ContainsFunc(p.users[v], func(u *Node) bool { return p.reads(u, v) }) {
				p.outs = append(p.outs, v)
			}
		}
	}
}

// reads reports whether a node reads v from outside the region, or all of it.
func (p *phase) reads(u *Node, v *Value) bool {
	t, in := p.thread[u]
	if !in || p.copied[u] {
		return true
	}
	for i, a := range u.Args {
		if a == v && t.args[i] == entire {
			return true
		}
	}
	return false
}

// worthwhile reports whether the pieces take less than what they replace.
func (p *phase) worthwhile() bool {
	if p.each >= p.units {
		return false
	}
	given := false
	for i, v := range p.inputs {
		if p.cuts[i] == entire {
			continue
		}
		_, constant := v.Op().(Const)
		_, weight := v.Op().(Param)
		given = given || !constant && !weight
		if !v.Leaf() && elements(v)*muchSmaller >= elements(p.seed) {
			return false
		}
	}
	if !given { // an axis that weights have, as hidden layers do: their inputs are as large as a part
		return false
	}
	sums := int64(0)
	for _, v := range p.outs {
		if p.thread[v.Node].results[v.Index] == summed {
			sums += bytesOf(v)
		} else if elements(v)*muchSmaller >= elements(p.seed) {
			return false
		}
	}
	last := map[*Value]int{}
	for i, n := range p.nodes {
		for _, a := range n.Args {
			last[a] = i
		}
	}
	now := int64(0)
	for i, n := range p.nodes {
		for _, v := range n.Results {
			if p.large(v) && p.inside(v) {
				now += bytesOf(v)
			}
		}
		p.inner = max(p.inner, now)
		for j, a := range n.Args {
			if last[a] == i && p.large(a) && p.inside(a) && !slices.Contains(n.Args[:j], a) {
				now -= bytesOf(a)
			}
		}
	}
	return p.inner-p.inner*int64(p.each)/int64(p.units) > sums
}
