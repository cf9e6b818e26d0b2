package tokens

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
)

// pieceModel converts a piece of a text to ids.
type pieceModel interface {
	encode(dst []int64, piece string, s *mergeScratch) []int64
}

// listModel is WordLevel: a piece is a token.
type listModel struct {
	ids     map[string]int32
	unknown int32
}

func (m *listModel) encode(dst []int64, piece string, _ *mergeScratch) []int64 {
	if id, ok := m.ids[piece]; ok {
		return append(dst, int64(id))
	}
	return append(dst, int64(m.unknown))
}

// wordPiece is the model of BERT: a word is the longest token that it starts
// with, and so on; a word for which that fails is unknown as a whole.
type wordPiece struct {
	ids      map[string]int32
	unknown  int32
	prefix   string
	maxChars int
	lengths  [2][]int // of tokens in bytes, longest first: at the start of a word, and after the prefix
}

func (m *wordPiece) encode(dst []int64, piece string, _ *mergeScratch) []int64 {
	if len(piece) > m.maxChars && utf8.RuneCountInString(piece) > m.maxChars {
		return append(dst, int64(m.unknown))
	}
	from := len(dst)
	for start := 0; start < len(piece); {
		at, lengths := start, m.lengths[0]
		text := piece[start:]
		if start > 0 && m.prefix != "" {
			lengths = m.lengths[1]
		}
		for _, n := range lengths {
			if n > len(text) || n < len(text) && !utf8.RuneStart(text[n]) {
				continue
			}
			token := text[:n]
			if start > 0 {
				token = m.prefix + token
			}
			if id, ok := m.ids[token]; ok {
				dst = append(dst, int64(id))
				start += n
				break
			}
		}
		if start == at {
			return append(dst[:from], int64(m.unknown))
		}
	}
	return dst
}

// charMerger is byte-pair encoding that starts with characters.
type charMerger struct {
	*merger
	ids      map[string]int32
	prefix   string // continuing_subword_prefix
	suffix   string // end_of_word_suffix
	unknown  int32  // -1: an unknown character is omitted
	fuse     bool   // unknown characters in a row are one token
	whole    bool   // ignore_merges: a piece that is a token is that token
	fallback bool   // an unknown character is encoded as its bytes
	bytes    [256]int32
	inside   map[uint64]bool // pairs of characters inside a token that merges make
	ascii    [128][2]uint64  // inside, for ASCII: bit b of row a
	known    [128]bool       // ASCII characters that are tokens
}

// byteTokens returns the ids of the tokens <0x00> to <0xFF>; -1 if there is
// none.
func byteTokens(ids map[string]int32) (list [256]int32) {
	for b := range list {
		list[b] = -1
		if id, ok := ids[byteToken(byte(b))]; ok {
			list[b] = id
		}
	}
	return list
}

// byteToken returns the token of a byte.
func byteToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// tokenByte is the inverse of byteToken.
func tokenByte(token string) (b byte, ok bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	n, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(n), err == nil
}

// join finds the pairs of characters that a merge can join.
func (m *charMerger) join(tokens []string) {
	m.inside = make(map[uint64]bool)
	for _, r := range m.rules {
		last := rune(-1)
		for _, c := range tokens[r.id] {
			if last >= 0 {
				m.inside[pairKey(last, c)] = true
				if last < utf8.RuneSelf && c < utf8.RuneSelf {
					m.ascii[last][c/64] |= 1 << (c % 64)
				}
			}
			last = c
		}
	}
	for c := range m.known {
		_, m.known[c] = m.ids[string(rune(c))]
	}
}

// apart reports whether no merge can join two characters.
func (m *charMerger) apart(a, b rune) bool {
	if a < utf8.RuneSelf && b < utf8.RuneSelf {
		return m.ascii[a][b/64]>>(b%64)&1 == 0
	}
	return !m.inside[pairKey(a, b)]
}

// encode cuts a piece where no merge can join two characters: the parts are
// encoded as the whole would be. A text without pre-tokenizer is one piece.
func (m *charMerger) encode(dst []int64, piece string, s *mergeScratch) []int64 {
	if m.whole {
		if id, ok := m.ids[piece]; ok {
			return append(dst, int64(id))
		}
	}
	if m.prefix != "" {
		return m.part(dst, piece, m.suffix, s)
	}
	short := m.suffix == "" && !m.whole && len(piece) <= maxCachedBytes
	if ids, ok := s.parts[piece]; short && ok {
		return append(dst, ids...)
	}
	start, from, last, known := len(dst), 0, rune(-1), false
	for i, r := range piece {
		end := min(i+utf8.RuneLen(r), len(piece))
		var ok bool
		switch {
		case m.suffix != "" && end == len(piece):
			_, ok = m.ids[piece[i:]+m.suffix]
		case r < utf8.RuneSelf:
			ok = m.known[r]
		default:
			_, ok = m.ids[piece[i:end]]
		}
		if known && ok && m.apart(last, r) {
			dst = m.cached(dst, piece[from:i], s)
			from = i
		}
		last, known = r, ok
	}
	if m.suffix != "" {
		return m.part(dst, piece[from:], m.suffix, s)
	}
	dst = m.cached(dst, piece[from:], s)
	if short && from > 0 {
		s.keep(piece, dst[start:])
	}
	return dst
}

// keep remembers the ids of a part.
func (s *mergeScratch) keep(part string, ids []int64) {
	if len(part) > maxCachedBytes || len(s.parts) >= maxCachedPieces {
		return
	}
	if s.parts == nil {
		s.parts = make(map[string][]int64)
	}
	s.parts[part] = slices.Clone(ids)
}

