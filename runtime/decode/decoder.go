package decode

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// logitsBound is how many bytes of logits a run may make, where a model gives
// them for every position: longer prompts run in pieces.
const logitsBound = 64 << 20

// Options are the sizes that the memory of a Decoder is made for.
type Options struct {
	Batch   int // sequences
	Context int // tokens that the model sees
}

// Decoder goes on with a batch of sequences on a device, one token of each in
// a run, with a cache of the keys and values so far. All memory is taken by
// New: a token costs no allocation, and where the processor can reach
// the device's memory no copy of ids, logits or cache either. Elsewhere ids,
// positions and mask go up, and the logits of the last position come down.
//
// The cache takes 2·layers·Batch·heads·Context·width elements; a model whose
// present is its past with more appended needs it twice, and the two are used
// in turn. A prompt runs at once where the model gives the logits of the last
// position only; else in as many runs as keep the logits within 64 MiB, or of
// one token each where the logits of one are larger.
//
// It is used by one goroutine at a time.
type Decoder struct {
	device         runtime.Device
	model          contract
	batch, context int
	chunk          int // tokens of a sequence in one run at most

	text    numbers             // ids (batch,tokens), behind them the positions
	mask    numbers             // row by row, in the shape of the run
	scores  runtime.Memory      // logits as the model gives them
	view    []float32           // scores, where the processor can read them
	rows    []float32           // logits (batch,V) on this side, where scores are not they
	buffers [2][]runtime.Memory // the caches; one array of buffers, twice, for a shared cache

	lengths []int  // tokens of each sequence
	columns int    // of the padded cache: tokens of the longest sequence
	padded  bool   // some of the mask is 0
	turn    int    // which of buffers is past
	tokens  [2]int // batch and tokens that text and logits are bound for
	shape   [4]int // the argument of a bind call
	ready   bool   // the cache holds sequences
	closed  bool
}

// New returns a decoder for the model that d has open, and takes d's
// memory for it. A model that is not of the contract is a *ContractError. One
// without position_ids must have no positions, or count them off the mask:
// one that counts the columns of its past would count padding too, and no
// declaration tells them apart. The
// decoder owns d from then on; after an error d is still the caller's.
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

// allocate takes all memory.
func (d *Decoder) allocate(bound int) error {
	together := d.batch // how many prompts run at once
	if d.model.shared {
		together = 1
	}
	row, ok := bytesFor(format.Float32, together, d.model.vocab)
	if !ok {
		return fmt.Errorf("logits of (%d,%d) are more than can be addressed", together, d.model.vocab)
	}
	positions := 1 // of logits, for each sequence of a run
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

// bytesFor returns the bytes of a tensor; ok is false where they overflow.
func bytesFor(t format.DType, shape ...int) (n int, ok bool) {
	n, ok = format.Elements(shape)
	return n * t.Size(), ok && n <= math.MaxInt/t.Size()
}

// Context returns the number of tokens that a sequence can have.
func (d *Decoder) Context() int { return d.context }

// Lengths returns the tokens of each sequence, valid until the next call.
func (d *Decoder) Lengths() []int { return d.lengths }

// Full reports whether the cache has no place for another Step. Sequences that
// were padded to the length of the longest end with it.
func (d *Decoder) Full() bool { return !d.model.shared && d.columns == d.context }

// Prefill begins with new sequences, one for each of the batch, and returns
// the logits (Batch,V) after the last token of each. They are valid until the
// next call. A prompt that cannot be is a *PromptError and changes nothing;
// after another error Prefill is what can be called.
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
	prefill := d.prefillPadded
	if d.model.shared {
		prefill = d.prefillSlots
	}
	logits, err := prefill(prompts)
	if err != nil {
		return nil, fmt.Errorf("prefill: %w", err)
	}
	d.ready = true
	return logits, nil
}

// Step adds one token to each sequence, but for those whose id is Idle, and
// returns the logits (Batch,V) after it, valid until the next call. The logits
// of an idle sequence mean nothing. After an error of the device the sequences
// are lost.
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
	for i, id := range ids { // an idle sequence gets an id and a position that the model knows
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

// Close closes the device. Closing twice is no error.
func (d *Decoder) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	return d.device.Close()
}

// longest returns the tokens of the longest sequence.
func (d *Decoder) longest() int { return slices.Max(d.lengths) }
