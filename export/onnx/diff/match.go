package diff

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// matcher finds the counterparts of nodes and values. -1 is none.
type matcher struct {
	a, b           *side
	mates, matesB  []int // of nodes
	values, valueB []int // of values, stored ones aside
	queues         [levels][]event
	outputs        [][2]int // counterparts among the outputs
}

// event is a pair whose neighbours may be pairs.
type event struct {
	value bool // values, otherwise nodes
	a     int
}

// port is a pair of values of the scopes around, or of declared ones.
type port struct{ a, b int }

func newMatcher(a, b *side) *matcher {
	none := func(n int) []int {
		all := make([]int, n)
		for i := range all {
			all[i] = -1
		}
		return all
	}
	return &matcher{a: a, b: b, mates: none(len(a.nodes)), matesB: none(len(b.nodes)), values: none(len(a.values)), valueB: none(len(b.values))}
}

// match finds the counterparts, given pairs of values that no node computes and of
// outputs.
func (m *matcher) match(sources, outputs []port) {
	for _, p := range sources {
		m.pairValues(p.a, p.b)
	}
	for _, p := range outputs {
		m.outputs = append(m.outputs, [2]int{p.a, p.b})
	}
	m.byCones(whole, sources, outputs)
	m.propagate(whole)
	m.byLabel()
	m.propagate(whole)
	for level := shaped; level < levels; level++ {
		m.byCones(level, sources, outputs)
		m.propagate(level)
	}
	// Files of 100,000 nodes get fewer turns: each looks at all of them.
	for turns := max(8, 1<<22/(1+len(m.a.nodes)+len(m.b.nodes))); turns > 0 && m.left(); turns-- {
		if m.replaced(both) || m.aroundGap(whole) || m.aroundGap(shaped) || m.byColours(true) || m.aroundGap(named) ||
			m.replaced(agreeing) || m.byColours(false) || m.replaced(either) {
			continue
		}
		break
	}
	m.prune()
}

// left reports whether both sides have nodes without a counterpart.
func (m *matcher) left() bool { return slices.Contains(m.mates, -1) && slices.Contains(m.matesB, -1) }

// pair makes two nodes counterparts, and what they give.
func (m *matcher) pair(a, b int) {
	m.mates[a], m.matesB[b] = b, a
	x, y := m.a.nodes[a].outs, m.b.nodes[b].outs
	for slot := range min(len(x), len(y)) {
		if x[slot] >= 0 && y[slot] >= 0 {
			m.pairValues(x[slot], y[slot])
		}
	}
	m.tell(event{false, a})
}

func (m *matcher) pairValues(u, v int) {
	if m.values[u] >= 0 || m.valueB[v] >= 0 {
		return
	}
	m.values[u], m.valueB[v] = v, u
	m.tell(event{true, u})
}

func (m *matcher) tell(e event) {
	for level := range m.queues {
		m.queues[level] = append(m.queues[level], e)
	}
}

// unique pairs the nodes whose key no other free node of its side has.
func (m *matcher) unique(keyA, keyB func(i int) hash, among, amongB []int) (found bool) {
	count := func(nodes, mates []int, key func(int) hash) map[hash]int {
		at := make(map[hash]int, len(nodes))
		for _, i := range nodes {
			if mates[i] >= 0 {
				continue
			}
			k := key(i)
			if _, twice := at[k]; twice {
				at[k] = -1
			} else {
				at[k] = i
			}
		}
		return at
	}
	first, second := count(among, m.mates, keyA), count(amongB, m.matesB, keyB)
	for _, i := range among { // in order
		if m.mates[i] >= 0 {
			continue
		}
		k := keyA(i)
		if j, ok := second[k]; ok && j >= 0 && first[k] == i {
			m.pair(i, j)
			found = true
		}
	}
	return found
}

// byCones pairs nodes by all that is above them, by all that is below them, or both.
func (m *matcher) byCones(level int, sources, outputs []port) {
	var above, below [2][]hash
	for i, s := range []*side{m.a, m.b} {
		from, to := make([]hash, len(s.values)), make([]hash, len(s.outputs))
		for k, p := range sources {
			from[[2]int{p.a, p.b}[i]] = seed.add(hash(k))
		}
		for k, p := range outputs {
			to[[2]int{p.a, p.b}[i]] = seed.add(hash(k))
		}
		_, above[i] = s.above(level, from)
		below[i] = s.below(level, to)
	}
	all, allB := m.a.order, m.b.order
	keys := []func(side, i int) hash{
		func(side, i int) hash { return above[side][i].add(below[side][i]) },
		func(side, i int) hash { return above[side][i] },
		func(side, i int) hash { return below[side][i] },
	}
	for _, key := range keys {
		m.unique(func(i int) hash { return key(0, i) }, func(i int) hash { return key(1, i) }, all, allB)
	}
}

