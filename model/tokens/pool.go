package tokens

import (
	"cmp"
	"iter"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
)

// symbolID is an id in a pool: two bytes if the vocabulary is small enough.
type symbolID interface{ uint16 | uint32 }

// reserved is the number of symbolID values that are not ids: edge and inside.
const reserved = 2

func edge[T symbolID]() T   { return ^T(0) }     // between two words
func inside[T symbolID]() T { return ^T(0) - 1 } // in a token, neither its first nor its last place

// pool holds the different words of a text as tokens. A token keeps the places
// of its bytes and stores its id in the first and the last. So its neighbors
// are found without links, and places recorded earlier stay valid.
type pool[T symbolID] struct {
	symbols []T // an edge, and one after each word
	groups  []wordGroup
	last    int // the last group found
}

// wordGroup is the words that occur equally often.
type wordGroup struct {
	from  int // in symbols; it ends where the next group starts
	times uint32
}

// largeText is the text size from which unused memory is returned to the
// system at once.
const largeText = 64 << 20

// newPool splits a text into words, with each byte a token.
func newPool[T symbolID](text string, ids map[string]int32) (*pool[T], error) {
	counts, err := countPieces(text, trainingPieces(text))
	if err != nil {
		return nil, err
	}
	words := counts.list()
	sortByTimes(words)
	size := 1
	for _, w := range words {
		size += len(counts.piece(w.at)) + 1
	}
	var byteID [256]T
	for b, r := range symbols {
		byteID[b] = T(ids[string(r)])
	}
	p := &pool[T]{symbols: make([]T, 0, size)}
	p.symbols = append(p.symbols, edge[T]())
	for i, w := range words {
		if i == 0 || w.times != words[i-1].times {
			p.groups = append(p.groups, wordGroup{len(p.symbols), w.times})
		}
		piece := counts.piece(w.at)
		for k := range len(piece) {
			p.symbols = append(p.symbols, byteID[piece[k]])
		}
		p.symbols = append(p.symbols, edge[T]())
	}
	if len(text) >= largeText {
		counts, words = nil, nil
		debug.FreeOSMemory()
	}
	return p, nil
}

// trainingPieces yields the pieces of a text from which pairs are learned,
// with their offsets.
func trainingPieces(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		at := 0
		for part := range strings.SplitSeq(text, EndOfText) {
			for piece := range gpt2Pieces(part) {
				if !yield(at, piece) {
					return
				}
				at += len(piece)
			}
			at += len(EndOfText)
		}
	}
}

// sortByTimes sorts words by their counts. Most occur once and need no
// sorting.
func sortByTimes(words []countedPiece) {
	once := 0
	for i, w := range words {
		if w.times == 1 {
			words[i], words[once] = words[once], w
			once++
		}
	}
	slices.SortFunc(words[once:], func(a, b countedPiece) int {
		return cmp.Or(cmp.Compare(a.times, b.times), cmp.Compare(a.at, b.at))
	})
}

// pairs calls do for every adjacent pair, with its place and the count of its
// word. do may join the pair.
func (p *pool[T]) pairs(lengths []int32, do func(at int, key uint64, times uint32)) {
	s := p.symbols
	for i, g := range p.groups {
		end := len(s)
		if i+1 < len(p.groups) {
			end = p.groups[i+1].from
		}
		for at := g.from; at < end; {
			if s[at] == edge[T]() {
				at++
				continue
			}
			next := at + int(lengths[s[at]])
			if s[next] != edge[T]() {
				do(at, pairKey(int32(s[at]), int32(s[next])), g.times)
				next = at + int(lengths[s[at]])
			}
			at = next
		}
	}
}

// holds reports whether the token left still starts at a place and right
// follows it.
func (p *pool[T]) holds(at int, left, right int32, lengths []int32) bool {
	return p.symbols[at] == T(left) && p.symbols[at+int(lengths[left])] == T(right)
}

// join merges the pair at a place into one token. It returns the neighbors, -1
// if there is none, and the count of the word.
func (p *pool[T]) join(at int, left, right, id int32, lengths []int32) (before, after int32, times uint32) {
	s := p.symbols
	middle := at + int(lengths[left])
	end := middle + int(lengths[right])
	s[middle-1], s[middle] = inside[T](), inside[T]()
	s[at], s[end-1] = T(id), T(id)
	return p.token(at - 1), p.token(end), p.times(at)
}

// around returns the neighbors of the token id at a place, -1 if there is
// none, where the first of them starts, and the count of the word.
func (p *pool[T]) around(at int, id int32, lengths []int32) (before int32, from int, after int32, times uint32) {
	if before = p.token(at - 1); before >= 0 {
		from = at - int(lengths[before])
	}
	return before, from, p.token(at + int(lengths[id])), p.times(at)
}

// token returns the token that starts or ends at a place; -1 at an edge.
func (p *pool[T]) token(at int) int32 {
	if id := p.symbols[at]; id != edge[T]() {
		return int32(id)
	}
	return -1
}

// times returns the count of the word at a place.
func (p *pool[T]) times(at int) uint32 {
	g := p.groups
	if i := p.last; g[i].from <= at && (i+1 == len(g) || at < g[i+1].from) {
		return g[i].times
	}
	p.last = sort.Search(len(g), func(i int) bool { return g[i].from > at }) - 1
	return g[p.last].times
}
