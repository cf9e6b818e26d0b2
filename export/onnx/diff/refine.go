package diff

import "slices"

// rounds is how far around a node the refinement looks.
const rounds = 6

// colours returns a hash of the surroundings of each node, for each radius. Nodes
// and values with a counterpart have the colour of their pair.
func (m *matcher) colours(level int) (x, y [rounds + 1][]hash) {
	x = refined(m.a, level, func(i int) (int, bool) { return i, m.mates[i] >= 0 }, func(v int) (int, bool) { return v, m.values[v] >= 0 })
	y = refined(m.b, level, func(i int) (int, bool) { return m.matesB[i], m.matesB[i] >= 0 }, func(v int) (int, bool) { return m.valueB[v], m.valueB[v] >= 0 })
	return x, y
}

func refined(s *side, level int, node, value func(i int) (id int, paired bool)) (all [rounds + 1][]hash) {
	all[0] = make([]hash, len(s.nodes))
	var free []int
	for i := range s.nodes {
		if id, paired := node(i); paired {
			all[0][i] = seed.add(hash(id))
		} else {
			all[0][i] = s.nodes[i].labels[level]
			free = append(free, i)
		}
	}
	for r := 1; r <= rounds; r++ {
		before := all[r-1]
		all[r] = slices.Clone(before)
		of := func(v int) hash {
			if id, paired := value(v); paired {
				return seed.add(hash(id)).add(1)
			}
			if x := s.values[v]; x.maker >= 0 {
				return before[x.maker].add(hash(x.slot))
			}
			return 0
		}
		for _, i := range free {
			n := &s.nodes[i]
			h := before[i].add(s.slots(n, of))
			for slot, v := range n.outs {
				if v < 0 {
					continue
				}
				var read hash
				for _, u := range s.values[v].readers {
					at := hash(u.slot)
					if s.nodes[u.node].commutes {
						at = 0
					}
					read += before[u.node].add(at)
				}
				h = h.add(hash(slot)).add(read)
			}
			all[r][i] = h
		}
	}
	return all
}

// byColours pairs nodes by their surroundings, the widest first: those that are
// alone with theirs or, if none is, the first of each kind in order.
func (m *matcher) byColours(alone bool) bool {
	for level := whole; level < levels; level++ {
		x, y := m.colours(level)
		for r := rounds; r >= 0; r-- {
			if alone && r == 0 && level > whole {
				continue // an operator alone is no evidence
			}
			var found bool
			if alone {
				found = m.unique(func(i int) hash { return x[r][i] }, func(i int) hash { return y[r][i] }, m.a.order, m.b.order)
				m.propagate(level)
			} else {
				found = m.twins(x[r], y[r], level)
			}
			if found {
				return true
			}
		}
	}
	return false
}

// twins pairs nodes that their surroundings do not tell apart: of the same name,
// otherwise in order. Each pair decides its neighbours before the next is made.
func (m *matcher) twins(x, y []hash, level int) (found bool) {
	kinds := map[hash][]int{}
	for _, j := range m.b.order {
		if m.matesB[j] < 0 {
			kinds[y[j]] = append(kinds[y[j]], j)
		}
	}
	for _, i := range m.a.order {
		list := kinds[x[i]]
		for len(list) > 0 && m.matesB[list[0]] >= 0 {
			list = list[1:]
		}
		kinds[x[i]] = list
		if m.mates[i] >= 0 || len(list) == 0 {
			continue
		}
		m.pair(i, m.likeliest(i, list))
		m.propagate(level)
		found = true
	}
	return found
}

// likeliest returns the free node that has the same name among the first ones,
// otherwise the first.
func (m *matcher) likeliest(i int, list []int) int {
	const tried = 64
	for _, j := range list[:min(len(list), tried)] {
		if m.matesB[j] < 0 && m.a.nodes[i].Name == m.b.nodes[j].Name && m.a.nodes[i].Name != "" {
			return j
		}
	}
	return list[0]
}

// The evidence that a node was replaced by one of another operator.
const (
	both     = iota // it reads the same values, and the same nodes read its results
	agreeing        // as far as their counterparts are known
	either          // one of the two
)

