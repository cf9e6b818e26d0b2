package tokens

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// pieceCounts counts the different pieces of a text in little more than eight
// bytes for each. It identifies a piece by its first occurrence.
type pieceCounts struct {
	text  string
	edges []uint64 // a bit for each offset of the text where a counted piece starts or ends
	seed  maphash.Seed
	slots []countedPiece // a hash table
	used  int
}

// countedPiece is a piece, as the offset of its first occurrence, and its
// count. A count of 0 is an empty slot.
type countedPiece struct{ at, times uint32 }

// countPieces counts the pieces of a text, given with their offsets.
func countPieces(text string, pieces iter.Seq2[int, string]) (*pieceCounts, error) {
	if len(text) >= math.MaxUint32 {
		return nil, fmt.Errorf("the text has %d bytes, but a tokenizer is trained from less than 4 GiB: give a part of it", len(text))
	}
	c := &pieceCounts{
		text:  text,
		edges: make([]uint64, len(text)/64+1),
		seed:  maphash.MakeSeed(),
		slots: make([]countedPiece, 1<<10),
	}
	for at, piece := range pieces {
		c.add(at, piece)
	}
	return c, nil
}

// add counts a piece, which must not be empty.
func (c *pieceCounts) add(at int, piece string) {
	for _, i := range [2]int{at, at + len(piece)} {
		c.edges[i/64] |= 1 << (i % 64)
	}
	s := c.slot(piece)
	if s.times++; s.times > 1 {
		return
	}
	s.at = uint32(at)
	if c.used++; c.used > len(c.slots)/8*7 {
		c.grow()
	}
}

// slot returns the slot of a piece, or the empty one for it.
func (c *pieceCounts) slot(piece string) *countedPiece {
	i, _ := bits.Mul64(maphash.String(c.seed, piece), uint64(len(c.slots)))
	for {
		s := &c.slots[i]
		if s.times == 0 || c.is(s.at, piece) {
			return s
		}
		if i++; i == uint64(len(c.slots)) {
			i = 0
		}
	}
}

// is reports whether the piece at an offset equals piece.
func (c *pieceCounts) is(at uint32, piece string) bool {
	end := int(at) + len(piece)
	return end <= len(c.text) && c.text[at:end] == piece && c.end(at) == end
}

// end returns where the piece at an offset ends.
func (c *pieceCounts) end(at uint32) int {
	i := int(at) + 1
	w := c.edges[i/64] >> (i % 64)
	for w == 0 {
		i = (i/64 + 1) * 64
		w = c.edges[i/64]
	}
	return i + bits.TrailingZeros64(w)
}

// piece returns the piece at an offset.
func (c *pieceCounts) piece(at uint32) string { return c.text[at:c.end(at)] }

// grow makes the table half as large again. Doubling would make the two tables
// together the peak of memory use.
func (c *pieceCounts) grow() {
	old := c.slots
	c.slots = make([]countedPiece, len(old)+len(old)/2)
	for _, s := range old {
		if s.times > 0 {
			*c.slot(c.piece(s.at)) = s
		}
	}
}

// list returns the pieces in any order. It ends counting.
func (c *pieceCounts) list() []countedPiece {
	c.slots = slices.DeleteFunc(c.slots, func(s countedPiece) bool { return s.times == 0 })
	return c.slots
}
