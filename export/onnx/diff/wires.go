package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// wires compares what two nodes read.
func (s *scopeReport) wires(i, j int) {
	x, y := &s.pairing.a.nodes[i], &s.pairing.b.nodes[j]
	ins, insB := slices.Clone(x.ins[:x.own]), slices.Clone(y.ins[:y.own])
	var differ []int
	for slot := range max(len(ins), len(insB)) {
		if u, v := at(ins, slot), at(insB, slot); !s.same(u, v) {
			differ = append(differ, slot)
		} else {
			s.stored(u, v, i, j, slot)
		}
	}
	const most = 64 // differing inputs that are looked at for exchanges
	for k := 0; k < len(differ) && len(differ) <= most; k++ {
		for l := k + 1; l < len(differ); l++ {
			p, q := differ[k], differ[l]
			if !s.same(at(ins, p), at(insB, q)) || !s.same(at(ins, q), at(insB, p)) {
				continue
			}
			c := s.of(Swapped, i, j)
			c.Name = fmt.Sprintf("inputs %d and %d", p, q)
			if x.commutes {
				c.Name += ", which have no order"
			}
			c.From, c.To = s.called(s.pairing.a, at(ins, p))+", "+s.called(s.pairing.a, at(ins, q)), s.called(s.pairing.b, at(insB, p))+", "+s.called(s.pairing.b, at(insB, q))
			s.add(c)
			s.stored(at(ins, p), at(insB, q), i, j, p)
			s.stored(at(ins, q), at(insB, p), i, j, q)
			differ = slices.Delete(slices.Delete(differ, l, l+1), k, k+1)
			k--
			break
		}
	}
	if x.commutes && len(differ) == 2 && len(ins) == 2 && len(insB) == 2 && s.worse(ins, insB) {
		slices.Reverse(insB)
		differ = slices.DeleteFunc(differ, func(slot int) bool { return s.same(ins[slot], insB[slot]) })
	}
	for _, slot := range differ {
		s.wire(i, j, slot, at(ins, slot), at(insB, slot))
	}
	for slot := range min(len(x.ins)-x.own, len(y.ins)-y.own) { // what subgraphs capture
		if u, v := x.ins[x.own+slot], y.ins[y.own+slot]; s.pairing.a.values[u].stored != nil && s.pairing.b.values[v].stored != nil {
			s.stored(u, v, i, j, -1)
		}
	}
}

// worse reports whether two inputs without an order fit better the other way round.
func (s *scopeReport) worse(x, y []int) bool {
	return s.same(x[0], y[1]) || s.same(x[1], y[0]) || !s.alike(x[0], y[0]) && !s.alike(x[1], y[1]) && (s.alike(x[0], y[1]) || s.alike(x[1], y[0]))
}

// stored notes that two stored values are in the same place.
func (s *scopeReport) stored(u, v, i, j, slot int) {
	if u < 0 || v < 0 {
		return
	}
	x, y := s.pairing.a.values[u].stored, s.pairing.b.values[v].stored
	if x == nil || y == nil || s.pairs[[2]*stored{x, y}] {
		return
	}
	s.pairs[[2]*stored{x, y}], s.pairedA[x], s.pairedB[y] = true, true, true
	s.usedA[x], s.usedB[y] = true, true
	if x.digest != y.digest {
		s.elements(x, y, i, j, slot)
		return
	}
	if x.attribute == "" && y.attribute == "" {
		if x.name != y.name {
			s.Renamed.Initializers++
		}
		if x.constant != y.constant || x.external() != y.external() {
			s.Renamed.Stored++
		}
	}
}

func (s *stored) external() bool { return s.tensor != nil && s.tensor.External != nil }

// wire reports an input that differs. What nodes explain that only one of the files
// has is a part of them.
func (s *scopeReport) wire(i, j, slot, u, v int) {
	if s.alike(u, v) {
		s.stored(u, v, i, j, slot)
		return
	}
	x := &s.pairing.a.nodes[i]
	place := slotName(s.pairing.a, x, slot) + " of " + x.title()
	if s.explained(u, v, place) {
		return
	}
	c := s.of(Rewired, i, j)
	c.Name, c.From, c.To = slotName(s.pairing.a, x, slot), s.called(s.pairing.a, u), s.called(s.pairing.b, v)
	for _, p := range []struct {
		side *side
		v    int
		used map[*stored]bool
	}{{s.pairing.a, u, s.usedA}, {s.pairing.b, v, s.usedB}} {
		if p.v >= 0 && p.side.values[p.v].stored != nil {
			p.used[p.side.values[p.v].stored] = true
			if p.side.values[p.v].stored.attribute != "" { // an attribute that one of the files has
				c.Kind, c.Name = Attribute, p.side.values[p.v].stored.attribute
			}
		}
	}
	s.add(c)
}

