package tokens

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// DefaultBPESize is the number of tokens of a BPE tokenizer trained with
// vocabulary size 0.
const DefaultBPESize = 4096

// minBPESize leaves room for the bytes and [EndOfText].
const minBPESize = 256 + 1

// Train makes a tokenizer for texts like the one given. The same text gives
// the same tokenizer; case is kept.
//
// vocabSize is the largest number of tokens, special ones included; the
// vocabulary is smaller where the text has no more to give. Word and Char keep
// the most frequent words or characters, behind the token [Unknown]; 0 keeps
// them all. BPE merges the most frequent pair, as long as one occurs twice,
// and ends its vocabulary with [EndOfText], as GPT-2 does; 0 means
// [DefaultBPESize]. Where text holds "<|endoftext|>" it is cut.
func Train(kind Kind, text string, vocabSize int) (*Tokenizer, error) {
	if vocabSize < 0 {
		return nil, fmt.Errorf("vocabulary size %d is negative: give 0 for the default", vocabSize)
	}
	if text == "" {
		return nil, fmt.Errorf("the text is empty: a tokenizer is trained from text")
	}
	switch kind {
	case Word:
		return trainList(kind, text, countWords, vocabSize)
	case Char:
		return trainList(kind, text, countChars, vocabSize)
	case BPE:
		return trainBPE(text, vocabSize)
	}
	return nil, fmt.Errorf("no tokenizer %v: take word, char or bpe", kind)
}

func countWords(text string) map[string]int {
	counts := make(map[string]int)
	for _, word := range words(text) {
		counts[word]++
	}
	return counts
}

func countChars(text string) map[string]int {
	var ascii [utf8.RuneSelf]int
	counts := make(map[string]int)
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			ascii[c]++
			i++
			continue
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		counts[text[i:i+n]]++
		i += n
	}
	for c, n := range ascii {
		if n > 0 {
			counts[string(rune(c))] = n
		}
	}
	return counts
}

// trainList makes a Word or Char tokenizer of the pieces of a text, which count
// counts.
func trainList(kind Kind, text string, count func(string) map[string]int, vocabSize int) (*Tokenizer, error) {
	if vocabSize == 1 {
		return nil, fmt.Errorf("vocabulary size 1 leaves room for nothing but %s: give 0 for all that the text has, or more", Unknown)
	}
	if i := firstInvalid(text); i >= 0 {
		return nil, fmt.Errorf("the text is not UTF-8 at byte %d: convert it, or take the bpe tokenizer", i)
	}
	counts := count(text)
	if len(counts) < 2 {
		return nil, fmt.Errorf("the text has %d different %ss, there is nothing to predict: give a text with at least 2", len(counts), kind)
	}
	list := make([]string, 0, len(counts))
	for piece := range counts {
		list = append(list, strings.Clone(piece)) // a piece would keep the whole text in memory
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	if vocabSize > 0 && len(list) > vocabSize-1 {
		list = list[:vocabSize-1]
	}
	t := newTokenizer(kind, append([]string{Unknown}, list...))
	t.unknown = 0
	if kind == Word {
		// White space never occurs in a word: this prefix joins none.
		t.joiner = joiner{wordPiece: true, prefix: " ", cleanup: true}
	}
	t.finish(nil)
	return t, nil
}

// firstInvalid returns the offset of the first byte that is not UTF-8, or -1.
func firstInvalid(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return -1
}

// newTokenizer returns a Tokenizer of a vocabulary; the caller
// completes it and calls finish.
func newTokenizer(kind Kind, vocab []string) *Tokenizer {
	t := &Tokenizer{kind: kind, tokens: vocab, ids: make(map[string]int32, len(vocab)), unknown: -1}
	for id, token := range vocab {
		t.ids[token] = int32(id)
	}
	return t
}
