package runtime

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// Case is one input of a verification run.
type Case struct {
	Batch, Length int
	IDs           []int64 // Batch·Length token ids, row by row
}

func (c Case) String() string { return fmt.Sprintf("batch %d, length %d", c.Batch, c.Length) }

// Inputs returns the case as a session takes it, in memory of its own.
func (c Case) Inputs() map[string]format.Tensor {
	ids := append([]int64(nil), c.IDs...)
	return map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{c.Batch, c.Length}, ids)}
}

// NewCase returns a case of the given shape whose ids are a function of seed,
// uniform over 0 to vocab-1, but for the last two, which are the edge ids
// vocab-1 and 0; a single id is vocab-1. With a number below 1 there are no ids.
func NewCase(batch, length, vocab int, seed uint64) Case {
	c := Case{Batch: batch, Length: length}
	if batch < 1 || length < 1 || vocab < 1 {
		return c
	}
	c.IDs = make([]int64, batch*length)
	for i := range c.IDs {
		c.IDs[i] = int64(splitMix(seed+uint64(i)) % uint64(vocab))
	}
	last := len(c.IDs) - 1
	c.IDs[max(last-1, 0)] = int64(vocab - 1)
	if last > 0 {
		c.IDs[last] = 0
	}
	return c
}

// caseTokens bounds the tokens of a case, but for the one of full context: the
// oracle is plain loops in float64, and its logits take 8·V bytes a token.
const caseTokens = 512

// Cases returns the standard inputs for a model of the given vocabulary and
// context: every batch size from 1 to 8, lengths from 1 to the context, each
// case with the edge ids 0 and vocab-1 where it has two tokens. They are a
// function of the arguments; a vocabulary or context below 1 has none.
func Cases(vocab, context int, seed uint64) []Case {
	if vocab < 1 || context < 1 {
		return nil
	}
	cases := []Case{
		{Batch: 1, Length: 1, IDs: []int64{0}},
		NewCase(1, 1, vocab, seed),
		NewCase(1, context, vocab, splitMix(seed)),
	}
	for i, length := range [...]int{context, context / 2, 1, 7, context - 1, 3, 2, context} {
		batch := i + 1
		length = max(1, min(length, context, caseTokens/batch))
		cases = append(cases, NewCase(batch, length, vocab, splitMix(seed+uint64(batch))))
	}
	return cases
}

// splitMix is the output function of SplitMix64 (Steele, Lea, Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014) at counter n. This
// package may not import the project's own generator, and needs no more.
func splitMix(n uint64) uint64 {
	z := (n + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
