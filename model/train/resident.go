package train

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// Placed is a program on a device, with memory that stays there. Inputs and outputs
// have names. A Block is the device's own.
type Placed interface {
	// Takes reports whether the program has an input of that name.
	Takes(input string) bool
	Alloc(n int) (Block, error) // n zeroed bytes, until Close
	BindInput(name string, b Block, shape []int) error
	BindOutput(name string, b Block, shape []int) error
	Run() error
	Write(b Block, src []byte) error // to the device
	Read(b Block, dst []byte) error  // from the device
	Close() error
}

// Block is memory of a device.
type Block any

// Updater is an Engine that takes whole steps, and whose weights and moments stay
// where it computes between them.
type Updater interface {
	Engine
	// Update takes step number s.Step, from 0, with the learning rate lr, and returns
	// the loss and the length of the gradient before clipping. The state moves to the
	// device first, if it is not there. If either number is not finite, the state stays
	// as it was.
	Update(s State, batch Batch, lr float64) (loss, length float64, err error)
	// Pull copies the state from the device to the memory of s.
	Pull(s State) error
}

// State is what steps change, and what they read beside their data.
type State struct {
	Step    int
	Weights []format.Tensor // all of them
	Learned []format.Tensor // those that steps change
	Moments []format.Tensor // two of each of these: see FirstMoment
}

// Resident is the engine that keeps the state of training on a device: a step is one
// graph with AdamW's update, whose outputs are bound to the memory that the next step
// reads. Only the batch and three numbers go there, and the loss and the length of the
// gradient come back. It needs the memory of weights and moments twice.
type Resident struct {
	*Compiled
	options Options
	place   func(*graph.Graph) (Placed, error)

	placed  map[string]*resident // by the sizes of the batch
	current *resident            // where the state is; nil: in the processor's memory
}

var _ Updater = (*Resident)(nil)

// NewResident returns an engine that takes steps on a device that place opens. What it
// evaluates is computed by c. Steps of several batches are refused.
func NewResident(c *Compiled, o Options, place func(*graph.Graph) (Placed, error)) (*Resident, error) {
	if o.Accumulate > 1 {
		return nil, fmt.Errorf("train: a step on a device takes one batch, not %d", o.Accumulate)
	}
	return &Resident{Compiled: c, options: o, place: place, placed: map[string]*resident{}}, nil
}

// resident is a program and its memory.
type resident struct {
	Placed
	batch   map[string]Block
	numbers map[string]Block    // of 4 bytes: rates, loss, norm
	fixed   map[string]Block    // weights that are not learned
	state   [2]map[string]Block // weights and moments, before and after a step
	now     int                 // which of state is current
}

// Update implements Updater.
func (e *Resident) Update(s State, batch Batch, lr float64) (loss, length float64, err error) {
	if e.placed == nil {
		return 0, 0, ErrClosed
	}
	inputs, sizes, err := e.inputs(e.steps, batch)
	if err != nil {
		return 0, 0, err
	}
	p, err := e.program(s, inputs, sizes)
	if err != nil {
		return 0, 0, err
	}
	if p != e.current { // another size of batch: its memory is another program's
		if e.current != nil {
			if err := e.Pull(s); err != nil {
				return 0, 0, err
			}
		}
		if err := p.push(s); err != nil {
			return 0, 0, err
		}
		e.current = p
	}
	for name, b := range p.batch {
		if err := p.Write(b, inputs[name].Data); err != nil {
			return 0, 0, err
		}
	}
	k := float64(s.Step + 1)
	for name, x := range map[string]float64{
		RateInput: lr, FirstRate: lr / (1 - math.Pow(e.options.Beta1, k)), SecondRoot: 1 / math.Sqrt(1-math.Pow(e.options.Beta2, k)),
	} {
		if b, ok := p.numbers[name]; ok {
			if err := p.Write(b, binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(x)))); err != nil {
				return 0, 0, err
			}
		}
	}
	if err := p.bindState(s); err != nil {
		return 0, 0, err
	}
	if err := p.Run(); err != nil {
		return 0, 0, err
	}
	var got [2]float64
	for i, name := range []string{lossOutput, NormOutput} {
		var b [4]byte
		if err := p.Read(p.numbers[name], b[:]); err != nil {
			return 0, 0, err
		}
		got[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[:])))
	}
	if bad := got[0] + got[1]; !math.IsNaN(bad) && !math.IsInf(bad, 0) {
		p.now = 1 - p.now
	}
	return got[0], got[1], nil
}