// byLabel pairs nodes that are the only ones with their attributes and stored values.
func (m *matcher) byLabel() {
	m.unique(func(i int) hash { return m.a.nodes[i].labels[whole] }, func(i int) hash { return m.b.nodes[i].labels[whole] }, m.a.order, m.b.order)
}

// propagate goes on from pairs to their neighbours, with the labels of a level and
// of those that are more exact.
func (m *matcher) propagate(level int) {
	for at := whole; at <= level; at++ {
		if len(m.queues[at]) == 0 {
			continue
		}
		e := m.queues[at][0]
		m.queues[at] = m.queues[at][1:]
		if e.value {
			m.readers(e.a, m.values[e.a], at)
		} else {
			m.makers(e.a, m.mates[e.a], at)
		}
		at = -1 // the most exact queue first
	}
}

// readers pairs the readers of two values.
func (m *matcher) readers(u, v, level int) {
	free := func(s *side, mates []int, value int) (all []int) {
		for _, r := range s.values[value].readers {
			if mates[r.node] < 0 && !slices.Contains(all[max(0, len(all)-2):], r.node) {
				all = append(all, r.node)
			}
		}
		return all
	}
	x := free(m.a, m.mates, u)
	if len(x) == 0 {
		return
	}
	y := free(m.b, m.matesB, v)
	if len(y) == 0 {
		return
	}
	m.unique(func(i int) hash { return m.keyA(i, level) }, func(i int) hash { return m.keyB(i, level) }, x, y)
}

// keyA returns a hash of a node's label and of what is known of its inputs.
func (m *matcher) keyA(i, level int) hash {
	n := &m.a.nodes[i]
	return n.labels[level].add(m.a.slots(n, func(v int) hash {
		if m.a.values[v].stored != nil || m.values[v] < 0 {
			return 0
		}
		return seed.add(hash(v))
	}))
}

func (m *matcher) keyB(i, level int) hash {
	n := &m.b.nodes[i]
	return n.labels[level].add(m.b.slots(n, func(v int) hash {
		if m.b.values[v].stored != nil || m.valueB[v] < 0 {
			return 0
		}
		return seed.add(hash(m.valueB[v]))
	}))
}

// makers pairs the nodes that compute the inputs of two nodes.
func (m *matcher) makers(a, b, level int) {
	x, y := &m.a.nodes[a], &m.b.nodes[b]
	if x.commutes && y.commutes {
		free := func(s *side, n *node, mates []int) (all []int) {
			for _, v := range n.ins {
				if v >= 0 && s.values[v].maker >= 0 && mates[s.values[v].maker] < 0 && !slices.Contains(all, s.values[v].maker) {
					all = append(all, s.values[v].maker)
				}
			}
			return all
		}
		m.unique(func(i int) hash { return m.keyA(i, level) }, func(i int) hash { return m.keyB(i, level) }, free(m.a, x, m.mates), free(m.b, y, m.matesB))
		return
	}
	for slot := range min(len(x.ins), len(y.ins)) {
		if u, v := x.ins[slot], y.ins[slot]; u >= 0 && v >= 0 {
			m.pairMakers(u, v, level)
		}
	}
}

// pairMakers pairs the nodes that compute two values in the same place.
func (m *matcher) pairMakers(u, v, level int) {
	x, y := m.a.values[u], m.b.values[v]
	if x.maker < 0 || y.maker < 0 || m.mates[x.maker] >= 0 || m.matesB[y.maker] >= 0 || x.slot != y.slot {
		return
	}
	if m.a.nodes[x.maker].labels[level] == m.b.nodes[y.maker].labels[level] {
		m.pair(x.maker, y.maker)
	}
}

// declared pairs declared values: by name, and the others in order by type.
func declared(a, b []onnx.ValueInfo) (pairs []port) {
	taken := map[int]bool{}
	at := map[string]int{}
	for j, v := range b {
		at[v.Name] = j
	}
	mates := make([]int, len(a))
	for i, v := range a {
		mates[i] = -1
		if j, ok := at[v.Name]; ok && !taken[j] {
			mates[i], taken[j] = j, true
		}
	}
	for _, strict := range []bool{true, false} {
		j := 0
		for i, v := range a {
			if mates[i] >= 0 {
				continue
			}
			for k := j; k < len(b); k++ {
				if !taken[k] && (!strict || v.TypeText() == b[k].TypeText()) {
					mates[i], taken[k], j = k, true, k+1
					break
				}
			}
		}
	}
	for i, j := range mates {
		if j >= 0 {
			pairs = append(pairs, port{i, j})
		}
	}
	return pairs
}
