package decode

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// logitsBound limits the bytes of logits of one run if the model returns them
// for every position. Longer prompts run in pieces.
const logitsBound = 64 << 20

// Options are the sizes for which a Decoder allocates memory.
type Options struct {
	Batch   int // sequences
	Context int // maximum tokens of a sequence
}

// Decoder continues a batch of sequences on a device, with one token of each
// sequence per run and a cache of the keys and values so far. New allocates all
// memory: a token needs no allocation. If the processor can access the device's
// memory, ids, logits and cache are not copied either. Otherwise ids, positions
// and mask are copied to the device, and the logits of the last position are
// copied back.
//
// The cache takes 2·layers·Batch·heads·Context·width elements. A model that
// appends to its past needs it twice, and runs alternate between the two. A
// prompt takes one run if the model returns only the logits of the last
// position. Otherwise it takes as many runs as keep the logits within 64 MiB,
// or one run per token if the logits of one token exceed that.
//
// Only one goroutine may use a Decoder at a time.
type Decoder struct {
	device         runtime.Device
	model          contract
	batch, context int
	chunk          int // maximum tokens of a sequence in one run

	text    numbers             // ids (batch,tokens), followed by the positions
	mask    numbers             // row by row, in the shape of the next run
	scores  runtime.Memory      // logits in the device's memory
	view    []float32           // scores, if the processor can read them
	rows    []float32           // logits (batch,V) copied from the device, otherwise
	buffers [2][]runtime.Memory // the caches; for a shared cache both are the same buffers

	lengths []int  // tokens of each sequence
	columns int    // of the padded cache: columns used, the length of the longest sequence
	padded  bool   // the mask contains zeros
	turn    int    // index in buffers of the past
	tokens  [2]int // batch and tokens for which text and logits are bound
	shape   [4]int // the argument of a bind call
	ready   bool   // the cache contains sequences
	closed  bool
}

// New returns a decoder for the open model d, and allocates its memory. A model
// that breaks the contract is a *ContractError. A model without position_ids
// must have no positions, or derive them from the mask. One that counts the
// columns of its past would count padding too, and its declaration does not
// show this. The decoder owns d from then on. After an error d still belongs to
// the caller.
func New(d runtime.Device, o Options) (*Decoder, error) {
	return newDecoder(d, o, logitsBound)
}

func newDecoder(device runtime.Device, o Options, bound int) (*Decoder, error) {
	if o.Batch < 1 || o.Context < 1 {
		return nil, fmt.Errorf("decoder: batch %d and context %d: both are 1 or more", o.Batch, o.Context)
	}
	c, err := readContract(device, o)
	if err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	d := &Decoder{device: device, model: c, batch: o.Batch, context: o.Context, chunk: o.Context}
	if err := d.allocate(bound); err != nil {
		return nil, fmt.Errorf("decoder: memory for batch %d and context %d: %w", o.Batch, o.Context, err)
	}
	return d, nil
}

// allocate allocates all memory.
func (d *Decoder) allocate(bound int) error {
	together := d.batch // number of prompts in one run
	if d.model.shared {
		together = 1
	}
	row, ok := bytesFor(format.Float32, together, d.model.vocab)
	if !ok {
		return fmt.Errorf("logits of (%d,%d) are more than can be addressed", together, d.model.vocab)
	}
	positions := 1 // with logits, per sequence of a run
	if !d.model.lastOnly {
		d.chunk = min(d.context, max(1, bound/row))
		positions = d.chunk
	}
	most := max(d.batch, together*positions) // rows of logits in a run
	size, ok := bytesFor(format.Float32, most, d.model.vocab)
	if _, fits := bytesFor(format.Int64, 2*d.batch, d.context); !ok || !fits {
		return errors.New("more than can be addressed")
	}
	var err error
	if d.text, err = newNumbers(d.device, 2*max(d.batch, together*d.chunk)); err != nil {
		return fmt.Errorf("ids: %w", err)
	}
	if d.mask, err = newNumbers(d.device, d.batch*d.context); err != nil {
		return fmt.Errorf("mask: %w", err)
	}
	if d.scores, err = d.device.Alloc(size); err != nil {
		return fmt.Errorf("%s: %w", logitsName, err)
	}
	if b := d.scores.Bytes(); b != nil {
		if d.view, err = elementsOf[float32](b, most*d.model.vocab); err != nil {
			return fmt.Errorf("%s: %w", logitsName, err)
		}
	}
	d.rows, d.lengths = make([]float32, d.batch*d.model.vocab), make([]int, d.batch)
	for i := range d.buffers {
		if i > 0 && d.model.shared {
			d.buffers[i] = d.buffers[0]
			continue
		}
		for _, t := range d.model.caches {
			size, ok := bytesFor(t.dtype, d.batch, t.heads, d.context, t.width)
			if !ok {
				return fmt.Errorf("%s is more than can be addressed", t.past)
			}
			m, err := d.device.Alloc(size)
			if err != nil {
				return fmt.Errorf("%s: %w", t.past, err)
			}
			d.buffers[i] = append(d.buffers[i], m)
		}
	}
	return nil
}

