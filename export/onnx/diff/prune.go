package diff

// prune takes pairs apart that their neighbours speak against: nodes of the same
// operator of which no neighbour is a pair too, and of different operators in another
// place. Files that have little in common then have nodes that were added and removed,
// and not nodes of which everything changed.
func (m *matcher) prune() {
	for range rounds {
		var apart []int
		for i, j := range m.mates {
			if j < 0 {
				continue
			}
			x, y := &m.a.nodes[i], &m.b.nodes[j]
			agree, differ := m.agreement(i, j)
			same := x.labels[named] == y.labels[named]
			if !same && (differ > 0 || agree == 0) || same && agree == 0 && differ > 0 && x.labels[whole] != y.labels[whole] {
				apart = append(apart, i)
			}
		}
		if len(apart) == 0 {
			return
		}
		for _, i := range apart {
			m.part(i)
		}
	}
}

// part takes a pair apart.
func (m *matcher) part(i int) {
	j := m.mates[i]
	m.mates[i], m.matesB[j] = -1, -1
	for _, u := range m.a.nodes[i].outs {
		if u >= 0 && m.values[u] >= 0 {
			m.valueB[m.values[u]] = -1
			m.values[u] = -1
		}
	}
}

// agreement counts the neighbours of two nodes that are pairs, and those that have
// other counterparts. Neighbours that only one of the files has are neither.
func (m *matcher) agreement(i, j int) (agree, differ int) {
	x, y := &m.a.nodes[i], &m.b.nodes[j]
	count := func(same, either bool) {
		if same {
			agree++
		} else if either {
			differ++
		}
	}
	for slot := range max(x.own, y.own) {
		u, v := at(x.ins[:x.own], slot), at(y.ins[:y.own], slot)
		computed, computedB := u >= 0 && m.a.values[u].stored == nil, v >= 0 && m.b.values[v].stored == nil
		switch {
		case computed && x.commutes && y.commutes && m.values[u] >= 0:
			found := false
			for _, w := range y.ins {
				found = found || w == m.values[u]
			}
			count(found, true)
		case computed && computedB:
			count(m.values[u] == v, m.values[u] >= 0 && m.valueB[v] >= 0)
		case computed || computedB:
			differ++
		}
	}
	const most = 64 // readers that are looked at
	for slot := range min(len(x.outs), len(y.outs)) {
		u, v := x.outs[slot], y.outs[slot]
		if u < 0 || v < 0 {
			continue
		}
		readers := m.a.values[u].readers
		for _, r := range readers[:min(most, len(readers))] {
			k := m.mates[r.node]
			if k < 0 {
				continue
			}
			found := at(m.b.nodes[k].ins, r.slot) == v
			for _, w := range m.b.nodes[k].ins {
				found = found || m.b.nodes[k].commutes && w == v
			}
			count(found, true)
		}
		for _, out := range m.a.values[u].outputs {
			count(m.output(out) == v, m.output(out) >= 0)
		}
	}
	return agree, differ
}
