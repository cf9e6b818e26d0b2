package train

import (
	"fmt"

	"github.com/attnx/attnx/model"
)

// Data is what a model learns from, split into a part for training and a part
// for validation. Batches are functions of a seed and a number: a run that is
// resumed needs no history.
type Data struct {
	train, val source
	context    int
}

// source gives the examples of one part.
type source interface {
	len() int                        // examples to draw from
	fill(i int, ids, labels []int64) // example i, padded to len(ids)
}

// valShare is the part kept for validation: one in ten.
const valShare = 10

// NewText returns the data of one long text: an example is any window of
// context tokens, its labels the same window one token on. The last tenth is
// for validation.
func NewText(ids []int64, context int) (*Data, error) {
	if context < 1 {
		return nil, fmt.Errorf("train: context %d, wants 1 or more", context)
	}
	cut := len(ids) - len(ids)/valShare
	if need := context + 1; cut < need || len(ids)-cut < need {
		return nil, fmt.Errorf("train: a text of %d tokens is too short for context %d with a tenth kept for validation: it takes %d, give more text or a smaller --context", len(ids), context, valShare*need)
	}
	return &Data{train: window{ids[:cut], context}, val: window{ids[cut:], context}, context: context}, nil
}

type window struct {
	ids     []int64
	context int
}

// len counts the windows whose last token has a successor.
func (w window) len() int { return len(w.ids) - w.context }

func (w window) fill(i int, ids, labels []int64) {
	copy(ids, w.ids[i:])
	copy(labels, w.ids[i+1:])
}

// NewLines returns the data of many short sequences of different length, one
// an example: padded on the right to the longest, with the padding masked out
// of the loss. Every tenth sequence is for validation, or all of them if there
// are fewer than ten. A sequence longer than the context is refused.
func NewLines(sequences [][]int64, context int) (*Data, error) {
	if context < 1 {
		return nil, fmt.Errorf("train: context %d, wants 1 or more", context)
	}
	d := &Data{}
	var train, val lines
	for i, s := range sequences {
		if len(s) > context+1 {
			return nil, fmt.Errorf("train: sequence %d has %d tokens, more than context %d and the one after: give a larger --context or shorter lines", i+1, len(s), context)
		}
		if len(s) < 2 {
			continue // nothing to predict
		}
		d.context = max(d.context, len(s)-1)
		if len(sequences) >= valShare && i%valShare == valShare-1 {
			val = append(val, s)
		} else {
			train = append(train, s)
		}
	}
	if len(train) == 0 {
		return nil, fmt.Errorf("train: no sequence has two tokens or more: there is nothing to predict")
	}
	if len(val) == 0 {
		val = train
	}
	d.train, d.val = train, val
	return d, nil
}

type lines [][]int64

func (l lines) len() int { return len(l) }

func (l lines) fill(i int, ids, labels []int64) {
	s := l[i]
	for t := range ids {
		ids[t], labels[t] = 0, model.IgnoreIndex
	}
	copy(ids, s[:len(s)-1])
	copy(labels, s[1:])
}

// draw fills batch number n of a part: which examples stand in it is a
// function of the stream and n.
func (d *Data) draw(s source, size int, stream model.Stream, n int, b *Batch) {
	if len(b.IDs) != size*d.context { // room for one batch, made once
		*b = Batch{B: size, T: d.context, IDs: make([]int64, size*d.context), Labels: make([]int64, size*d.context)}
	}
	for i := range size {
		j := stream.IntN(uint64(n)*uint64(size)+uint64(i), s.len())
		s.fill(j, b.IDs[i*d.context:(i+1)*d.context], b.Labels[i*d.context:(i+1)*d.context])
	}
}
