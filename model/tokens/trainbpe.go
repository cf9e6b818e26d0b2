package tokens

import (
	"fmt"
	"math"
)

// minPairs is how often a pair must occur to become a token: a token that
// occurs once shortens no other text.
const minPairs = 2

// trainBPE learns byte pairs as in Sennrich et al. 2016 (algorithm 1), on the
// pieces of GPT-2's pattern. Of equally frequent pairs the one with the
// smallest ids comes first, as in the Python library.
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
	learn := learnBPE[uint32]
	if vocabSize <= math.MaxUint16-reserved {
		learn = learnBPE[uint16]
	}
	vocab, merges, err := learn(text, vocabSize-1, wide)
	if err != nil {
		return nil, err
	}
	end := int32(len(vocab))
	t := newTokenizer(BPE, append(vocab, EndOfText))
	t.added = []addedToken{{id: end, content: EndOfText, special: true}}
	return t, t.finish(merges)
}

// learnBPE returns at most size tokens and the merges that make them.
func learnBPE[T symbolID](text string, size int, most bounds) ([]string, [][2]int32, error) {
	l := &learner[T]{ids: make(map[string]int32)}
	for _, b := range byteOrder {
		l.token(string(symbols[b]), 1)
	}
	var err error
	if l.pool, err = newPool[T](text, l.ids); err != nil {
		return nil, nil, err
	}
	l.index = newPairIndex(len(l.pool.symbols), most)
	for len(l.vocab) < size {
		best, ok := l.index.best()
		if !ok {
			if l.index.least == minPairs {
				break
			}
			l.count()
			continue
		}
		l.merge(best)
	}
	return l.vocab, l.merges, nil
}

// learner is the state of BPE training.
type learner[T symbolID] struct {
	vocab   []string
	lengths []int32 // bytes, by id
	ids     map[string]int32
	merges  [][2]int32
	pool    *pool[T]
	index   *pairIndex
}

// token returns the id of a token of length bytes, and whether it is new.
func (l *learner[T]) token(s string, length int32) (id int32, isNew bool) {
	id, ok := l.ids[s]
	if !ok {
		id = int32(len(l.vocab))
		l.ids[s] = id
		l.vocab, l.lengths = append(l.vocab, s), append(l.lengths, length)
	}
	return id, !ok
}

// count recounts the most frequent pairs, as many as the index holds.
func (l *learner[T]) count() {
	x := l.index
	for x.slack = 1; ; x.slack *= 2 {
		x.reset(min(len(l.vocab)*len(l.vocab), len(l.pool.symbols)))
		l.pool.pairs(l.lengths, func(_ int, key uint64, times uint32) { x.estimate(key, times) })
		x.choose()
		l.pool.pairs(l.lengths, func(_ int, key uint64, times uint32) { x.count(key, times) })
		fits := x.settle(0)
		if fits {
			l.pool.pairs(l.lengths, func(at int, key uint64, _ uint32) { x.note(key, uint32(at)) })
		}
		if len(x.queue) > 0 || x.least == minPairs {
			return
		}
	}
}

// merge replaces a pair with one token wherever it occurs.
func (l *learner[T]) merge(pair *indexedPair) {
	left, right := pair.ids()
	id, isNew := l.token(l.vocab[left]+l.vocab[right], l.lengths[left]+l.lengths[right])
	l.merges = append(l.merges, [2]int32{left, right})
	if !l.index.room() {
		l.mergeUnnoted(pair.key, id)
		return
	}
	places := l.index.places(pair)
	done := places[:0]
	pair.count = 0
	for _, at := range places {
		if !l.pool.holds(int(at), left, right, l.lengths) {
			continue // one of the two has been merged meanwhile
		}
		before, after, times := l.pool.join(int(at), left, right, id, l.lengths)
		if before >= 0 && before != id {
			l.index.take(pairKey(before, left), times)
		}
		if after >= 0 {
			l.index.take(pairKey(right, after), times)
		}
		done = append(done, at)
	}
	if isNew {
		l.addPairs(id, done)
	} else {
		l.index.forget() // the token's pairs occur elsewhere too
	}
}

// mergeUnnoted merges a pair with more places than the index could record.
func (l *learner[T]) mergeUnnoted(key uint64, id int32) {
	left, right := int32(key>>32), int32(uint32(key))
	l.pool.pairs(l.lengths, func(at int, k uint64, _ uint32) {
		if k == key {
			l.pool.join(at, left, right, id, l.lengths)
		}
	})
	l.index.forget()
}

// addPairs adds the pairs of a new token at the given places to the index.
func (l *learner[T]) addPairs(id int32, places []uint32) {
	each := func(do func(key uint64, at int, times uint32)) {
		for _, at := range places {
			before, from, after, times := l.pool.around(int(at), id, l.lengths)
			if before >= 0 && before != id {
				do(pairKey(before, id), from, times)
			}
			if after >= 0 {
				do(pairKey(id, after), int(at), times)
			}
		}
	}
	first := len(l.index.pairs)
	each(func(key uint64, _ int, times uint32) { l.index.add(key, times) })
	if !l.index.settle(first) {
		l.index.forget()
		return
	}
	each(func(key uint64, at int, _ uint32) { l.index.note(key, uint32(at)) })
}
