package tokens

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/internal/quote"
)

// Kind is the unit of a tokenizer: word, character, run of bytes or characters
// made by merges, or piece of a word.
type Kind uint8

// The kinds of tokenizer. [Train] makes the first three.
const (
	Word Kind = iota + 1
	Char
	BPE
	WordPiece
	Unigram
)

var kindNames = map[Kind]string{Word: "word", Char: "char", BPE: "bpe", WordPiece: "wordpiece", Unigram: "unigram"}

// String returns "word", "char", "bpe", "wordpiece" or "unigram".
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// ParseKind is the inverse of [Kind.String] for the kinds that [Train] makes.
func ParseKind(s string) (Kind, error) {
	for k, name := range kindNames {
		if name == s && k <= BPE {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown tokenizer %.130q: take word, char or bpe", quote.Line(s, 120))
}

// Special tokens.
const (
	// Unknown is the token that [Train] adds for words or characters outside
	// the vocabulary.
	Unknown = "[UNK]"

	// EndOfText separates texts, as in GPT-2. [Train] adds it to BPE
	// tokenizers. If a text contains it, it is encoded as this one token.
	EndOfText = "<|endoftext|>"
)

// Tokenizer converts text to ids and back. Its ids are from 0 to
// VocabSize()−1. It is immutable and safe for concurrent use.
type Tokenizer struct {
	kind    Kind
	tokens  []string         // by id, as written in the file; "" for an id without a token
	ids     map[string]int32 // of all tokens
	text    []string         // by id: the bytes of the token
	unknown int32            // Word and Char: the token for text outside the vocabulary; BPE: -1
	added   []addedToken     // in the file's order
	early   *finder          // added tokens found first
	late    *finder          // ... and found second; see encode
	joiner  joiner           // Word: how words are joined
	bpe     *merger          // BPE only
	ascii   [128]int32       // Char: ids of the first characters of Unicode
	flow    *flow            // nil: the tokenizer is of a kind that Train makes
	post    []template       // what AddSpecial adds
	batch   batching

	target *Tokenizer // of targets, which have a vocabulary of their own; nil of others
	file   []byte     // of both; nil without a target
}

// addedToken is a token that Encode finds before it splits the text.
type addedToken struct {
	id         int32
	content    string
	normalized bool // found after those that are not
	singleWord bool // found only if it is not part of a word
	lstrip     bool // takes the white space before it
	rstrip     bool // takes the white space after it
	special    bool // kept for the file; Python's decode can skip such tokens
}

// finish computes the fields derived from tokens, added and, for byte-level
// BPE, merges. It has an error only for a tokenizer with normalizers.
func (t *Tokenizer) finish(merges [][2]int32) error {
	if t.text = t.tokens; t.flow != nil {
		t.text = slices.Clone(t.tokens)
	}
	if t.bytes() {
		t.text = make([]string, len(t.tokens))
		for id, token := range t.tokens {
			t.text[id] = bytesOf(token)
		}
		t.bpe = newMerger(t.tokens, t.ids, merges)
	}
	if t.kind == Char {
		for c := range t.ascii {
			id, ok := t.ids[string(rune(c))]
			if !ok {
				id = t.unknown
			}
			t.ascii[c] = id
		}
	}
	var early, late []*addedToken
	var contents [2][]string
	for i := range t.added {
		a := &t.added[i]
		t.text[a.id] = a.content
		if !a.normalized {
			early, contents[0] = append(early, a), append(contents[0], a.content)
			continue
		}
		content := a.content
		if t.flow != nil {
			content = t.flow.norm.apply(span{text: content}).text
		}
		if n := len(content); n == 0 || n > maxAddedBytes {
			return unsupported("added_tokens", "%.130q has %d bytes after normalization, 1 to %d are supported", quote.Line(a.content, 120), n, maxAddedBytes)
		}
		t.text[a.id] = content // the Python library decodes it like this
		late, contents[1] = append(late, a), append(contents[1], content)
	}
	t.early, t.late = newFinder(early, contents[0]), newFinder(late, contents[1])
	return nil
}

// bytes reports whether the tokens are runs of bytes: byte-level BPE.
func (t *Tokenizer) bytes() bool { return t.kind == BPE && (t.flow == nil || t.flow.model == nil) }

// Kind returns the kind of the tokenizer.
func (t *Tokenizer) Kind() Kind { return t.kind }

// VocabSize returns V: ids are from 0 to V−1. Some may have no token; these
// decode to nothing.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// has reports whether an id from 0 to V−1 has a token.
func (t *Tokenizer) has(id int32) bool {
	of, ok := t.ids[t.tokens[id]]
	return ok && of == id
}

// Token returns a token as written in tokenizer.json: BPE writes a space and
// the letter t as "Ġt". It returns "" for an id without a token. For the text
// of a token use [Tokenizer.Decode].
func (t *Tokenizer) Token(id int64) string {
	if id < 0 || id >= int64(len(t.tokens)) {
		return ""
	}
	return t.tokens[id]
}

// OrdinarySize returns the number of ids up to the last token that is not an
// added one. A text has larger ids only if it contains added tokens.
func (t *Tokenizer) OrdinarySize() int {
	added := make(map[int32]bool, len(t.added))
	for _, a := range t.added {
		added[a.id] = true
	}
	n := len(t.tokens)
	for n > 0 && (added[int32(n-1)] || !t.has(int32(n-1))) {
		n--
	}
	return n
}

// ID returns the id of a token, written as in tokenizer.json, and whether the
// vocabulary has it.
func (t *Tokenizer) ID(token string) (int64, bool) {
	id, ok := t.ids[token]
	return int64(id), ok
}

// Unknown returns the id for words or characters outside the vocabulary. BPE
// has none, because it can encode every text.
func (t *Tokenizer) Unknown() (int64, bool) {
	if t.unknown < 0 {
		return 0, false
	}
	return int64(t.unknown), true
}

// EndOfText returns the id of the token [EndOfText], if the vocabulary has it.
func (t *Tokenizer) EndOfText() (int64, bool) { return t.ID(EndOfText) }
