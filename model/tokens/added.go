package tokens

import "slices"

// maxAddedBytes bounds an added token, and so the work at each byte of a text.
// Real ones have at most a few dozen bytes.
const maxAddedBytes = 256

// finder finds added tokens in a text: the leftmost, and the longest of those.
// A nil finder finds nothing.
type finder struct {
	ids     map[string]int32
	lengths [256][]int // lengths of tokens by first byte, longest first
}

func newFinder(added []addedToken) *finder {
	if len(added) == 0 {
		return nil
	}
	f := &finder{ids: make(map[string]int32, len(added))}
	for _, a := range added {
		f.ids[a.content] = a.id
		first := a.content[0]
		if !slices.Contains(f.lengths[first], len(a.content)) {
			f.lengths[first] = append(f.lengths[first], len(a.content))
		}
	}
	for _, l := range f.lengths {
		slices.SortFunc(l, func(a, b int) int { return b - a })
	}
	return f
}

// split passes on the parts of a text in order: an added token, with its
// length, to found, everything else, if not empty, to rest. It stops when one
// of them returns false, and returns false itself.
func (f *finder) split(text string, found func(id int32, bytes int) bool, rest func(string) bool) bool {
	from := 0
	for i := 0; f != nil && i < len(text); {
		id, n := f.match(text[i:])
		if n == 0 {
			i++
			continue
		}
		if from < i && !rest(text[from:i]) || !found(id, n) {
			return false
		}
		i += n
		from = i
	}
	return from == len(text) || rest(text[from:])
}

// match returns the longest added token at the start of text, and its length.
func (f *finder) match(text string) (id int32, n int) {
	for _, n := range f.lengths[text[0]] {
		if n > len(text) {
			continue
		}
		if id, ok := f.ids[text[:n]]; ok {
			return id, n
		}
	}
	return 0, 0
}
