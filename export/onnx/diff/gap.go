package diff

// The search beyond nodes without a counterpart: how far it goes, and how many nodes
// it looks at.
const (
	gapDepth = 4
	gapNodes = 64
)

// aroundGap pairs a node with one behind nodes that only one of the files has: it goes
// from a pair through free nodes to a node with the same label.
func (m *matcher) aroundGap(level int) (found bool) {
	first, second := m.looking(level), m.lookingB(level)
	for u, v := range m.values {
		if v < 0 {
			continue
		}
		found = first.forward(u, v) || found
		found = second.forward(v, u) || found
	}
	for i := range m.mates {
		if j := m.mates[i]; j >= 0 {
			found = first.backward(m.a.nodes[i].ins, m.b.nodes[j].ins) || found
			found = second.backward(m.b.nodes[j].ins, m.a.nodes[i].ins) || found
		}
	}
	for _, p := range m.outputs {
		x, y := []int{m.a.names[m.a.scope.outputs[p[0]].Name]}, []int{m.b.names[m.b.scope.outputs[p[1]].Name]}
		found = first.backward(x, y) || found
		found = second.backward(y, x) || found
	}
	return found
}

// looking is the search for the counterpart of a node of one side in the other side.
type looking struct {
	near, far           *side
	nearMates, farMates []int
	pair                func(near, far int)
	level               int
}

func (m *matcher) looking(level int) looking {
	return looking{m.a, m.b, m.mates, m.matesB, func(i, j int) { m.pair(i, j); m.propagate(level) }, level}
}

func (m *matcher) lookingB(level int) looking {
	return looking{m.b, m.a, m.matesB, m.mates, func(j, i int) { m.pair(i, j); m.propagate(level) }, level}
}

// forward looks for the readers of a value among the nodes that follow from its
// counterpart.
func (l looking) forward(u, v int) (found bool) {
	const most = 16
	for _, r := range l.near.values[u].readers[:min(most, len(l.near.values[u].readers))] {
		if l.nearMates[r.node] >= 0 || !l.gap(v) {
			continue
		}
		want := &l.near.nodes[r.node]
		j := l.search(v, want, func(value int, visit func(value, node int)) {
			for _, next := range l.far.values[value].readers {
				if l.far.nodes[next.node].commutes || next.slot == r.slot || l.far.nodes[next.node].labels[l.level] != want.labels[l.level] {
					for _, out := range l.far.nodes[next.node].outs {
						visit(out, next.node)
					}
				}
			}
		})
		if j >= 0 {
			l.pair(r.node, j)
			found = true
		}
	}
	return found
}

// gap reports whether a free node reads a value of the far side.
func (l looking) gap(v int) bool {
	for _, r := range l.far.values[v].readers {
		if l.farMates[r.node] < 0 {
			return true
		}
	}
	return false
}

// backward looks for the nodes that compute the inputs of one node among those that
// the inputs of its counterpart are computed from.
func (l looking) backward(x, y []int) (found bool) {
	for slot := range min(len(x), len(y)) {
		if x[slot] < 0 || y[slot] < 0 {
			continue
		}
		maker := l.near.values[x[slot]].maker
		if maker < 0 || l.nearMates[maker] >= 0 {
			continue
		}
		j := l.search(y[slot], &l.near.nodes[maker], func(value int, visit func(value, node int)) {
			from := l.far.values[value].maker
			if from < 0 {
				return
			}
			for _, in := range l.far.nodes[from].ins {
				visit(in, from)
			}
			if len(l.far.nodes[from].ins) == 0 {
				visit(-1, from)
			}
		})
		if j >= 0 {
			l.pair(maker, j)
			found = true
		}
	}
	return found
}

// search goes from a value of the far side over free nodes, nearest first, and
// returns the node with the wanted label; -1 if there is none, or are several at the
// same distance. next calls visit with the values and nodes that follow a value.
func (l looking) search(from int, want *node, next func(value int, visit func(value, node int))) int {
	seen := map[int]bool{}
	border := []int{from}
	for range gapDepth {
		hit, several := -1, false
		var further []int
		for _, value := range border {
			next(value, func(v, node int) {
				if l.farMates[node] >= 0 || len(seen) >= gapNodes && !seen[node] {
					return
				}
				if !seen[node] {
					seen[node] = true
					if l.far.nodes[node].labels[l.level] == want.labels[l.level] {
						several = hit >= 0
						hit = node
					}
				}
				if v >= 0 {
					further = append(further, v)
				}
			})
		}
		if several {
			return -1
		}
		if hit >= 0 {
			return hit
		}
		border = further
	}
	return -1
}
