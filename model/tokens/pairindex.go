package tokens

import (
	"math"
	"math/bits"
)

// pairIndex holds the most frequent pairs and where they occur. Its room for
// places is limited, so it omits pairs less frequent than least. Counts only
// fall, so an omitted pair cannot become the most frequent while one of the
// others is left.
type pairIndex struct {
	most      bounds
	rough     []uint32 // counts by hash: the sum over all pairs with that hash
	estimated int      // places
	least     int      // all pairs at least this frequent are in the index
	ids       map[uint64]int32
	pairs     []indexedPair
	arena     []uint32 // places
	used      int      // of the arena; larger than it if places do not fit
	queue     []countedPair
	slack     int // doubles if all estimates were too high
}

// indexedPair is a pair, its count, and its part of the arena.
type indexedPair struct {
	key         uint64
	count       int
	places      uint32 // when counted
	from, noted int    // in the arena
}

func (p *indexedPair) ids() (left, right int32) { return int32(p.key >> 32), int32(uint32(p.key)) }

// bounds limit the size of an index.
type bounds struct {
	places int // of all pairs together
	pairs  int // of different hashes
	hashes int // a power of two
}

// wide keeps 200 MB of text without a space within 1.2 GB.
var wide = bounds{places: 48 << 20, pairs: 1 << 21, hashes: 1 << 24}

// newPairIndex returns an index for the given number of symbols. The pairs
// that merges make take at most twice the original places.
func newPairIndex(symbols int, most bounds) *pairIndex {
	return &pairIndex{
		most:  most,
		least: math.MaxInt,
		ids:   make(map[uint64]int32),
		arena: make([]uint32, min(3*symbols, most.places)),
		slack: 1,
	}
}

// forget makes the next call of best report that a new count is needed.
func (x *pairIndex) forget() { x.queue, x.least = x.queue[:0], math.MaxInt }

// best removes the most frequent pair from the queue. It returns false if the
// index has no pair left that is frequent enough.
func (x *pairIndex) best() (*indexedPair, bool) {
	for len(x.queue) > 0 {
		var c countedPair
		c, x.queue = heapPop(x.queue, countedPair.before)
		p := &x.pairs[x.ids[c.key]]
		if p.count == c.count {
			return p, true
		}
		x.push(p)
	}
	return nil, false
}

func (x *pairIndex) push(p *indexedPair) {
	if p.count >= x.least {
		x.queue = heapPush(x.queue, countedPair{p.key, p.count}, countedPair.before)
	}
}

// reset empties the index and prepares for an estimate of about pairs pairs.
func (x *pairIndex) reset(pairs int) {
	size := 1 << bits.Len(uint(min(max(2*pairs, 1<<10), x.most.hashes)-1))
	if size > len(x.rough) {
		x.rough = make([]uint32, size)
	}
	clear(x.rough)
	clear(x.ids)
	x.pairs, x.queue, x.used, x.estimated = x.pairs[:0], x.queue[:0], 0, 0
}

// bucket returns the estimate of a pair.
func (x *pairIndex) bucket(key uint64) *uint32 {
	const golden = 0x9e3779b97f4a7c15
	return &x.rough[key*golden>>(64-bits.Len(uint(len(x.rough)-1)))]
}

func (x *pairIndex) estimate(key uint64, times uint32) {
	*x.bucket(key) += times
	x.estimated++
}

// choose sets least so that the pairs above it take half of the places. The
// other half is for pairs made later.
func (x *pairIndex) choose() {
	var pairs, sums [8 * 33]int
	most := uint32(0)
	for _, n := range x.rough {
		if n >= minPairs {
			pairs[step(n)]++
			sums[step(n)] += int(n)
			most = max(most, n)
		}
	}
	budget := x.slack * len(x.arena) / 2
	all := x.estimated <= len(x.arena)/2 // the estimates count a place as often as its word occurs
	x.least = max(int(most), minPairs)
	n, sum := 0, 0
	for i := len(pairs) - 1; i >= 0; i-- {
		n += pairs[i]
		sum += sums[i]
		if n > x.slack*x.most.pairs || sum > budget && !all {
			return
		}
		if pairs[i] > 0 {
			x.least = stepFrom(i)
		}
	}
	x.least = minPairs
}

// step groups numbers by size: eight steps between powers of two.
func step(n uint32) int {
	if n < 8 {
		return int(n)
	}
	k := bits.Len32(n) - 4
	return 8*k + int(n>>k)
}

// stepFrom returns the smallest number of a step.
func stepFrom(i int) int {
	if i < 8 {
		return i
	}
	k := i/8 - 1
	return (i - 8*k) << k
}

// count counts a pair if it may be frequent enough.
func (x *pairIndex) count(key uint64, times uint32) {
	if int(*x.bucket(key)) >= x.least {
		x.add(key, times)
	}
}

// add counts a pair.
func (x *pairIndex) add(key uint64, times uint32) {
	i, ok := x.ids[key]
	if !ok {
		i = int32(len(x.pairs))
		x.ids[key] = i
		x.pairs = append(x.pairs, indexedPair{key: key})
	}
	x.pairs[i].count += int(times)
	x.pairs[i].places++
}

// settle keeps the frequent pairs from index first on, gives them room for
// their places, and queues them. It returns false if there is not enough room.
func (x *pairIndex) settle(first int) bool {
	kept := x.pairs[:first]
	for _, p := range x.pairs[first:] {
		if p.count < x.least {
			delete(x.ids, p.key)
			continue
		}
		p.from, p.noted = x.used, x.used
		x.used += int(p.places)
		x.ids[p.key] = int32(len(kept))
		kept = append(kept, p)
		x.push(&p)
	}
	x.pairs = kept
	return x.room()
}

// room reports whether all places fit.
func (x *pairIndex) room() bool { return x.used <= len(x.arena) }

// note records a place of a pair, if the index has the pair.
func (x *pairIndex) note(key uint64, at uint32) {
	if i, ok := x.ids[key]; ok {
		p := &x.pairs[i]
		x.arena[p.noted] = at
		p.noted++
	}
}

// take records that a pair has been merged at a place.
func (x *pairIndex) take(key uint64, times uint32) {
	if i, ok := x.ids[key]; ok {
		x.pairs[i].count -= int(times)
	}
}

// places returns where a pair occurred when it was counted, in order.
func (x *pairIndex) places(p *indexedPair) []uint32 { return x.arena[p.from:p.noted] }

// countedPair is a pair of ids and its count. The most frequent comes first;
// of equals the one with the smallest ids.
type countedPair struct {
	key   uint64
	count int
}

func (p countedPair) before(q countedPair) bool {
	return p.count > q.count || p.count == q.count && p.key < q.key
}
