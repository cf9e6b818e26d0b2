package tokens

// merger holds the vocabulary and rules of byte-pair encoding.
type merger struct {
	bytes  [256]int32 // the id of each byte
	merges [][2]int32 // pairs of ids, in the order of merging
	rules  map[uint64]rule
	short  int32           // rules below this rank can be applied first; see divide
	joints map[uint64]bool // adjacent pairs of short tokens in the results of the other rules
}

// rule is the rank and the result of merging a pair of ids.
type rule struct{ rank, id int32 }

func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

// newMerger expects merges whose halves and results are in the vocabulary, and
// a vocabulary with all bytes. Of equal merges the last one counts, as in the
// Python library.
func newMerger(tokens []string, ids map[string]int32, merges [][2]int32) *merger {
	m := &merger{merges: merges, rules: make(map[uint64]rule, len(merges))}
	for b, r := range symbols {
		m.bytes[b] = ids[string(r)]
	}
	for rank, p := range merges {
		m.rules[pairKey(p[0], p[1])] = rule{int32(rank), ids[tokens[p[0]]+tokens[p[1]]]}
	}
	m.divide(tokens)
	return m
}

// mergeScratch is memory reused for all pieces.
type mergeScratch struct {
	symbols []symbol
	heap    []candidate
	limit   int32
	parts   map[string][]int64 // charMerger: parts seen before
	best    []bestEnd          // unigram
}

// symbol is a token of the current piece, in a list doubly linked by index.
// The list has one element for each byte of the piece; a symbol merged into
// the previous one has id -1.
type symbol struct{ id, prev, next int32 }

// bytes fills the list with one symbol for each byte of a piece.
func (s *mergeScratch) bytes(m *merger, piece string) {
	s.symbols = s.symbols[:0]
	for i := range len(piece) {
		s.add(m.bytes[piece[i]])
	}
}

// tokens fills the list with one symbol for each token.
func (s *mergeScratch) tokens(ids []int64) {
	s.symbols = s.symbols[:0]
	for _, id := range ids {
		s.add(int32(id))
	}
}

func (s *mergeScratch) add(id int32) {
	i := int32(len(s.symbols))
	s.symbols = append(s.symbols, symbol{id, i - 1, i + 1})
}

// encode appends the ids of a piece.
func (m *merger) encode(dst []int64, piece string, s *mergeScratch) []int64 {
	s.bytes(m, piece)
	return m.merge(dst, s, everyRule)
}

// merge merges the symbols and appends the resulting ids. It merges the pair
// of lowest rank first, the leftmost of equals, until no rule below limit
// applies. With n symbols it takes O(n log n).
func (m *merger) merge(dst []int64, s *mergeScratch, limit int32) []int64 {
	s.heap, s.limit = s.heap[:0], limit
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
			continue // one of the two has been merged meanwhile
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

// propose pushes the pair that starts at symbol i on the heap if a rule merges
// it.
func (m *merger) propose(s *mergeScratch, i int32) {
	if i < 0 || s.symbols[i].next < 0 {
		return
	}
	left, right := s.symbols[i].id, s.symbols[s.symbols[i].next].id
	if r, ok := m.rules[pairKey(left, right)]; ok && r.rank < s.limit {
		s.heap = heapPush(s.heap, candidate{rule: r, at: i, left: left, right: right}, candidate.before)
	}
}

// candidate is a possible merge: the pair (left, right) at symbol at.
type candidate struct {
	rule
	at, left, right int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}
