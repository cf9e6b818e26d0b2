package train

import (
	"fmt"
	"slices"

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
// for validation. The ids are copied, into two bytes each or four.
func NewText(ids []int64, context int) (*Data, error) {
	store := newIDStore(vocabOf(ids))
	if err := store.add(ids); err != nil {
		return nil, err
	}
	return newText(store, context)
}

// vocabOf returns the smallest vocabulary that has these ids.
func vocabOf(ids []int64) int {
	if len(ids) == 0 {
		return 0
	}
	return int(max(0, slices.Max(ids)+1))
}

func checkContext(context int) error {
	if context < 1 {
		return fmt.Errorf("train: context %d, expects 1 or more", context)
	}
	return nil
}

func newText(ids idStore, context int) (*Data, error) {
	if err := checkContext(context); err != nil {
		return nil, err
	}
	n := ids.len()
	cut := n - n/valShare
	if need := context + 1; cut < need || n-cut < need {
		return nil, fmt.Errorf("train: a text of %d tokens is too short for context %d with a tenth kept for validation: it takes %d, give more text or a smaller context", n, context, valShare*need)
	}
	return &Data{train: window{ids, 0, cut, context}, val: window{ids, cut, n, context}, context: context}, nil
}

// window is the part of a text from one token to another.
type window struct {
	ids      idStore
	from, to int
	context  int
}

// len counts the windows whose last token has a successor.
func (w window) len() int { return w.to - w.from - w.context }

func (w window) fill(i int, ids, labels []int64) {
	w.ids.read(w.from+i, ids)
	w.ids.read(w.from+i+1, labels)
}

// NewLines returns the data of many short sequences of different length, one
// an example: padded on the right to the longest, with the padding masked out
// of the loss. Every tenth sequence is for validation, or all of them if there
// are fewer than ten. A sequence longer than the context is refused. The ids are
// copied, into two bytes each or four.
func NewLines(sequences [][]int64, context int) (*Data, error) {
	if err := checkContext(context); err != nil {
		return nil, err
	}
	vocab := 0
	for _, s := range sequences {
		vocab = max(vocab, vocabOf(s))
	}
	b := lineBuilder{ids: newIDStore(vocab), context: context}
	for _, s := range sequences {
		if err := b.add(s); err != nil {
			return nil, err
		}
	}
	return b.data()
}

// lineBuilder takes sequences one by one.
type lineBuilder struct {
	ids        idStore
	context    int // of the model
	sequences  int // so far
	longest    int // tokens that a sequence predicts
	train, val []span
}

// span is where a sequence lies among the ids.
type span struct{ from, n int }

// add takes the next sequence.
func (b *lineBuilder) add(s []int64) error {
	b.sequences++
	if len(s) > b.context+1 {
		return fmt.Errorf("train: sequence %d has %d tokens, more than context %d and the one after: give a larger context or shorter lines", b.sequences, len(s), b.context)
	}
	if len(s) < 2 {
		return nil // nothing to predict
	}
	b.longest = max(b.longest, len(s)-1)
	at := span{b.ids.len(), len(s)}
	if b.sequences%valShare == 0 {
		b.val = append(b.val, at)
	} else {
		b.train = append(b.train, at)
	}
	return b.ids.add(s)
}

func (b *lineBuilder) data() (*Data, error) {
	if len(b.train) == 0 {
		return nil, fmt.Errorf("train: no sequence has two tokens or more: there is nothing to predict")
	}
	if len(b.val) == 0 {
		b.val = b.train
	}
	return &Data{train: lines{b.ids, b.train}, val: lines{b.ids, b.val}, context: b.longest}, nil
}

type lines struct {
	ids idStore
	at  []span
}

func (l lines) len() int { return len(l.at) }

func (l lines) fill(i int, ids, labels []int64) {
	at := l.at[i]
	for t := range ids {
		ids[t], labels[t] = 0, model.IgnoreIndex
	}
	l.ids.read(at.from, ids[:at.n-1])
	l.ids.read(at.from+1, labels[:at.n-1])
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
