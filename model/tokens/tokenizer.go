package tokens

import (
	"fmt"

	"github.com/attnx/attnx/internal/quote"
)

// Kind is what a token is: a word, a character, or a run of bytes.
type Kind uint8

// The kinds of tokenizer.
const (
	Word Kind = iota + 1
	Char
	BPE
)

var kindNames = map[Kind]string{Word: "word", Char: "char", BPE: "bpe"}

// String returns "word", "char" or "bpe".
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// ParseKind is the inverse of [Kind.String].
func ParseKind(s string) (Kind, error) {
	for k, name := range kindNames {
		if name == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no tokenizer %.130q: take word, char or bpe", quote.Line(s, 120))
}

// Tokens with a meaning of their own.
const (
	// Unknown is the token that [Train] gives to what the vocabulary of a Word
	// or Char tokenizer lacks.
	Unknown = "[UNK]"

	// EndOfText is the token between texts, as in GPT-2; [Train] gives it to BPE
	// tokenizers. Written out in a text it is encoded as this one token.
	EndOfText = "<|endoftext|>"
)

// Tokenizer turns text into ids and back. Its ids are from 0 to VocabSize()−1.
// It does not change once made; several goroutines may use it at once.
type Tokenizer struct {
	kind    Kind
	tokens  []string         // by id, as the file writes them; "" also where an id has none
	ids     map[string]int32 // of all tokens
	text    []string         // by id: what the token stands for, in bytes
	unknown int32            // Word and Char: the token for what is not in the vocabulary; BPE: -1
	added   []addedToken     // in the file's order
	early   *finder          // added tokens looked for before
	late    *finder          // ... and after the others; see encode
	joiner  joiner           // Word: how words become a text
	bpe     *merger          // BPE only
	ascii   [128]int32       // Char: ids of the first characters of Unicode
}

// addedToken is a token that is found in a text before the text is split.
type addedToken struct {
	id         int32
	content    string
	normalized bool // looked for after those that are not
	special    bool // kept for the file; Python's decode can skip such tokens
}

// finish computes what follows from tokens, added and, for BPE, merges.
func (t *Tokenizer) finish(merges [][2]int32) {
	t.text = t.tokens
	if t.kind == BPE {
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
	var early, late []addedToken
	for _, a := range t.added {
		t.text[a.id] = a.content
		if a.normalized {
			late = append(late, a)
		} else {
			early = append(early, a)
		}
	}
	t.early, t.late = newFinder(early), newFinder(late)
}

// Kind returns the kind of the tokenizer.
func (t *Tokenizer) Kind() Kind { return t.kind }

// VocabSize returns V: ids are from 0 to V−1. A file may leave some of them
// without a token; those print nothing.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// has reports whether an id from 0 to V−1 has a token.
func (t *Tokenizer) has(id int32) bool {
	of, ok := t.ids[t.tokens[id]]
	return ok && of == id
}

// Token returns a token as tokenizer.json writes it: BPE writes the bytes of a
// space and a letter t as "Ġt". It returns "" for an id without a token;
// [Tokenizer.Decode] gives the text of a token.
func (t *Tokenizer) Token(id int64) string {
	if id < 0 || id >= int64(len(t.tokens)) {
		return ""
	}
	return t.tokens[id]
}

// OrdinarySize returns how many ids there are up to the last token that is not
// an added one: a text has larger ids only where it writes out their tokens.
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

// Unknown returns the id given to words or characters that are not in the
// vocabulary. BPE has none, it can write every text.
func (t *Tokenizer) Unknown() (int64, bool) {
	if t.unknown < 0 {
		return 0, false
	}
	return int64(t.unknown), true
}

// EndOfText returns the id of the token [EndOfText], if the vocabulary has it.
func (t *Tokenizer) EndOfText() (int64, bool) { return t.ID(EndOfText) }
