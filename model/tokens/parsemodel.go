package tokens

import (
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// parseModel reads the model: the vocabulary and, for BPE, the merges. The
// result is of kind Word or BPE.
func parseModel(n node) (*Tokenizer, [][2]int32, error) {
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
	name := "BPE" // GPT-2's file has no type
	if len(kind.raw) > 0 {
		if name, err = kind.str(); err != nil {
			return nil, nil, err
		}
	} else if len(merges.raw) == 0 {
		return nil, nil, invalid(n.in("type"), "it is missing, expected \"WordLevel\" or \"BPE\"")
	}
	switch name {
	case "WordLevel":
		t, err := parseWordLevel(n)
		return t, nil, err
	case "BPE":
		return parseBPE(n)
	}
	return nil, nil, unsupported(kind.path, "%.130q, only \"WordLevel\" and \"BPE\" are supported", quote.Line(name, 120))
}

func parseWordLevel(n node) (*Tokenizer, error) {
	o, err := n.object("type", "vocab", "unk_token")
	if err != nil {
		return nil, err
	}
	vocab, ids, err := parseVocab(o["vocab"])
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{kind: Word, tokens: vocab, ids: ids, unknown: -1}
	unknown, err := o["unk_token"].str()
	if err != nil {
		return nil, err
	}
	id, ok := t.ids[unknown]
	if !ok {
		return nil, invalid(o["unk_token"].path, "%.130q is not in the vocabulary", quote.Line(unknown, 120))
	}
	t.unknown = id
	return t, nil
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

func parseBPE(n node) (*Tokenizer, [][2]int32, error) {
	o, err := n.object("type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		"byte_fallback", "ignore_merges", "vocab", "merges")
	if err != nil {
		return nil, nil, err
	}
	if d := o["dropout"]; !d.isNull() && strings.Trim(string(d.raw), "0.") != "" {
		return nil, nil, unsupported(d.path, "it is %s, only null is supported: encoding must not be random", quote.Line(string(d.raw), 120))
	}
	for _, name := range []string{"continuing_subword_prefix", "end_of_word_suffix"} {
		if a := o[name]; !a.isNull() {
			if s, err := a.str(); err != nil || s != "" {
				return nil, nil, orUnsupported(err, a.path, "it is %.130q, only null and \"\" are supported", quote.Line(s, 120))
			}
		}
	}
	for _, name := range []string{"byte_fallback", "ignore_merges"} {
		if on, err := o[name].flag(false); err != nil || on {
			return nil, nil, orUnsupported(err, o[name].path, "it is true, only false is supported")
		}
	}
	// unk_token and fuse_unk define how to encode a byte outside the
	// vocabulary. The vocabulary must have all bytes, so they do not matter.
	vocab, ids, err := parseVocab(o["vocab"])
	if err != nil {
		return nil, nil, err
	}
	t := &Tokenizer{kind: BPE, tokens: vocab, ids: ids, unknown: -1}
	for b, symbol := range symbols {
		if _, ok := t.ids[string(symbol)]; !ok {
			return nil, nil, unsupported(o["vocab"].path, "no token %.130q for the byte %#02x: text with it would be lost", symbol, b)
		}
	}
	merges, err := t.parseMerges(o["merges"])
	return t, merges, err
}

// parseMerges reads ["a b", …] or [["a", "b"], …].
func (t *Tokenizer) parseMerges(n node) ([][2]int32, error) {
	var merges [][2]int32
	err := n.elements(func(i int, value node) error {
		var halves []string
		switch value.raw.Kind() {
		case '"':
			s, err := value.str()
			if err != nil {
				return invalid(n.at(i), "%v", err)
			}
			if strings.HasPrefix(s, "#version") {
				return nil // a comment, in files made from a merges.txt
			}
			halves = strings.Split(s, " ")
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
		merge, err := t.mergeOf(n.at(i), halves[0], halves[1])
		merges = append(merges, merge)
		return err
	})
	return merges, err
}

func (t *Tokenizer) mergeOf(path, left, right string) (merge [2]int32, err error) {
	a, okA := t.ids[left]
	b, okB := t.ids[right]
	_, okC := t.ids[left+right]
	for _, part := range []struct {
		token string
		ok    bool
	}{{left, okA}, {right, okB}, {left + right, okC}} {
		if !part.ok {
			return merge, invalid(path, "%.130q is not in the vocabulary", quote.Line(part.token, 120))
		}
	}
	if strings.Contains(left+right, " ") {
		return merge, unsupported(path, "a token with a space, which encodes no bytes")
	}
	return [2]int32{a, b}, nil
}