// replaced pairs nodes of different operators in the same place.
func (m *matcher) replaced(evidence int) (found bool) {
	for _, i := range m.a.order {
		if m.mates[i] >= 0 {
			continue
		}
		for _, j := range m.candidates(i) {
			ins, outs := m.reads(i, j, evidence == agreeing), m.isRead(i, j, evidence == agreeing)
			if ins && outs || evidence == either && (ins || outs) {
				m.pair(i, j)
				m.propagate(whole)
				found = true
				break
			}
		}
	}
	if found {
		m.propagate(named)
	}
	return found
}

// candidates returns free nodes beside the counterparts of a node's neighbours.
func (m *matcher) candidates(i int) (all []int) {
	const most, readersTried = 32, 256
	add := func(j int) {
		if len(all) < most && j >= 0 && m.matesB[j] < 0 && !slices.Contains(all, j) {
			all = append(all, j)
		}
	}
	n := &m.a.nodes[i]
	for _, u := range n.ins {
		if u >= 0 && m.values[u] >= 0 {
			readers := m.b.values[m.values[u]].readers
			for _, r := range readers[:min(len(readers), readersTried)] {
				add(r.node)
			}
		}
	}
	for _, u := range n.outs {
		if u < 0 {
			continue
		}
		readers := m.a.values[u].readers
		for _, r := range readers[:min(len(readers), readersTried)] {
			if j := m.mates[r.node]; j >= 0 && r.slot < len(m.b.nodes[j].ins) && m.b.nodes[j].ins[r.slot] >= 0 {
				add(m.b.values[m.b.nodes[j].ins[r.slot]].maker)
			}
		}
		for _, out := range m.a.values[u].outputs {
			if v := m.output(out); v >= 0 {
				add(m.b.values[v].maker)
			}
		}
	}
	return all
}

// output returns the value that the second side gives for an output of the first.
func (m *matcher) output(out int) int {
	for _, p := range m.outputs {
		if p[0] == out {
			return m.b.names[m.b.scope.outputs[p[1]].Name]
		}
	}
	return -1
}

// reads reports whether two nodes read the same computed values, one at least: all,
// or those that have a counterpart.
func (m *matcher) reads(i, j int, partly bool) bool {
	x, y := &m.a.nodes[i], &m.b.nodes[j]
	some := false
	for slot := range max(len(x.ins), len(y.ins)) {
		u, v := at(x.ins, slot), at(y.ins, slot)
		computed := u >= 0 && m.a.values[u].stored == nil
		computedB := v >= 0 && m.b.values[v].stored == nil
		switch {
		case computed != computedB:
			return false
		case computed && partly && m.values[u] < 0 && m.valueB[v] < 0:
		case computed && m.values[u] != v:
			return false
		default:
			some = some || computed
		}
	}
	return some || partly
}

func at(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return -1
}

// isRead reports whether the counterparts of what reads node i read node j: of all, or
// of those that have one.
func (m *matcher) isRead(i, j int, partly bool) bool {
	x, y := m.a.nodes[i].outs, m.b.nodes[j].outs
	some := false
	for slot := range max(len(x), len(y)) {
		u, v := at(x, slot), at(y, slot)
		if u < 0 || v < 0 {
			if u >= 0 && m.a.isUsed(u) || v >= 0 && m.b.isUsed(v) {
				return false
			}
			continue
		}
		if len(m.a.values[u].readers) != len(m.b.values[v].readers) {
			return false
		}
		for _, r := range m.a.values[u].readers {
			switch k := m.mates[r.node]; {
			case k < 0 && partly:
			case k < 0 || at(m.b.nodes[k].ins, r.slot) != v:
				return false
			default:
				some = true
			}
		}
		for _, out := range m.a.values[u].outputs {
			if m.output(out) != v {
				return false
			}
			some = true
		}
	}
	return some
}

func (s *side) isUsed(v int) bool { return len(s.values[v].readers)+len(s.values[v].outputs) > 0 }
