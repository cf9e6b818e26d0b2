package tokens

import "math"

// A text without a space is one piece. Encoding a piece at once takes thirty
// times its size in memory, so a long one is encoded in parts.
//
// A sequence of tokens is the encoding of its text if every two adjacent tokens,
// encoded alone, stay the same two tokens. Until a merge crosses the border
// between them, each side is merged as if the other were not there, so the
// first merge across the border would also occur between the two alone.

// parts controls how a long piece is divided.
type parts struct {
	size int // bytes of a part
	held int // parts kept until their borders are known to be right
}

var longParts = parts{size: 1 << 16, held: 64}

// maxBorders is how many borders are tried before a longer part is encoded.
const maxBorders = 4

// maxShort is the maximum length in bytes of the short tokens by which parts
// are divided. Longer tokens are made of these.
const maxShort = 1 << 10

// everyRule is a limit above every rank.
const everyRule = math.MaxInt32

// longPiece encodes a piece of many bytes.
func (e *encoder) longPiece(piece string, how parts) bool {
	m := e.t.bpe
	if m.short == everyRule {
		return e.inParts(piece, how, everyRule)
	}
	var row []int64 // short tokens, which may become longer ones
	more, bytes := true, 0
	end := func() bool {
		e.merge.tokens(row)
		e.ids = m.merge(e.ids, &e.merge, everyRule)
		n := bytes
		row, bytes = row[:0], 0
		return e.advance(n)
	}
	take := func(ids []int64, _ int) bool {
		for _, id := range ids {
			if n := len(row); n > 0 && !m.joints[pairKey(int32(row[n-1]), int32(id))] {
				more = more && end()
			}
			row = append(row, id)
			bytes += len(e.t.text[id])
		}
		return more
	}
	short := encoder{t: e.t, yield: take}
	return short.inParts(piece, how, m.short) && take(short.ids, 0) && end()
}

// part is a part of a piece and its tokens.
type part struct {
	from, to int
	ids      []int64
}

// inParts encodes a piece with the rules below the rank limit.
func (e *encoder) inParts(piece string, how parts, limit int32) bool {
	encode := func(from, to int) part {
		e.merge.bytes(e.t.bpe, piece[from:to])
		return part{from, to, e.t.bpe.merge(nil, &e.merge, limit)}
	}
	emit := func(p part) bool {
		e.ids = append(e.ids, p.ids...)
		return e.advance(p.to - p.from)
	}
	var held []part
	p := encode(0, min(how.size, len(piece)))
	for {
		// A longer part may start with another token, which does not fit.
		for n := len(held); n > 0 && !e.fit(held[n-1], p, limit); n = len(held) {
			p = encode(held[n-1].from, p.to)
			held = held[:n-1]
		}
		if p.to == len(piece) {
			break
		}
		cut, next, ok := p, p, false
		for try := 0; try < maxBorders && len(cut.ids) > 1 && !ok; try++ {
			// The last tokens of a part may differ from those of the piece.
			for drop := min(len(cut.ids)-1, 16<<try); drop > 0; drop-- {
				last := len(cut.ids) - 1
				cut.to -= len(e.t.text[cut.ids[last]])
				cut.ids = cut.ids[:last]
			}
			next = encode(cut.to, min(cut.to+how.size, len(piece)))
			ok = next.to > p.to && e.fit(cut, next, limit)
		}
		if !ok {
			p = encode(p.from, min(2*p.to-p.from, len(piece)))
			continue
		}
		if held = append(held, cut); len(held) > how.held {
			if !emit(held[0]) {
				return false
			}
			held = held[1:]
		}
		p = next
	}
	for _, h := range held {
		if !emit(h) {
			return false
		}
	}
	return emit(p)
}

// fit reports whether the two tokens at a border stay the same when they are
// encoded together.
func (e *encoder) fit(before, after part, limit int32) bool {
	left, right := before.ids[len(before.ids)-1], after.ids[0]
	e.merge.bytes(e.t.bpe, e.t.text[left]+e.t.text[right])
	ids := e.t.bpe.merge(nil, &e.merge, limit)
	return len(ids) == 2 && ids[0] == left && ids[1] == right
}

// divide finds the rules that can be applied before all others: those before
// the first that makes a long token. Later rules must not make a pair that
// these merge, and each result of a later rule must have only one way to be
// made.
func (m *merger) divide(tokens []string) {
	m.short = everyRule
	first := make(map[int32]int32) // the first rule that uses a token
	for key, r := range m.rules {
		if len(tokens[r.id]) > maxShort {
			m.short = min(m.short, r.rank)
		}
		for _, id := range [2]int32{int32(key >> 32), int32(uint32(key))} {
			if rank, ok := first[id]; !ok || r.rank < rank {
				first[id] = r.rank
			}
		}
	}
	made := make(map[int32]uint64) // by later rules
	for key, r := range m.rules {
		if r.rank < m.short {
			continue
		}
		rank, taken := first[r.id]
		if _, again := made[r.id]; again || taken && rank < m.short {
			m.short = everyRule
			return
		}
		made[r.id] = key
	}
	m.joints = make(map[uint64]bool)
	for _, key := range made {
		left, right := int32(key>>32), int32(uint32(key))
		for pair, ok := made[left]; ok; pair, ok = made[left] {
			left = int32(uint32(pair))
		}
		for pair, ok := made[right]; ok; pair, ok = made[right] {
			right = int32(pair >> 32)
		}
		m.joints[pairKey(left, right)] = true
	}
}
