package train

import (
	"fmt"
	"hash"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Data is the training data, split into a part for training and a part for
// validation: text, or examples of any kind (NewExamples). A batch depends
// only on a seed and its number, so a resumed run needs no history.
type Data struct {
	train, val source
	context    int                  // tokens of an example; 0 without tokens
	room       func(size int) Batch // allocates a batch of size examples
	failed     func() error         // the error of reading examples so far; nil: reading cannot fail
}

// err returns the error of reading examples so far.
func (d *Data) err() error {
	if d.failed == nil {
		return nil
	}
	return d.failed()
}

// Tokens returns the number of tokens of an example; 0 without tokens.
func (d *Data) Tokens() int { return d.context }

// source holds the examples of one part.
type source interface {
	len() int                    // number of examples
	fill(i int, b Batch, at int) // writes example i to row at of a batch
	hash(h hash.Hash)
}

// valShare sets the share for validation: one in ten.
const valShare = 10

// NewText returns the data of one long text. An example is any window of
// context tokens; its labels are the window shifted by one token. The last
// tenth is for validation. It copies the ids, to two or four bytes each.
func NewText(ids []int64, context int) (*Data, error) {
	store := newIDStore(vocabOf(ids))
	if err := store.add(ids); err != nil {
		return nil, err
	}
	return newText(store, Form{Length: context})
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

func newText(ids idStore, f Form) (*Data, error) {
	context := f.Length
	if err := checkContext(context); err != nil {
		return nil, err
	}
	n := ids.len()
	if f.Whole {
		if n < context+1 {
			return nil, fmt.Errorf("train: a text of %d tokens is too short for context %d: it takes %d, give more text or a smaller context", n, context, context+1)
		}
		all := window{ids, 0, n, context, 1}
		return textData(all, all, context), nil
	}
	cut := n - n/valShare
	if need := context + 1; cut < need || n-cut < need {
		return nil, fmt.Errorf("train: a text of %d tokens is too short for context %d with a tenth kept for validation: it takes %d, give more text or a smaller context", n, context, valShare*need)
	}
	return textData(window{ids, 0, cut, context, 1}, window{ids, cut, n, context, 1}, context), nil
}

// window is the range of tokens of a text from one index to another.
type window struct {
	ids      idStore
	from, to int
	context  int
	stride   int // from one window to the next
}

// len counts the windows whose last token has a successor.
func (w window) len() int { return (w.to-w.from-w.context-1)/w.stride + 1 }

func (w window) fill(i int, b Batch, at int) {
	ids, labels := emptyRow(b, at, w.context)
	w.ids.read(w.from+i*w.stride, ids[:w.context])
	w.ids.read(w.from+i*w.stride+1, labels[:w.context])
}

// NewLines returns the data of many short sequences of different length, each
// an example. They are padded on the right to the longest; the loss ignores
// the padding. Every tenth sequence is for validation, or all if there are
// fewer than ten. A sequence longer than the context is an error. It copies
// the ids, to two or four bytes each.
func NewLines(sequences [][]int64, context int) (*Data, error) {
	if err := checkContext(context); err != nil {
		return nil, err
	}
	vocab := 0
	for _, s := range sequences {
		vocab = max(vocab, vocabOf(s))
	}
	b := lineBuilder{ids: newIDStore(vocab), form: Form{Length: context}}
	for _, s := range sequences {
		if err := b.add(s); err != nil {
			return nil, err
		}
	}
	return b.data()
}

// lineBuilder collects sequences.
type lineBuilder struct {
	ids        idStore
	form       Form
	sequences  int // so far
	longest    int // predicted tokens of the longest sequence
	train, val spans
}

// spans are sequences, and how many ids at the beginning of each have no label.
// prompts is empty if none has any.
type spans struct {
	at      blocks[span]
	prompts blocks[uint32]
	turns   map[int][]uint32 // of a sequence with several turns: the ids after the prompt that are learned, given, learned and so on
}

func (s *spans) append(at span, prompt int, turns []uint32) {
	if len(turns) > 0 {
		if s.turns == nil {
			s.turns = map[int][]uint32{}
		}
		s.turns[s.at.len()] = turns
	}
	if prompt > 0 || s.prompts.len() > 0 {
		for s.prompts.len() < s.at.len() {
			s.prompts.append(0)
		}
		s.prompts.append(uint32(prompt))
	}
	s.at.append(at)
}

func (s *spans) prompt(i int) int {
	if i >= s.prompts.len() {
		return 0
	}
	return int(s.prompts.at(i))
}

// span is a sequence's place among the ids: its start, and its length in the
// low bits. Packed, because there may be a sequence for every four bytes of
// text.
type span uint64

const spanBits = 24 // of the length

func newSpan(from, n int) span { return span(from<<spanBits | n) }

func (s span) from() int { return int(s >> spanBits) }

func (s span) len() int { return int(s & (1<<spanBits - 1)) }

// add adds the next sequence.
func (b *lineBuilder) add(s []int64) error { return b.addAfter(s, 0, nil) }

// addAfter adds the next sequence, whose first ids are a prompt. turns are as in
// spans.
func (b *lineBuilder) addAfter(s []int64, prompt int, turns []uint32) error {
	before := b.train.at.len() + b.val.at.len()
	if err := b.place(b.ids.len(), len(s), prompt, turns); err != nil || b.train.at.len()+b.val.at.len() == before {
		return err
	}
	return b.ids.add(s)
}

// place adds the next sequence by its place among the ids. It leaves out one
// without anything to predict.
func (b *lineBuilder) place(from, n, prompt int, turns []uint32) error {
	b.sequences++
	if n > b.form.Length+1 {
		return b.tooLong(n)
	}
	if n < 2 || prompt == n {
		return nil
	}
	if n >= 1<<spanBits {
		return fmt.Errorf("train: sequence %d has %d tokens, the limit is below %d: give shorter lines", b.sequences, n, 1<<spanBits)
	}
	b.longest = max(b.longest, n-1)
	at := newSpan(from, n)
	if !b.form.Whole && b.sequences%valShare == 0 {
		b.val.append(at, prompt, turns)
	} else {
		b.train.append(at, prompt, turns)
	}
	return nil
}

func (b *lineBuilder) tooLong(n int) error {
	return fmt.Errorf("train: sequence %d has %d tokens, more than context %d and the one after: give a larger context or shorter lines", b.sequences, n, b.form.Length)
}

func (b *lineBuilder) data() (*Data, error) {
	if b.train.at.len() == 0 {
		return nil, fmt.Errorf("train: no sequence has two tokens or more: there is nothing to predict")
	}
	if b.val.at.len() == 0 {
		b.val = b.train
	}
	train, val := lines{b.ids, b.train}, lines{b.ids, b.val}
	if b.form.Pack {
		return textData(train.pack(b.form.Length), val.pack(b.form.Length), b.form.Length), nil
	}
	return textData(train, val, b.longest), nil
}

type lines struct {
	ids idStore
	spans
}

func (l lines) len() int { return l.at.len() }

func (l lines) fill(i int, b Batch, at int) {
	ids, labels := emptyRow(b, at, 0)
	l.write(i, ids, labels)
}

// write writes sequence i to the beginning of a row.
func (l lines) write(i int, ids, labels []int64) {
	s := l.at.at(i)
	n := s.len() - 1
	l.ids.read(s.from(), ids[:n])
	l.ids.read(s.from()+1, labels[:n])
	from := 0
	for j, part := range append([]uint32{uint32(l.prompt(i))}, l.turns[i]...) {
		to := from + int(part)
		for t := max(from-1, 0); j%2 == 0 && t < min(to-1, n); t++ { // the label of the last given id is the first to be learned
			labels[t] = model.IgnoreIndex
		}
		from = to
	}
}

func textData(train, val source, tokens int) *Data {
	d := &Data{train: train, val: val, context: tokens}
	d.room = func(size int) Batch {
		return TextBatch(size, d.context, make([]int64, size*d.context), make([]int64, size*d.context))
	}
	return d
}

// Fill gives the inputs of a loss that follow from the tokens their data: a mask
// of ones, the positions from 0 on, and one segment. It rejects a loss with
// inputs that texts do not have.
func (d *Data) Fill(loss *graph.Graph) error {
	var kinds []role.Kind
	for i, in := range loss.Inputs {
		switch k := KindOf(loss, i); k {
		case role.Tokens, role.Labels:
		case role.AttentionMask, role.Positions, role.Segments:
			kinds = append(kinds, k)
		case role.PastKey, role.PastValue:
			return fmt.Errorf("train: input %.80q takes the keys and values of an earlier text: take a file without a cache", in.Name)
		default:
			return fmt.Errorf("train: a text has no data for the input %.80q %s", in.Name, in.Type)
		}
	}
	room := d.room
	d.room = func(size int) Batch {
		b := room(size)
		for _, k := range kinds {
			x := make([]int64, size*d.context)
			for i := range x {
				switch k {
				case role.AttentionMask:
					x[i] = 1
				case role.Positions:
					x[i] = int64(i % d.context)
				}
			}
			b[k] = format.FromInt64s(k.Name(), []int{size, d.context}, x)
		}
		return b
	}
	return nil
}

// textRow returns the ids and labels of a sequence. They share the memory of
// the batch.
func textRow(b Batch, at int) (ids, labels []int64) {
	n := b[role.Tokens].Shape[1]
	return b.int64s(role.Tokens)[at*n : (at+1)*n], b.int64s(role.Labels)[at*n : (at+1)*n]
}

// emptyRow is textRow with padding from index from on.
func emptyRow(b Batch, at, from int) (ids, labels []int64) {
	ids, labels = textRow(b, at)
	for t := from; t < len(ids); t++ {
		ids[t], labels[t] = 0, model.IgnoreIndex
	}
	return ids, labels
}

// next fills batch n of the training part: in epochs, or drawn.
func (d *Data) next(o Options, n int, b *Batch) {
	if o.Epochs == 0 {
		d.draw(d.train, o.Batch, model.NewStream(o.Seed, "train.batch"), n, b)
		return
	}
	if b.size() != o.Batch {
		*b = d.room(o.Batch)
	}
	s := inEpochs(d.train)
	for i := range o.Batch {
		at := n*o.Batch + i
		s.fill(shuffled(model.NewStream(o.Seed, "train.epoch"), at/s.len(), s.len(), at%s.len()), *b, i)
	}
}

// Validation returns batch n of an evaluation of a run with these options.
func (d *Data) Validation(o Options, n int) (b Batch, err error) {
	d.draw(d.val, o.Batch, model.NewStream(o.Seed, "validation.batch"), n, &b)
	return b, d.err()
}

// draw fills batch n of a part. Its examples depend only on the stream and n.
func (d *Data) draw(s source, size int, stream model.Stream, n int, b *Batch) {
	if p, ok := s.(*pairSource); ok {
		bucket, of := p.chosen(stream, n)
		if !bucket.fits(*b, size) {
			*b = bucket.room(size)
		}
		for i := range size {
			s.fill(of[stream.IntN(uint64(n)*uint64(size)+uint64(i), len(of))], *b, i)
		}
		return
	}
	if b.size() != size { // allocate a batch once
		*b = d.room(size)
	}
	for i := range size {
		s.fill(stream.IntN(uint64(n)*uint64(size)+uint64(i), s.len()), *b, i)
	}
}
