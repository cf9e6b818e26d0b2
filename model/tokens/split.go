package tokens

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// class is the class of a character in GPT-2's splitting pattern.
type class uint8

const (
	other  class = iota
	letter       // \p{L}
	number       // \p{N}
	space        // \s
)

func classOf(r rune) class {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return letter
	case '0' <= r && r <= '9':
		return number
	case unicode.IsSpace(r):
		return space
	case r < utf8.RuneSelf:
		return other
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	}
	return other
}

// run returns the length of the longest prefix of s with characters of class
// c. An invalid UTF-8 byte is a character of class other.
func run(s string, c class) int {
	for i, r := range s {
		if classOf(r) != c {
			return i
		}
	}
	return len(s)
}

// gpt2Pieces splits a text as the pattern of GPT-2's encoder.py does:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// The pieces concatenated are the text. It is a hand-written scanner because
// package regexp has no lookahead.
func gpt2Pieces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(text) > 0 {
			n := gpt2Piece(text)
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// gpt2Piece returns the length of the first piece of s, which must not be
// empty.
func gpt2Piece(s string) int {
	if n := contraction(s); n > 0 {
		return n
	}
	lead := 0
	if s[0] == ' ' {
		lead = 1 // belongs to the word after it, if there is one
	}
	if r, size := utf8.DecodeRuneInString(s[lead:]); size > 0 {
		if c := classOf(r); c != space {
			return lead + run(s[lead:], c)
		}
	}
	// \s+(?!\S): white space before a word leaves its last character to the
	// next piece; \s+: unless that is the only one.
	n := run(s, space)
	if n == len(s) {
		return n
	}
	if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
		return n - last
	}
	return n
}

// contraction returns the length of a prefix 's 't 're 've 'm 'll 'd of s, or
// 0.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if strings.HasPrefix(s, "'re") || strings.HasPrefix(s, "'ve") || strings.HasPrefix(s, "'ll") {
		return 3
	}
	return 0
}

// words yields the matches of \w+|[^\w\s]+ in a text with their offsets:
// words, and runs of characters that are neither word nor white space.
func words(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		from, inWord := -1, false
		for i, r := range text {
			w := isWord(r)
			gap := !w && unicode.IsSpace(r)
			if from >= 0 && (gap || w != inWord) {
				if !yield(from, text[from:i]) {
					return
				}
				from = -1
			}
			if from < 0 && !gap {
				from, inWord = i, w
			}
		}
		if from >= 0 {
			yield(from, text[from:])
		}
	}
}

// isWord reports whether r is in \w as Unicode Technical Standard 18 defines
// it: alphabetic, mark, decimal number, connector punctuation, join control.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
