package tokens

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAddedBytes bounds an added token, and so the work at each byte of a text.
// Real ones have at most a few dozen bytes.
const maxAddedBytes = 256

// finder finds added tokens in a text: the leftmost, and the longest of those.
// A nil finder finds nothing.
type finder struct {
	tokens  map[string]*addedToken
	lengths [256][]int // lengths of tokens by first byte, longest first
}

// newFinder finds added tokens by their contents, as normalized.
func newFinder(added []*addedToken, contents []string) *finder {
	if len(added) == 0 {
		return nil
	}
	f := &finder{tokens: make(map[string]*addedToken, len(added))}
	for i, content := range contents {
		if _, ok := f.tokens[content]; ok {
			continue // of equal ones the first counts
		}
		f.tokens[content] = added[i]
		first := content[0]
		if !slices.Contains(f.lengths[first], len(content)) {
			f.lengths[first] = append(f.lengths[first], len(content))
		}
	}
	for _, l := range f.lengths {
		slices.SortFunc(l, func(a, b int) int { return b - a })
	}
	return f
}

// split passes on the parts of a text in order: an added token, with its
// length, to found, everything else, if not empty, with its offset to rest. It
// stops when one of them returns false, and returns false itself.
func (f *finder) split(text string, found func(id int32, bytes int) bool, rest func(at int, s string) bool) bool {
	from := 0
	for i := 0; f != nil && i < len(text); {
		a, n := f.match(text[i:])
		if n == 0 {
			i++
			continue
		}
		start, end := i, i+n
		i = end
		if a.singleWord && (endsInWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		if a.lstrip {
			start = from + len(strings.TrimRightFunc(text[min(from, start):start], unicode.IsSpace))
		}
		if a.rstrip && end >= from {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		start = max(start, from) // the last token may have taken the spaces that this one starts with
		end = max(end, start)
		if from < start && !rest(from, text[from:start]) || !found(a.id, end-start) {
			return false
		}
		from = end
	}
	return from == len(text) || rest(from, text[from:])
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func startsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

// match returns the longest added token at the start of text, and its length.
func (f *finder) match(text string) (*addedToken, int) {
	for _, n := range f.lengths[text[0]] {
		if n > len(text) {
			continue
		}
		if a, ok := f.tokens[text[:n]]; ok {
			return a, n
		}
	}
	return nil, 0
}