// Pull implements Updater.
func (e *Resident) Pull(s State) error {
	if e.current == nil {
		return nil
	}
	for _, t := range slices.Concat(s.Learned, s.Moments) {
		if err := e.current.Read(e.current.state[e.current.now][t.Name], t.Data); err != nil {
			return err
		}
	}
	return nil
}

// program returns the step for the given sizes, with its memory.
func (e *Resident) program(s State, inputs map[string]format.Tensor, sizes map[string]int) (*resident, error) {
	key := fmt.Sprint(sizes)
	if p := e.placed[key]; p != nil {
		return p, nil
	}
	g, err := StepOnDevice(e.graph, sizes, s.Learned, e.options, e.passes...)
	if err != nil {
		return nil, err
	}
	placed, err := e.place(g)
	if err != nil {
		return nil, err
	}
	p := &resident{Placed: placed, batch: map[string]Block{}, numbers: map[string]Block{}, fixed: map[string]Block{}, state: [2]map[string]Block{{}, {}}}
	if err := p.allocate(s, inputs); err != nil {
		placed.Close()
		return nil, err
	}
	e.placed[key] = p
	return p, nil
}

// StepOnDevice returns a training step as a graph, with the update of the learned
// weights, for runtimes that keep its results: BuildFloat32Training for any sizes, with
// NormOutput.
func StepOnDevice(forward *graph.Graph, sizes map[string]int, learned []format.Tensor, o Options, passes ...graph.Pass) (*graph.Graph, error) {
	var names []string
	var params []format.TensorInfo
	for _, w := range learned {
		names, params = append(names, w.Name), append(params, w.Info())
	}
	g, err := model.StepOf(forward, sizes, names, passes...)
	if err != nil {
		return nil, err
	}
	return optimized(g, o, true, params)
}

// allocate makes the memory, and binds what stays bound.
func (p *resident) allocate(s State, inputs map[string]format.Tensor) error {
	block := func(in map[string]Block, name string, n int) (b Block, err error) {
		b, err = p.Alloc(n)
		in[name] = b
		return b, err
	}
	for name, t := range inputs {
		if !p.Takes(name) {
			continue
		}
		b, err := block(p.batch, name, len(t.Data))
		if err == nil {
			err = p.BindInput(name, b, t.Shape)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range []string{RateInput, FirstRate, SecondRoot} {
		if !p.Takes(name) {
			continue
		}
		b, err := block(p.numbers, name, 4)
		if err == nil {
			err = p.BindInput(name, b, []int{1})
		}
		if err != nil {
			return err
		}
	}
	for name, shape := range map[string][]int{lossOutput: {}, NormOutput: {1}} {
		b, err := block(p.numbers, name, 4)
		if err == nil {
			err = p.BindOutput(name, b, shape)
		}
		if err != nil {
			return err
		}
	}
	for _, t := range slices.Concat(s.Learned, s.Moments) {
		for i := range p.state {
			if _, err := block(p.state[i], t.Name, len(t.Data)); err != nil {
				return err
			}
		}
	}
	for _, w := range s.Weights {
		if _, learned := p.state[0][w.Name]; learned || !p.Takes(w.Name) {
			continue
		}
		b, err := block(p.fixed, w.Name, len(w.Data))
		if err == nil {
			err = p.Write(b, w.Data)
		}
		if err == nil {
			err = p.BindInput(w.Name, b, w.Shape)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// push copies the state to the device.
func (p *resident) push(s State) error {
	for _, t := range slices.Concat(s.Learned, s.Moments) {
		if err := p.Write(p.state[p.now][t.Name], t.Data); err != nil {
			return err
		}
	}
	return nil
}

// bindState has the next run read the state and write the one after it.
func (p *resident) bindState(s State) error {
	for _, t := range slices.Concat(s.Learned, s.Moments) {
		if p.Takes(t.Name) {
			if err := p.BindInput(t.Name, p.state[p.now][t.Name], t.Shape); err != nil {
				return err
			}
		}
		if err := p.BindOutput(NextPrefix+t.Name, p.state[1-p.now][t.Name], t.Shape); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Engine.
func (e *Resident) Close() error {
	first := e.Compiled.Close()
	for _, p := range e.placed {
		if err := p.Close(); first == nil {
			first = err
		}
	}
	e.placed, e.current = nil, nil
	return first
}
