package decode

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// Recurrent continues a batch of sequences with a recurrent network, whose past is a state
// of each layer: a token costs the same after any text, and there is nothing to be full.
// Only one goroutine may use it at a time.
type Recurrent struct {
	device       runtime.Device
	ids, logits  int // indexes of the model's input and output
	states       []stateTensor
	vocab        int
	lastOnly     bool
	batch, chunk int // sequences; most tokens of a run, each of which has logits
	context      int

	text    numbers
	scores  runtime.Memory
	rows    []float32           // logits (batch,V)
	buffers [2][]runtime.Memory // the states before a run, and after it
	lengths []int
	turn    int
	ready   bool
	closed  bool
}

// stateTensor is a state of a layer, (B,width).
type stateTensor struct {
	past, present string
	in, out       int
	width         int
	dtype         format.DType
}

// Open returns what continues texts with the open model d: a Decoder, or a Recurrent, which
// needs no past tokens and so has no context. See New.
func Open(d runtime.Device, o Options) (Model, error) {
	if kind, _ := d.Metadata(role.MetaCache); kind == role.CacheState {
		o.Context = math.MaxInt32
		r, err := NewRecurrent(d, o)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	m, err := New(d, o)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// NewRecurrent returns a decoder for the open model d. A model that breaks the contract is
// a *ContractError. o.Context bounds the tokens of a sequence. The decoder owns d from
// then on. After an error d still belongs to the caller.
func NewRecurrent(d runtime.Device, o Options) (*Recurrent, error) {
	if o.Batch < 1 || o.Context < 1 {
		return nil, fmt.Errorf("decoder: batch %d and context %d: both are 1 or more", o.Batch, o.Context)
	}
	r := &Recurrent{device: d, batch: o.Batch, context: o.Context, lengths: make([]int, o.Batch)}
	if err := r.contract(); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if err := r.allocate(); err != nil {
		return nil, fmt.Errorf("decoder: memory for batch %d: %w", o.Batch, err)
	}
	return r, nil
}

// contract finds the inputs and outputs.
func (r *Recurrent) contract() error {
	in, out := newSide("input", r.device.Inputs()), newSide("output", r.device.Outputs())
	r.ids = in.take(idsName, []format.DType{format.Int64}, "I64[batch,tokens]", anySize, anySize)
	r.logits = out.take(logitsName, []format.DType{format.Float32}, "F32[batch,tokens or 1,vocabulary]", anySize, 1, fixedSize)
	if out.err == nil {
		shape := out.values[r.logits].Shape
		r.vocab, r.lastOnly = shape[2].Size, shape[1].Name == ""
	}
	float := []format.DType{format.Float32, format.Float16, format.BFloat16}
	for layer := 0; layer == 0 || in.has(role.Layered(role.PastState, layer).Name()); layer++ {
		for i, kinds := range [...][2]role.Kind{{role.PastState, role.PresentState}, {role.PastCell, role.PresentCell}} {
			t := stateTensor{past: role.Layered(kinds[0], layer).Name(), present: role.Layered(kinds[1], layer).Name()}
			if i > 0 && !in.has(t.past) {
				continue
			}
			if t.in = in.take(t.past, float, "F32, F16 or BF16[batch,WIDTH], WIDTH a number", anySize, fixedSize); in.err != nil {
				return in.err
			}
			past := in.values[t.in]
			t.width, t.dtype = past.Shape[1].Size, past.DType
			t.out = out.take(t.present, []format.DType{t.dtype}, fmt.Sprintf("%s[batch,%d] as %s has it", t.dtype, t.width, t.past), anySize, t.width)
			r.states = append(r.states, t)
		}
	}
	in.nothingElse()
	out.nothingElse()
	if in.err != nil {
		return in.err
	}
	return out.err
}

// allocate allocates all memory.
func (r *Recurrent) allocate() error {
	row, ok := bytesFor(format.Float32, r.vocab)
	if !ok {
		return fmt.Errorf("logits of %d tokens are more than can be addressed", r.vocab)
	}
	r.chunk = min(r.context, 1024) // ids of a run
	if !r.lastOnly {
		r.chunk = max(1, min(r.chunk, logitsBound/row))
	}
	size, ok := bytesFor(format.Float32, max(r.batch, r.chunk), r.vocab)
	if !ok {
		return errors.New("more than can be addressed")
	}
	var err error
	if r.text, err = newNumbers(r.device, max(r.batch, r.chunk)); err != nil {
		return fmt.Errorf("ids: %w", err)
	}
	if r.scores, err = r.device.Alloc(size); err != nil {
		return fmt.Errorf("%s: %w", logitsName, err)
	}
	r.rows = make([]float32, r.batch*r.vocab)
	for i := range r.buffers {
		for _, t := range r.states {
			size, ok := bytesFor(t.dtype, r.batch, t.width)
			if !ok {
				return fmt.Errorf("%s is more than can be addressed", t.past)
			}
			m, err := r.device.Alloc(size)
			if err != nil {
				return fmt.Errorf("%s: %w", t.past, err)
			}
			r.buffers[i] = append(r.buffers[i], m)
		}
	}
	return nil
}

// Context returns the maximum length of a sequence in tokens.
func (r *Recurrent) Context() int { return r.context }

// Full reports false: a state has room for any text.
func (r *Recurrent) Full() bool { return false }

// Prefill starts new sequences, one per prompt of the batch, one after the other: their
// lengths differ, and a recurrent network has no mask. See Model.
func (r *Recurrent) Prefill(prompts [][]int64) ([]float32, error) {
	if r.closed {
		return nil, errors.New("prefill: the decoder is closed")
	}
	if err := checkPrompts(prompts, r.batch, r.context, r.vocab); err != nil {
		return nil, err
	}
	r.ready = false
	turn := r.turn
	for b, prompt := range prompts {
		r.turn = turn
		for i, t := range r.states {
			if err := r.device.Write(r.buffers[turn][i], b*t.row(), make([]byte, t.row())); err != nil {
				return nil, fmt.Errorf("prefill: %s: %w", t.past, err)
			}
		}
		r.lengths[b] = len(prompt)
		if err := r.add(b, prompt); err != nil {
			return nil, fmt.Errorf("prefill: %w", err)
		}
		if r.turn != turn { // the states of all sequences lie in one buffer
			for i, t := range r.states {
				if err := r.move(i, t, b, r.turn, turn); err != nil {
					return nil, fmt.Errorf("prefill: %w", err)
				}
			}
		}
	}
	r.turn, r.ready = turn, true
	return r.rows, nil
}

// Extend adds tokens to the only sequence of a batch of 1.
func (r *Recurrent) Extend(ids []int64) ([]float32, error) {
	if r.closed || !r.ready || r.batch != 1 {
		return nil, errors.New("extend: it continues one sequence of an open decoder: begin with Prefill")
	}
	whole := [][]int64{append(make([]int64, r.lengths[0]), ids...)}
	if err := checkPrompts(whole, 1, r.context, r.vocab); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errors.New("extend: no tokens")
	}
	r.ready = false
	if err := r.add(0, ids); err != nil {
		return nil, fmt.Errorf("extend: %w", err)
	}
	r.lengths[0] += len(ids)
	r.ready = true
	return r.rows, nil
}

// add reads tokens of one sequence, and keeps the logits after the last.
func (r *Recurrent) add(b int, ids []int64) error {
	for piece := range slices.Chunk(ids, r.chunk) {
		if err := r.run(b, 1, piece); err != nil {
			return err
		}
		last := len(piece) - 1
		if r.lastOnly {
			last = 0
		}
		if err := r.device.Read(r.scores, 4*last*r.vocab, bytesOf(r.rows[b*r.vocab:][:r.vocab])); err != nil {
			return fmt.Errorf("%s: %w", logitsName, err)
		}
	}
	return nil
}

// Step adds one token to each sequence. See Model.
func (r *Recurrent) Step(ids []int64) ([]float32, error) {
	switch {
	case r.closed:
		return nil, errors.New("step: the decoder is closed")
	case !r.ready:
		return nil, errors.New("step: no sequences to continue: begin with Prefill")
	}
	if err := checkStep(ids, r.lengths, r.context, r.vocab); err != nil {
		return nil, fmt.Errorf("step: %w", err)
	}
	r.ready = false
	valid := slices.Clone(ids)
	for i, id := range ids {
		valid[i] = max(id, 0)
	}
	before := r.turn
	if err := r.run(0, r.batch, valid); err != nil {
		return nil, fmt.Errorf("step: %w", err)
	}
	if err := r.device.Read(r.scores, 0, bytesOf(r.rows)); err != nil {
		return nil, fmt.Errorf("step: %s: %w", logitsName, err)
	}
	for b, id := range ids {
		if id != Idle {
			r.lengths[b]++
			continue
		}
		for i, t := range r.states { // what an idle sequence read is forgotten
			if err := r.move(i, t, b, before, r.turn); err != nil {
				return nil, fmt.Errorf("step: %w", err)
			}
		}
	}
	r.ready = true
	return r.rows, nil
}

// run runs ids of batch sequences from one on, and makes the new states the past.
func (r *Recurrent) run(first, batch int, ids []int64) error {
	tokens := len(ids) / batch
	copy(r.text.values, ids)
	if err := r.text.send(r.device, 0, len(ids)); err != nil {
		return fmt.Errorf("%s: %w", idsName, err)
	}
	if err := r.device.BindInput(r.ids, r.text.memory, 0, []int{batch, tokens}); err != nil {
		return fmt.Errorf("%s: %w", idsName, err)
	}
	positions := tokens
	if r.lastOnly {
		positions = 1
	}
	if err := r.device.BindOutput(r.logits, r.scores, 0, []int{batch, positions, r.vocab}); err != nil {
		return fmt.Errorf("%s: %w", logitsName, err)
	}
	for i, t := range r.states {
		if err := r.device.BindInput(t.in, r.buffers[r.turn][i], first*t.row(), []int{batch, t.width}); err != nil {
			return fmt.Errorf("%s: %w", t.past, err)
		}
		if err := r.device.BindOutput(t.out, r.buffers[1-r.turn][i], first*t.row(), []int{batch, t.width}); err != nil {
			return fmt.Errorf("%s: %w", t.present, err)
		}
	}
	if err := r.device.Run(0); err != nil {
		return err
	}
	r.turn = 1 - r.turn
	return nil
}

// row returns the bytes of the state of a sequence.
func (t stateTensor) row() int { return t.width * t.dtype.Size() }

// move copies the state of a sequence from one buffer to the other.
func (r *Recurrent) move(i int, t stateTensor, b, from, to int) error {
	row := make([]byte, t.row())
	if err := r.device.Read(r.buffers[from][i], b*t.row(), row); err != nil {
		return fmt.Errorf("%s: %w", t.present, err)
	}
	if err := r.device.Write(r.buffers[to][i], b*t.row(), row); err != nil {
		return fmt.Errorf("%s: %w", t.past, err)
	}
	return nil
}

// Close closes the device. A second Close does nothing.
func (r *Recurrent) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	return r.device.Close()
}