// bytesFor returns the size of a tensor in bytes; ok is false if it overflows.
func bytesFor(t format.DType, shape ...int) (n int, ok bool) {
	n, ok = format.Elements(shape)
	return n * t.Size(), ok && n <= math.MaxInt/t.Size()
}

// Context returns the maximum length of a sequence in tokens.
func (d *Decoder) Context() int { return d.context }

// Lengths returns the length of each sequence in tokens, valid until the next
// call.
func (d *Decoder) Lengths() []int { return d.lengths }

// Full reports whether the cache has no room for another Step. Padded sequences
// all end when the longest one does.
func (d *Decoder) Full() bool { return !d.model.shared && d.columns == d.context }

// Prefill starts new sequences, one per prompt of the batch, and returns the
// logits (Batch,V) after the last token of each. They are valid until the next
// call. An invalid prompt is a *PromptError and changes nothing. After any
// other error only Prefill and Close may be called.
func (d *Decoder) Prefill(prompts [][]int64) ([]float32, error) {
	if d.closed {
		return nil, errors.New("prefill: the decoder is closed")
	}
	if err := checkPrompts(prompts, d.batch, d.context, d.model.vocab); err != nil {
		return nil, err
	}
	d.ready = false
	for i, p := range prompts {
		d.lengths[i] = len(p)
	}
	return d.prefill(prompts, 0)
}

// prefill runs the tokens of prompts from an index on.
func (d *Decoder) prefill(prompts [][]int64, from int) ([]float32, error) {
	run := d.prefillPadded
	if d.model.shared {
		run = d.prefillSlots
	}
	logits, err := run(prompts, from)
	if err != nil {
		return nil, fmt.Errorf("prefill: %w", err)
	}
	d.ready = true
	return logits, nil
}

// Extend adds tokens to the only sequence of a batch of 1, and returns the logits
// (1,V) after the last, valid until the next call. It takes as many runs as a
// prompt of their number. An invalid id, or more tokens than the context has room
// for, is a *PromptError and changes nothing.
func (d *Decoder) Extend(ids []int64) ([]float32, error) {
	switch {
	case d.closed:
		return nil, errors.New("extend: the decoder is closed")
	case !d.ready || d.batch != 1 || d.padded:
		return nil, errors.New("extend: it continues one sequence: begin with Prefill")
	}
	from := d.lengths[0]
	whole := [][]int64{append(make([]int64, from), ids...)}
	if err := checkPrompts(whole, 1, d.context, d.model.vocab); err != nil || len(ids) == 0 {
		return nil, cmp.Or(err, errors.New("extend: no tokens"))
	}
	d.ready = false
	d.lengths[0] += len(ids)
	return d.prefill(whole, from)
}

// Step adds one token to each sequence, except those whose id is Idle, and
// returns the logits (Batch,V) after it, valid until the next call. The logits
// of an idle sequence are meaningless. After an error of the device the
// sequences are lost.
func (d *Decoder) Step(ids []int64) ([]float32, error) {
	switch {
	case d.closed:
		return nil, errors.New("step: the decoder is closed")
	case !d.ready:
		return nil, errors.New("step: no sequences to continue: begin with Prefill")
	case d.Full():
		return nil, fmt.Errorf("step: the cache is full with %d tokens: begin again with Prefill", d.context)
	}
	if err := checkStep(ids, d.lengths, d.context, d.model.vocab); err != nil {
		return nil, fmt.Errorf("step: %w", err)
	}
	d.ready = false
	for i, id := range ids { // an idle sequence gets a valid id and position
		d.text.values[i], d.text.values[d.batch+i] = max(id, 0), int64(min(d.lengths[i], d.context-1))
	}
	step := d.stepPadded
	if d.model.shared {
		step = d.stepSlots
	}
	logits, err := step(ids)
	if err != nil {
		return nil, fmt.Errorf("step: %w", err)
	}
	for i, id := range ids {
		if id != Idle {
			d.lengths[i]++
		}
	}
	d.ready = true
	return logits, nil
}

// Close closes the device. A second Close does nothing.
func (d *Decoder) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	return d.device.Close()
}

// longest returns the length of the longest sequence.
func (d *Decoder) longest() int { return slices.Max(d.lengths) }
