package tokens

// merger holds what byte-pair encoding needs to know of a vocabulary.
type merger struct {
	bytes  [256]int32 // the id of each byte
	merges [][2]int32 // pairs of ids, the first is merged first
	rules  map[uint64]rule
}

// rule says what a pair of ids becomes, and when.
type rule struct{ rank, id int32 }

func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// newMerger takes merges whose halves and results are in the vocabulary, and a
// vocabulary with all bytes. Of equal merges the last one counts, as in the
// Python library.
func newMerger(tokens []string, ids map[string]int32, merges [][2]int32) *merger {
	m := &merger{merges: merges, rules: make(map[uint64]rule, len(merges))}
	for b, r := range symbols {
		m.bytes[b] = ids[string(r)]
	}
	for rank, p := range merges {
		m.rules[pairKey(p[0], p[1])] = rule{int32(rank), ids[tokens[p[0]]+tokens[p[1]]]}
	}
	return m
}

// mergeScratch is memory used from one piece to the next.
type mergeScratch struct {
	symbols []symbol
	heap    []candidate
}

// symbol is a token of the piece at work, in a list linked both ways by index.
// The list is as long as the piece has bytes; a symbol merged into the one
// before it has id -1.
type symbol struct{ id, prev, next int32 }

// encode appends the ids of a piece. The pair of lowest rank is merged first,
// of equal ranks the leftmost, until no rule applies. With n bytes it takes
// O(n log n): a text without a space is one piece.
func (m *merger) encode(dst []int64, piece string, s *mergeScratch) []int64 {
	s.symbols, s.heap = s.symbols[:0], s.heap[:0]
	for i := range len(piece) {
		s.symbols = append(s.symbols, symbol{m.bytes[piece[i]], int32(i) - 1, int32(i) + 1})
	}
	if len(s.symbols) > 0 {
		s.symbols[len(s.symbols)-1].next = -1
	}
	for i := range s.symbols {
		m.propose(s, int32(i))
	}
	for len(s.heap) > 0 {
		var c candidate
		c, s.heap = heapPop(s.heap, candidate.before)
		left := &s.symbols[c.at]
		if left.id != c.left || left.next < 0 || s.symbols[left.next].id != c.right {
			continue // one of the two has been merged since
		}
		right := &s.symbols[left.next]
		left.id, left.next, right.id = c.id, right.next, -1
		if left.next >= 0 {
			s.symbols[left.next].prev = c.at
		}
		m.propose(s, left.prev)
		m.propose(s, c.at)
	}
	for i := int32(0); i >= 0 && int(i) < len(s.symbols); i = s.symbols[i].next {
		dst = append(dst, int64(s.symbols[i].id))
	}
	return dst
}

// propose puts the pair that begins at symbol i on the heap if a rule joins it.
func (m *merger) propose(s *mergeScratch, i int32) {
	if i < 0 || s.symbols[i].next < 0 {
		return
	}
	left, right := s.symbols[i].id, s.symbols[s.symbols[i].next].id
	if r, ok := m.rules[pairKey(left, right)]; ok {
		s.heap = heapPush(s.heap, candidate{rule: r, at: i, left: left, right: right}, candidate.before)
	}
}

// candidate is a merge that could be done: the pair (left, right) at symbol at.
type candidate struct {
	rule
	at, left, right int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}
