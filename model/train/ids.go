package train

import (
	"fmt"
	"math"
)

// idStore holds the ids of a text.
type idStore interface {
	add(ids []int64) error
	read(from int, into []int64) // reads len(into) ids, starting at index from
	len() int
}

// newIDStore returns a store for ids below vocab, with two or four bytes for
// each.
func newIDStore(vocab int) idStore {
	if vocab <= math.MaxUint16+1 {
		return &packed[uint16]{vocab: int64(vocab)}
	}
	return &packed[uint32]{vocab: int64(min(vocab, math.MaxInt32))}
}

// blockLen is the number of values in a block. A list grows by whole blocks,
// so growing copies nothing.
const blockLen = 1 << 18

// blocks is a long list.
type blocks[T any] struct {
	list [][]T // all full but the last
}

func (b *blocks[T]) len() int {
	if len(b.list) == 0 {
		return 0
	}
	last := len(b.list) - 1
	return last*blockLen + len(b.list[last])
}

func (b *blocks[T]) append(x T) {
	last := len(b.list) - 1
	if last < 0 || len(b.list[last]) == blockLen {
		size := blockLen
		if last < 0 {
			size = 0 // most lists are short
		}
		b.list = append(b.list, make([]T, 0, size))
		last++
	}
	b.list[last] = append(b.list[last], x)
}

func (b *blocks[T]) at(i int) T { return b.list[i/blockLen][i%blockLen] }

type packed[T uint16 | uint32] struct {
	blocks[T]
	vocab int64
}

func (p *packed[T]) add(ids []int64) error {
	for _, id := range ids {
		if id < 0 || id >= p.vocab {
			return fmt.Errorf("train: token id %d is outside the vocabulary of %d", id, p.vocab)
		}
		p.append(T(id))
	}
	return nil
}

func (p *packed[T]) read(from int, into []int64) {
	for i := range into {
		into[i] = int64(p.at(from + i))
	}
}
