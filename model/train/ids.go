package train

import (
	"fmt"
	"math"
)

// idStore keeps the ids of a text.
type idStore interface {
	add(ids []int64) error
	read(from int, into []int64) // the ids from, from+1, ...: as many as into has room for
	len() int
}

// newIDStore returns a store for ids below vocab: two bytes for each where that
// is enough, otherwise four.
func newIDStore(vocab int) idStore {
	if vocab <= math.MaxUint16+1 {
		return &packed[uint16]{vocab: int64(vocab)}
	}
	return &packed[uint32]{vocab: int64(min(vocab, math.MaxInt32))}
}

// blockIDs is how many ids lie together. A store grows by blocks, so that
// growing copies nothing.
const blockIDs = 1 << 18

type packed[T uint16 | uint32] struct {
	blocks [][]T // all full but the last
	vocab  int64
}

func (p *packed[T]) len() int {
	if len(p.blocks) == 0 {
		return 0
	}
	last := len(p.blocks) - 1
	return last*blockIDs + len(p.blocks[last])
}

func (p *packed[T]) add(ids []int64) error {
	for _, id := range ids {
		if id < 0 || id >= p.vocab {
			return fmt.Errorf("train: token id %d is outside the vocabulary of %d", id, p.vocab)
		}
		last := len(p.blocks) - 1
		if last < 0 || len(p.blocks[last]) == blockIDs {
			p.blocks = append(p.blocks, make([]T, 0, blockIDs))
			last++
		}
		p.blocks[last] = append(p.blocks[last], T(id))
	}
	return nil
}

func (p *packed[T]) read(from int, into []int64) {
	for i := range into {
		at := from + i
		into[i] = int64(p.blocks[at/blockIDs][at%blockIDs])
	}
}
