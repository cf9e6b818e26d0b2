package tokens

import (
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// modelFile is the model of a file, besides its vocabulary.
type modelFile struct {
	kind     string
	merges   [][2]int32
	unknown  int32 // -1: none
	prefix   string
	suffix   string
	fuse     bool
	fallback bool
	whole    bool // ignore_merges
	maxChars int
	scores   []float64
	sides    [2]*pieceSegmenter // Marian: of sources and targets
}

// parseModel reads the model: the vocabulary and, for BPE, the merges.
func parseModel(n node) (*Tokenizer, *modelFile, error) {
	if err := n.want("an object", '{'); err != nil {
		return nil, nil, err
	}
	var kind, merges node
	err := n.members(func(name string, value node) error {
		switch name {
		case "type":
			kind = node{path: n.in(name), raw: value.raw.Clone()}
		case "merges":
			merges = node{path: n.in(name), raw: value.raw.Clone()}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	m := &modelFile{kind: "BPE", unknown: -1} // GPT-2's file has no type
	if len(kind.raw) > 0 {
		if m.kind, err = kind.str(); err != nil {
			return nil, nil, err
		}
	} else if len(merges.raw) == 0 {
		return nil, nil, invalid(n.in("type"), "it is missing, expected \"BPE\", \"Unigram\", \"WordLevel\" or \"WordPiece\"")
	}
	t := &Tokenizer{unknown: -1}
	switch m.kind {
	case "WordLevel":
		t.kind = Word
		err = m.parseWords(n, t, "type", "vocab", "unk_token")
	case "WordPiece":
		t.kind = WordPiece
		err = m.parseWords(n, t, "type", "vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word")
	case "BPE":
		t.kind = BPE
		err = m.parseBPE(n, t)
	case "Unigram":
		t.kind = Unigram
		err = m.parseUnigram(n, t)
	case marianKind:
		t.kind = Unigram
		err = m.parseMarian(n, t)
	default:
		err = unsupported(kind.path, "%.130q, only \"BPE\", \"Unigram\", \"WordLevel\" and \"WordPiece\" are supported", quote.Line(m.kind, 120))
	}
	if err != nil {
		return nil, nil, err
	}
	return t, m, nil
}

// parseWords reads WordLevel and WordPiece.
func (m *modelFile) parseWords(n node, t *Tokenizer, names ...string) error {
	o, err := n.object(names...)
	if err != nil {
		return err
	}
	if t.tokens, t.ids, err = parseVocab(o["vocab"]); err != nil {
		return err
	}
	if t.unknown, err = t.idOf(o["unk_token"]); err != nil {
		return err
	}
	m.unknown = t.unknown
	if m.kind != "WordPiece" {
		return nil
	}
	m.prefix, m.maxChars = "##", 100
	if p := o["continuing_subword_prefix"]; !p.isNull() {
		if m.prefix, err = p.str(); err != nil {
			return err
		}
	}
	if c := o["max_input_chars_per_word"]; !c.isNull() {
		chars, err := c.id()
		if err != nil {
			return err
		}
		m.maxChars = int(chars)
	}
	return nil
}

// maxSparseIDs bounds the ids of a vocabulary with gaps: a few bytes must not
// allocate a list of 2³¹ tokens.
const maxSparseIDs = 1 << 20

// parseVocab reads {"token": id, …} as a list by id, with "" for unused ids,
// and as a map.
func parseVocab(n node) ([]string, map[string]int32, error) {
	type entry struct {
		token string
		id    int32
	}
	var entries []entry
	err := n.members(func(name string, value node) error {
		id, err := value.id()
		if err != nil {
			value.path = n.in(quote.Line(name, 120))
			_, err = value.id()
			return err
		}
		entries = append(entries, entry{name, id})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	size := 0
	for _, e := range entries {
		if int(e.id) >= max(len(entries), maxSparseIDs) {
			return nil, nil, unsupported(n.in(quote.Line(e.token, 120)), "id %d in a vocabulary of %d tokens: in a vocabulary with gaps ids must be below %d",
				e.id, len(entries), maxSparseIDs)
		}
		size = max(size, int(e.id)+1)
	}
	vocab, ids := make([]string, size), make(map[string]int32, len(entries))
	taken := make([]bool, size)
	for _, e := range entries {
		if taken[e.id] {
			return nil, nil, invalid(n.in(quote.Line(e.token, 120)), "id %d belongs to %.130q already", e.id, quote.Line(vocab[e.id], 120))
		}
		vocab[e.id], taken[e.id], ids[e.token] = e.token, true, e.id
	}
	return vocab, ids, nil
}

func (m *modelFile) parseBPE(n node, t *Tokenizer) error {
	o, err := n.object("type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		"byte_fallback", "ignore_merges", "vocab", "merges")
	if err != nil {
		return err
	}
	if d := o["dropout"]; !d.isNull() && strings.Trim(string(d.raw), "0.") != "" {
		return unsupported(d.path, "it is %s, only null is supported: encoding must not be random", quote.Line(string(d.raw), 120))
	}
	for name, s := range map[string]*string{"continuing_subword_prefix": &m.prefix, "end_of_word_suffix": &m.suffix} {
		if o[name].isNull() {
			continue
		}
		if *s, err = o[name].str(); err != nil {
			return err
		}
		if len(*s) > maxAddedBytes {
			return unsupported(o[name].path, "it has %d bytes, at most %d are supported", len(*s), maxAddedBytes)
		}
	}
	if m.fuse, err = o["fuse_unk"].flag(false); err != nil {
		return err
	}
	if m.fallback, err = o["byte_fallback"].flag(false); err != nil {
		return err
	}
	if m.whole, err = o["ignore_merges"].flag(false); err != nil {
		return err
	}
	if t.tokens, t.ids, err = parseVocab(o["vocab"]); err != nil {
		return err
	}
	m.merges, err = t.parseMerges(o["merges"], m.prefix)
	if err != nil || o["unk_token"].isNull() || m.allBytes(t) {
		return err // with all bytes in the vocabulary, nothing is unknown
	}
	m.unknown, err = t.idOf(o["unk_token"])
	return err
}

// allBytes reports whether the vocabulary has a token for each byte.
func (m *modelFile) allBytes(t *Tokenizer) bool {
	for _, symbol := range symbols {
		if _, ok := t.ids[string(symbol)]; !ok {
			return false
		}
	}
	return true
}

// maxPieceBytes bounds the tokens of Unigram, and so the work at each
// character of a text. Real ones have some dozen bytes.
const maxPieceBytes = 1 << 10

func (m *modelFile) parseUnigram(n node, t *Tokenizer) error {
	o, err := n.object("type", "unk_id", "vocab", "byte_fallback")
	if err != nil {
		return err
	}
	if m.fallback, err = o["byte_fallback"].flag(false); err != nil {
		return err
	}
	t.ids = make(map[string]int32)
	err = o["vocab"].elements(func(i int, value node) error {
		token, score := "", math.NaN()
		err := value.elements(func(j int, v node) (err error) {
			switch {
			case j == 0:
				token, err = v.str()
			case j == 1 && v.raw.Kind() == '0':
				score, err = strconv.ParseFloat(string(v.raw), 64)
			}
			return err
		})
		path := o["vocab"].at(i)
		_, again := t.ids[token]
		switch {
		case err != nil || math.IsNaN(score) || math.IsInf(score, 0):
			return invalid(path, "it is %s, expected a token and its score", quote.Line(string(value.raw), 120))
		case again:
			return unsupported(path, "%.130q is twice in the vocabulary", quote.Line(token, 120))
		case len(token) > maxPieceBytes:
			return unsupported(path, "a token of %d bytes, at most %d are supported", len(token), maxPieceBytes)
		}
		t.ids[token] = int32(len(t.tokens))
		t.tokens, m.scores = append(t.tokens, token), append(m.scores, score)
		return nil
	})
	if err != nil {
		return err
	}
	if o["unk_id"].isNull() {
		return unsupported(o["unk_id"].path, "there is no unknown token: a text with other characters could not be encoded")
	}
	if m.unknown, err = o["unk_id"].id(); err == nil && int(m.unknown) >= len(t.tokens) {
		err = invalid(o["unk_id"].path, "it is %d, but the vocabulary has %d tokens", m.unknown, len(t.tokens))
	}
	t.unknown = m.unknown
	return err
}

// pieces returns the model of a tokenizer that Train does not make.
func (m *modelFile) pieces(t *Tokenizer) (pieceModel, error) {
	ids := maps.Clone(t.ids) // without added tokens
	switch m.kind {
	case "WordLevel":
		return &listModel{ids, m.unknown}, nil
	case "WordPiece":
		return &wordPiece{ids, m.unknown, m.prefix, m.maxChars, lengthsOf(ids, m.prefix)}, nil
	case "Unigram":
		u := newUnigram(t.tokens, ids, m.scores)
		u.unknown, u.fallback, u.bytes = m.unknown, m.fallback, byteTokens(ids)
		return u, nil
	}
	t.unknown = m.unknown
	c := &charMerger{
		merger: &merger{rules: make(map[uint64]rule, len(m.merges))}, ids: ids, prefix: m.prefix, suffix: m.suffix,
		unknown: m.unknown, fuse: m.fuse, whole: m.whole, fallback: m.fallback, bytes: byteTokens(ids),
	}
	for rank, p := range m.merges {
		c.rules[pairKey(p[0], p[1])] = rule{int32(rank), ids[merged(t.tokens[p[0]], t.tokens[p[1]], m.prefix)]}
	}
	c.join(t.tokens)
	return c, nil
}

// parseMerges reads ["a b", …] or [["a", "b"], …].
func (t *Tokenizer) parseMerges(n node, prefix string) ([][2]int32, error) {
	var merges [][2]int32
	var two [2]string
	err := n.elements(func(i int, value node) error {
		halves := two[:0]
		switch value.raw.Kind() {
		case '"':
			s, err := value.str()
			if err != nil {
				return invalid(n.at(i), "%v", err)
			}
			if strings.HasPrefix(s, "#version") {
				return nil // a comment, in files made from a merges.txt
			}
			if left, right, ok := strings.Cut(s, " "); ok && !strings.Contains(right, " ") {
				halves = append(halves, left, right)
			}
		case '[':
			err := value.elements(func(_ int, half node) error {
				s, err := half.str()
				halves = append(halves, s)
				return err
			})
			if err != nil {
				return invalid(n.at(i), "it is %s, expected two tokens", quote.Line(string(value.raw), 120))
			}
		}
		if len(halves) != 2 {
			return invalid(n.at(i), "it is %s, expected two tokens", quote.Line(string(value.raw), 120))
		}
		merge, err := t.mergeOf(func() string { return n.at(i) }, halves[0], halves[1], prefix)
		merges = append(merges, merge)
		return err
	})
	return merges, err
}

func (t *Tokenizer) mergeOf(at func() string, left, right, prefix string) (merge [2]int32, err error) {
	a, okA := t.ids[left]
	b, okB := t.ids[right]
	var room [64]byte // for most tokens
	both := append(append(room[:0], left...), strings.TrimPrefix(right, prefix)...)
	if _, okC := t.ids[string(both)]; okA && okB && okC {
		return [2]int32{a, b}, nil
	}
	missing := merged(left, right, prefix)
	if !okA {
		missing = left
	} else if !okB {
		missing = right
	}
	return merge, invalid(at(), "%.130q is not in the vocabulary", quote.Line(missing, 120))
}

// merged returns the token that two halves make. The second one may have the
// prefix of tokens inside a word.
func merged(left, right, prefix string) string { return left + strings.TrimPrefix(right, prefix) }
