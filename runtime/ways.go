package runtime

import "slices"

// Way is a way to compute a text with a graph that has a past. All ways give
// the same logits, keys and values.
type Way string

// The ways. A graph with shared buffers computes each sequence separately while
// there is more than one new token, and does not support padding. A window
// counts columns, so columns without a token would shorten it. A recurrent network has no
// mask.
const (
	Whole        Way = "whole"             // all tokens in one run
	TokenByToken Way = "token by token"    // the first half or more in one run, then one token per run
	LeftPadding  Way = "left padding"      // the same, with first parts of different lengths, padded on the left
	Chunks       Way = "chunks"            // several new tokens after a past, run after run
	Holes        Way = "holes in the mask" // the same, with empty columns between the tokens
)

// Ways returns the ways in which a graph of this shape can run.
func (c CacheShape) Ways() []Way {
	if c.Shared || len(c.States) > 0 {
		return []Way{Whole, TokenByToken, Chunks}
	}
	if c.Window {
		return []Way{Whole, TokenByToken, LeftPadding, Chunks}
	}
	return []Way{Whole, TokenByToken, LeftPadding, Chunks, Holes}
}

// singles bounds, within one, the number of tokens that get a run each. Of a
// long text more than half is in the first run. Over GPT-2's context, further
// single-token runs would take minutes and differ only in the length of the
// past.
const singles = 16

// padding bounds the number of padding columns, if the context has room.
const padding = 20

// hole marks a column without a token of the sequence.
const hole = -1

// next returns the places in the text, (B,n), of the columns of the next run. A
// hole is a column without a token of the sequence.
func (t *text) next() [][]int {
	switch t.way {
	case Whole:
		return t.together(t.length)
	case Chunks:
		return t.together(t.chunk())
	case Holes:
		return t.withHoles(t.chunk())
	}
	if t.width == 0 {
		return t.first()
	}
	return t.together(1)
}

// chunk returns the number of new tokens of the next run. It grows, so that a
// long text needs few runs.
func (t *text) chunk() int {
	left := t.length - slices.Min(t.done)
	return max(1, min(left, max(2+t.runs, left/2)))
}

// together returns the next n tokens of every sequence. A sequence that has
// ended gets holes.
func (t *text) together(n int) [][]int {
	places := make([][]int, t.batch)
	for b := range places {
		places[b] = make([]int, n)
		for i := range n {
			places[b][i] = hole
			if p := t.done[b] + i; p < t.length {
				places[b][i] = p
			}
		}
	}
	return places
}

// first returns the first tokens of every sequence: the first half, or more of
// a long text. With left padding their lengths differ.
func (t *text) first() [][]int {
	room := 0
	if t.way == LeftPadding {
		room = min(padding, t.shape.Context-t.length)
	}
	most := max((t.length+1)/2, t.length-singles)
	lengths := make([]int, t.batch)
	for b := range lengths {
		lengths[b] = max(1, most-b%(room/2+1))
	}
	width := slices.Min(lengths) + room // over all sequences, so that the rest fits the context
	places := make([][]int, t.batch)
	for b, n := range lengths {
		places[b] = make([]int, max(width, slices.Max(lengths)))
		pad := len(places[b]) - n
		for i := range places[b] {
			places[b][i] = max(i-pad, hole)
		}
	}
	return places
}

// withHoles returns about n next tokens of every sequence with empty columns
// between them, as many as the context has room for. Each sequence has its
// holes at different places.
func (t *text) withHoles(n int) [][]int {
	holes := make([]int, t.batch)
	columns := 0
	for b := range holes {
		left := t.length - t.done[b]
		room := t.shape.Context - t.width - left
		holes[b] = min(room, (b+t.runs)%4)
		columns = max(columns, min(n, left)+holes[b])
	}
	places := make([][]int, t.batch)
	for b := range places {
		left := t.length - t.done[b]
		// All sequences have the same number of columns: one with fewer holes has more
		// tokens.
		tokens, seed := min(left, columns-holes[b]), uint64(t.runs*t.batch+b)
		if tokens == left && left > 0 { // the last token is in the last column, whose logits every model returns
			places[b] = append(spread(left-1, columns-1, t.done[b], seed), t.length-1)
			continue
		}
		places[b] = spread(tokens, columns, t.done[b], seed)
	}
	return places
}

// spread distributes the given number of places, from, from+1, ..., over
// columns, in order. Which columns stay holes is a function of seed.
func spread(tokens, columns, from int, seed uint64) []int {
	places := make([]int, columns)
	for i := range places {
		places[i] = hole
		if left := columns - i; splitMix(seed*1000+uint64(i))%uint64(left) < uint64(tokens) {
			places[i] = from
			from++
			tokens--
		}
	}
	return places
}
