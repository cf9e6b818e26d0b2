package tokens

import (
	"fmt"
	"math"
	"strings"
)

// minPairs is how often a pair must occur to become a token: a token for what
// occurs once shortens nothing else.
const minPairs = 2

// trainBPE learns byte pairs as Sennrich et al. 2016 do (algorithm 1), on the
// pieces that GPT-2's pattern cuts. Counts are kept up to date instead of
// being taken anew, and among equally frequent pairs that of the smallest ids
// comes first, as in the Python library.
func trainBPE(text string, vocabSize int) (*Tokenizer, error) {
	if vocabSize == 0 {
		vocabSize = DefaultBPESize
	}
	if vocabSize < minBPESize {
		return nil, fmt.Errorf("vocabulary size %d is too small for bpe: give at least %d, for the 256 bytes and %s", vocabSize, minBPESize, EndOfText)
	}
	if vocabSize > math.MaxInt32 {
		return nil, fmt.Errorf("vocabulary size %d is too large: ids have 31 bits", vocabSize)
	}
	l := newLearner(text)
	for len(l.vocab) < vocabSize-1 && l.mergeBest() {
	}
	end := int32(len(l.vocab))
	t := newTokenizer(BPE, append(l.vocab, EndOfText))
	t.added = []addedToken{{id: end, content: EndOfText, special: true}}
	t.finish(l.merges)
	return t, nil
}

// learner is the state of a training of BPE.
type learner struct {
	vocab  []string
	ids    map[string]int32
	merges [][2]int32
	words  []countedWord
	count  map[uint64]int     // how often each pair occurs
	where  map[uint64][]int32 // words that hold the pair, or did once
	queue  []countedPair      // by frequency, which may be out of date
}

// countedWord is a piece of the text as ids, and how often it occurs.
type countedWord struct {
	ids   []int32
	times int
}

func newLearner(text string) *learner {
	l := &learner{ids: make(map[string]int32), count: make(map[uint64]int), where: make(map[uint64][]int32)}
	var idOf [256]int32
	for _, b := range byteOrder {
		idOf[b] = l.token(string(symbols[b]))
	}
	seen := make(map[string]int32)
	for part := range strings.SplitSeq(text, EndOfText) {
		for piece := range gpt2Pieces(part) {
			i, ok := seen[piece]
			if !ok {
				i = int32(len(l.words))
				seen[piece] = i
				ids := make([]int32, len(piece))
				for k := range ids {
					ids[k] = idOf[piece[k]]
				}
				l.words = append(l.words, countedWord{ids: ids})
			}
			l.words[i].times++
		}
	}
	for i, w := range l.words {
		for k := 1; k < len(w.ids); k++ {
			l.change(pairKey(w.ids[k-1], w.ids[k]), w.times, int32(i))
		}
	}
	for key, n := range l.count {
		l.push(countedPair{key, n})
	}
	return l
}

// token returns the id of a token, a new one if there is none.
func (l *learner) token(s string) int32 {
	id, ok := l.ids[s]
	if !ok {
		id = int32(len(l.vocab))
		l.ids[s] = id
		l.vocab = append(l.vocab, s)
	}
	return id
}

// change adds n to the count of a pair in a word.
func (l *learner) change(key uint64, n int, word int32) {
	l.count[key] += n
	if n < 0 {
		return
	}
	if at := l.where[key]; len(at) == 0 || at[len(at)-1] != word {
		l.where[key] = append(at, word)
	}
}

// mergeBest merges the most frequent pair wherever it occurs. It returns false
// if no pair is frequent enough.
func (l *learner) mergeBest() bool {
	for len(l.queue) > 0 {
		var best countedPair
		best, l.queue = heapPop(l.queue, countedPair.before)
		if now := l.count[best.key]; now != best.count {
			if now >= minPairs {
				l.push(countedPair{best.key, now})
			}
			continue
		}
		if best.count < minPairs {
			return false
		}
		l.merge(best.key)
		return true
	}
	return false
}

func (l *learner) push(p countedPair) { l.queue = heapPush(l.queue, p, countedPair.before) }

func (l *learner) merge(key uint64) {
	left, right := int32(key>>32), int32(uint32(key))
	id := l.token(l.vocab[left] + l.vocab[right])
	l.merges = append(l.merges, [2]int32{left, right})
	at := l.where[key]
	delete(l.where, key)
	grown := make(map[uint64]bool)
	for _, i := range at {
		l.mergeWord(i, left, right, id, grown)
	}
	delete(l.count, key)
	for k := range grown {
		l.push(countedPair{k, l.count[k]})
	}
}

// mergeWord replaces the pair in one word, from left to right, and notes the
// pairs that came to be.
func (l *learner) mergeWord(word, left, right, id int32, grown map[uint64]bool) {
	w := &l.words[word]
	out := w.ids[:0]
	for i := 0; i < len(w.ids); i++ {
		if i+1 == len(w.ids) || w.ids[i] != left || w.ids[i+1] != right {
			out = append(out, w.ids[i])
			continue
		}
		if len(out) > 0 {
			before := out[len(out)-1]
			l.change(pairKey(before, left), -w.times, word)
			l.change(pairKey(before, id), w.times, word)
			grown[pairKey(before, id)] = true
		}
		if i+2 < len(w.ids) {
			after := w.ids[i+2]
			l.change(pairKey(right, after), -w.times, word)
			l.change(pairKey(id, after), w.times, word)
			grown[pairKey(id, after)] = true
		}
		out = append(out, id)
		i++
	}
	w.ids = out
}

// countedPair is a pair of ids and how often it occurred when it was counted.
// The most frequent comes first, of these the one with the smallest ids.
type countedPair struct {
	key   uint64
	count int
}

func (p countedPair) before(q countedPair) bool {
	return p.count > q.count || p.count == q.count && p.key < q.key
}