// explained notes a place that reads the result of a node without a counterpart.
func (s *scopeReport) explained(u, v int, place string) bool {
	found := false
	note := func(side *side, mates []int, v int, other string) {
		if v < 0 || side.values[v].maker < 0 || mates[side.values[v].maker] >= 0 {
			return
		}
		found = true
		n := &side.nodes[side.values[v].maker]
		if other != "" {
			place += ", in the other file " + other
		}
		s.readers[n] = append(s.readers[n], place)
	}
	note(s.pairing.a, s.mates, u, s.called(s.pairing.b, v))
	if !found {
		note(s.pairing.b, s.matesB, v, s.called(s.pairing.a, u))
	}
	return found
}

// called describes a value: by its name, and what computes or holds it.
func (s *scopeReport) called(of *side, v int) string {
	if v < 0 {
		return ""
	}
	x := of.values[v]
	name := quote.Line(x.name, 120)
	switch {
	case x.stored != nil && x.name == "":
		return x.stored.text()
	case x.stored != nil:
		return name + " " + x.stored.text()
	case x.maker >= 0:
		return name + " of " + of.nodes[x.maker].operator()
	}
	return name
}

// outputs compares what the outputs are.
func (s *scopeReport) outputs() {
	for _, p := range s.outs {
		x, y := s.pairing.a.scope.outputs[p.a].Name, s.pairing.b.scope.outputs[p.b].Name
		u, v := s.pairing.a.names[x], s.pairing.b.names[y]
		switch {
		case s.same(u, v):
			s.stored(u, v, -1, -1, -1)
		case s.alike(u, v):
			s.stored(u, v, -1, -1, -1)
		case !s.explained(u, v, "output "+quote.Line(x, 120)):
			s.add(Change{Kind: Rewired, Where: s.where, Name: "output " + quote.Line(x, 120), From: s.called(s.pairing.a, u), To: s.called(s.pairing.b, v)})
		}
	}
}

// alone reports the nodes that only one of the files has.
func (s *scopeReport) alone() {
	report := func(k Kind, side *side, mates []int, used map[*stored]bool) {
		for i := range side.nodes {
			if mates[i] >= 0 {
				continue
			}
			n := &side.nodes[i]
			c := Change{Kind: k, Where: s.where, Node: cmp.Or(n.Name, firstOf(n.Outputs)), Operator: n.signature(), Readers: s.readers[n]}
			var reads []string
			for _, v := range n.ins {
				if v >= 0 {
					reads = append(reads, s.called(side, v))
					if st := side.values[v].stored; st != nil {
						used[st] = true
					}
				}
			}
			if len(reads) > shownElements {
				reads = append(reads[:shownElements], fmt.Sprintf("%d more", len(reads)-shownElements))
			}
			if c.To = strings.Join(reads, ", "); k == NodeRemoved {
				c.From, c.To = c.To, ""
			}
			s.add(c)
		}
	}
	report(NodeRemoved, s.pairing.a, s.mates, s.usedA)
	report(NodeAdded, s.pairing.b, s.matesB, s.usedB)
}

// count counts the nodes, and the names that differ.
func (s *scopeReport) count() {
	var order []int
	for i, j := range s.mates {
		if j < 0 {
			continue
		}
		order = append(order, j)
		x, y := &s.pairing.a.nodes[i], &s.pairing.b.nodes[j]
		if x.Name != y.Name {
			s.Renamed.Nodes++
		}
		for slot := range min(len(x.outs), len(y.outs)) {
			if x.outs[slot] >= 0 && y.outs[slot] >= 0 && x.Outputs[slot] != y.Outputs[slot] && len(s.pairing.a.values[x.outs[slot]].outputs) == 0 {
				s.Renamed.Values++
			}
		}
	}
	s.Nodes.A += len(s.pairing.a.nodes)
	s.Nodes.B += len(s.pairing.b.nodes)
	s.Nodes.Matched += len(order)
	s.Renamed.Reordered += len(order) - increasing(order)
}

// increasing returns the length of the longest increasing subsequence.
func increasing(list []int) int {
	var ends []int // the smallest end of a subsequence of each length
	for _, x := range list {
		at, _ := slices.BinarySearch(ends, x)
		if at == len(ends) {
			ends = append(ends, x)
		} else {
			ends[at] = x
		}
	}
	return len(ends)
}
