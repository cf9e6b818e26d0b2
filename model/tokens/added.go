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
	first   [256]bool        // bytes with which tokens start
	lengths map[string][]int // lengths of tokens by their first three bytes, or fewer in a shorter token, longest first
}

// headBytes is how many bytes of a token select the lengths that are tried. Gemma has
// tokens of 2 to 31 line breaks, of which a single one is none.
const headBytes = 3

// newFinder finds added tokens by their contents, as normalized.
func newFinder(added []*addedToken, contents []string) *finder {
	if len(added) == 0 {
		return nil
	}
	f := &finder{tokens: make(map[string]*addedToken, len(added)), lengths: make(map[string][]int)}
	for i, content := range contents {
		if _, ok := f.tokens[content]; ok {
			continue // of equal ones the first counts
		}
		f.tokens[content] = added[i]
		f.first[content[0]] = true
		head := content[:min(headBytes, len(content))]
		if !slices.Contains(f.lengths[head], len(content)) {
			f.lengths[head] = append(f.lengths[head], len(content))
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
//
// As in tokenizers, parts overlap where a token took the spaces on its right and
// another token lies in these spaces: it counts too, and the text goes on behind it,
// unless it strips spaces itself and nothing is left for it. (Where such a token strips
// on its left alone, tokenizers panics; here it is left out.)
func (f *finder) split(text string, found func(id int32, bytes int) bool, rest func(at int, s string) bool) bool {
	from, spaces := 0, 0 // up to spaces, all from some token on is spaces
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
		if a.rstrip {
			if end >= spaces {
				spaces = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
			}
			end = spaces
		}
		if start > end {
			continue
		}
		if from < start && !rest(from, text[from:start]) || start < end && !found(a.id, end-start) {
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
	if !f.first[text[0]] {
		return nil, 0
	}
	for head := min(headBytes, len(text)); head > 0; head-- {
		for _, n := range f.lengths[text[:head]] {
			if n > len(text) {
				continue
			}
			if a, ok := f.tokens[text[:n]]; ok {
				return a, n
			}
		}
	}
	return nil, 0
}