func (m *charMerger) cached(dst []int64, part string, s *mergeScratch) []int64 {
	if ids, ok := s.parts[part]; ok {
		return append(dst, ids...)
	}
	from := len(dst)
	dst = m.part(dst, part, "", s)
	s.keep(part, dst[from:])
	return dst
}

// part encodes a part of a piece. suffix is that of its last character.
func (m *charMerger) part(dst []int64, piece, suffix string, s *mergeScratch) []int64 {
	s.symbols = s.symbols[:0]
	unknown := false // an unknown token is due
	for i := 0; i < len(piece); {
		_, n := utf8.DecodeRuneInString(piece[i:])
		c := piece[i : i+n]
		if i > 0 {
			c = m.prefix + c
		}
		if i += n; i == len(piece) {
			c += suffix
		}
		if id, ok := m.ids[c]; ok {
			if unknown {
				s.add(m.unknown)
				unknown = false
			}
			s.add(id)
			continue
		}
		if m.fallback && m.addBytes(c, s) {
			continue
		}
		if m.unknown >= 0 {
			if unknown && !m.fuse {
				s.add(m.unknown)
			}
			unknown = true
		}
	}
	if unknown {
		s.add(m.unknown)
	}
	return m.merge(dst, s, everyRule)
}

// addBytes adds the tokens of the bytes of a character, if all exist.
func (m *charMerger) addBytes(c string, s *mergeScratch) bool {
	for i := range len(c) {
		if m.bytes[c[i]] < 0 {
			return false
		}
	}
	for i := range len(c) {
		s.add(m.bytes[c[i]])
	}
	return true
}

// unigram is SentencePiece's model: of all ways to write a piece as tokens, the
// one with the largest sum of scores.
type unigram struct {
	ids      map[string]int32
	scores   []float64 // by id
	unknown  int32     // -1: there is none
	penalty  float64   // score of an unknown character
	fallback bool
	bytes    [256]int32
	trie
}

// unknownPenalty is how much worse an unknown character is than the worst
// token, in SentencePiece.
const unknownPenalty = 10

func newUnigram(tokens []string, ids map[string]int32, scores []float64) *unigram {
	m := &unigram{ids: ids, scores: scores, unknown: -1, penalty: math.Inf(1), trie: newTrie()}
	for id, token := range tokens {
		m.penalty = min(m.penalty, scores[id])
		m.add(token, ids[token])
	}
	m.penalty -= unknownPenalty
	return m
}

// bestEnd is the best way to write a text up to some byte.
type bestEnd struct {
	score float64
	id    int32
	start int32 // of its last token; -1: none is known
}

func (m *unigram) encode(dst []int64, piece string, s *mergeScratch) []int64 {
	best := append(s.best[:0], make([]bestEnd, len(piece)+1)...)
	s.best = best
	for i := range best {
		best[i].start = -1
	}
	try := func(start, end int, id int32, score float64) {
		score += best[start].score
		if b := &best[end]; b.start < 0 || score > b.score {
			*b = bestEnd{score, id, int32(start)}
		}
	}
	for start := 0; start < len(piece); {
		_, n := utf8.DecodeRuneInString(piece[start:])
		single := false
		m.each(piece[start:], func(size int, id int32) {
			try(start, start+size, id, m.scores[id])
			single = single || size == n
		})
		if !single {
			try(start, start+n, m.unknown, m.penalty)
		}
		start += n
	}
	// From the end: unknown characters in a row are one token.
	from := len(dst)
	for end := len(piece); end > 0; {
		b := best[end]
		start := int(b.start)
		if b.id == m.unknown {
			for start > 0 && best[start].id == m.unknown {
				start = int(best[start].start)
			}
		}
		dst = m.appendReversed(dst, piece[start:end], b.id)
		end = start
	}
	slices.Reverse(dst[from:])
	return dst
}

func (m *unigram) appendReversed(dst []int64, text string, id int32) []int64 {
	if id != m.unknown {
		return append(dst, int64(id))
	}
	if id, ok := m.ids[text]; ok {
		return append(dst, int64(id))
	}
	for i := range len(text) {
		if !m.fallback || m.bytes[text[i]] < 0 {
			if m.unknown >= 0 {
				dst = append(dst, int64(m.unknown))
			}
			return dst
		}
	}
	for i := len(text) - 1; i >= 0; i-- {
		dst = append(dst, int64(m.bytes[text[i]]))
	}
	return dst
}

// lengthsOf returns the lengths of the tokens with and without a prefix,
// longest first.
func lengthsOf(ids map[string]int32, prefix string) (lengths [2][]int) {
	seen := [2]map[int]bool{{}, {}}
	add := func(i, n int) {
		if n > 0 && !seen[i][n] {
			seen[i][n] = true
			lengths[i] = append(lengths[i], n)
		}
	}
	for token := range ids {
		add(0, len(token))
		if rest, ok := strings.CutPrefix(token, prefix); ok {
			add(1, len(rest))
		}
	}
	for i := range lengths {
		slices.SortFunc(lengths[i], func(a, b int) int { return b - a })
	}
	return lengths
}

func (t *Tokenizer) idOf(n node) (int32, error) {
	s, err := n.str()
	if err != nil {
		return 0, err
	}
	id, ok := t.ids[s]
	if !ok {
		return 0, invalid(n.path, "%.130q is not in the vocabulary", quote.Line(s, 120))
	}
	return id, nil
}
