package tokens

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultBPESize is the number of tokens of a BPE tokenizer trained with
// vocabulary size 0.
const DefaultBPESize = 4096

// minBPESize leaves room for the bytes and [EndOfText].
const minBPESize = 256 + 1

// Train trains a tokenizer from text. Equal texts give equal tokenizers; case
// is kept.
//
// vocabSize is the maximum number of tokens, including special ones; the
// vocabulary is smaller if the text has fewer. Word and Char keep the most
// frequent words or characters, after the token [Unknown]; 0 keeps them all.
// BPE merges the most frequent pair as long as one occurs twice, and ends its
// vocabulary with [EndOfText], as GPT-2 does; 0 means [DefaultBPESize]. A
// "<|endoftext|>" in the text separates texts.
func Train(kind Kind, text string, vocabSize int) (*Tokenizer, error) {
	if vocabSize < 0 {
		return nil, fmt.Errorf("vocabulary size %d is negative: give 0 for the default", vocabSize)
	}
	if text == "" {
		return nil, fmt.Errorf("the text is empty: a tokenizer is trained from text")
	}
	switch kind {
	case Word:
		return trainList(kind, text, wordCounts, vocabSize)
	case Char:
		return trainList(kind, text, charCounts, vocabSize)
	case BPE:
		return trainBPE(text, vocabSize)
	}
	return nil, fmt.Errorf("unknown tokenizer %v: take word, char or bpe", kind)
}

// wordCounts returns the most frequent words of a text; of equals those first
// by their bytes. n is the number of different words.
func wordCounts(text string, most int) (list []string, n int, err error) {
	counts, err := countPieces(text, words(text))
	if err != nil {
		return nil, 0, err
	}
	all := counts.list()
	slices.SortFunc(all, func(a, b countedPiece) int {
		return cmp.Or(cmp.Compare(b.times, a.times), strings.Compare(counts.piece(a.at), counts.piece(b.at)))
	})
	for _, w := range all[:min(most, len(all))] {
		list = append(list, strings.Clone(counts.piece(w.at))) // a piece would keep the whole text in memory
	}
	return list, len(all), nil
}

// charCounts returns the most frequent characters of a text, as wordCounts
// does.
func charCounts(text string, most int) (list []string, n int, err error) {
	counts := make([]int, unicode.MaxRune+1)
	for _, r := range text {
		counts[r]++
	}
	var all []rune
	for r, n := range counts {
		if n > 0 {
			all = append(all, rune(r))
		}
	}
	slices.SortStableFunc(all, func(a, b rune) int { return cmp.Compare(counts[b], counts[a]) })
	for _, r := range all[:min(most, len(all))] {
		list = append(list, string(r))
	}
	return list, len(all), nil
}

// trainList makes a Word or Char tokenizer from the most frequent pieces of a
// text, which count returns.
func trainList(kind Kind, text string, count func(string, int) ([]string, int, error), vocabSize int) (*Tokenizer, error) {
	if vocabSize == 1 {
		return nil, fmt.Errorf("vocabulary size 1 leaves room only for %s: give 0 for all that the text has, or more", Unknown)
	}
	if i := firstInvalid(text); i >= 0 {
		return nil, fmt.Errorf("the text is not UTF-8 at byte %d: convert it, or take the bpe tokenizer", i)
	}
	most := math.MaxInt
	if vocabSize > 0 {
		most = vocabSize - 1
	}
	list, n, err := count(text, most)
	if err != nil {
		return nil, err
	}
	if n < 2 {
		return nil, fmt.Errorf("the text has %d different %ss, so there is nothing to predict: give a text with at least 2", n, kind)
	}
	t := newTokenizer(kind, append([]string{Unknown}, list...))
	t.unknown = 0
	if kind == Word {
		// White space never occurs in a word, so this prefix joins none.
		t.joiner = joiner{wordPiece: true, prefix: " ", cleanup: true}
	}
	return t, t.finish(nil)
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

// newTokenizer returns a Tokenizer with a vocabulary. The caller completes it
// and calls finish.
func newTokenizer(kind Kind, vocab []string) *Tokenizer {
	t := &Tokenizer{kind: kind, tokens: vocab, ids: make(map[string]int32, len(vocab)), unknown: -1}
	for id, token := range vocab {
		t.ids[token] = int32(id)
	}
	return t
}
