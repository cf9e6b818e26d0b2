package train

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Program is a graph that a runtime has compiled. Bind returns a function that
// runs it on the memory of the given tensors, which have the names of its
// inputs, parameters among them, and outputs.
type Program interface {
	Bind(inputs, outputs []format.Tensor) (run func() error, release func(), err error)
	Close() error
}

// Compiled is the engine that leaves the arithmetic to a runtime: it writes
// the training step as a graph (model.Step), has it compiled once for
// each size of batch, and runs it on the trainer's own memory.
type Compiled struct {
	name    string
	graph   *graph.Graph // the forward pass
	compile func(*graph.Graph) (Program, error)

	programs map[size]*bound
}

// size tells the programs of an engine apart.
type size struct {
	b, t  int
	grads bool
}

// bound is a program and the memory it runs on.
type bound struct {
	program     Program
	params      []string
	ids, labels []int64
	loss        []float32
	memory      []*byte // of weights and gradients
	run         func() error
	release     func()
}

var _ Engine = (*Compiled)(nil)

// NewCompiled returns an engine for a network, given by its forward pass.
// compile makes a program of a graph: it is called once for the step and once
// for the evaluation of each size of batch.
func NewCompiled(name string, g *graph.Graph, compile func(*graph.Graph) (Program, error)) (*Compiled, error) {
	return &Compiled{name: name, graph: g, compile: compile, programs: map[size]*bound{}}, graph.Verify(g)
}

// Step implements Engine.
func (e *Compiled) Step(weights []format.Tensor, batch Batch, grads []format.Tensor) (float64, error) {
	return e.execute(weights, batch, grads)
}

// Loss implements Engine.
func (e *Compiled) Loss(weights []format.Tensor, batch Batch) (float64, error) {
	return e.execute(weights, batch, nil)
}

func (e *Compiled) execute(weights []format.Tensor, batch Batch, grads []format.Tensor) (float64, error) {
	if e.programs == nil {
		return 0, ErrClosed
	}
	if err := batch.check(model.Vocab(e.graph)); err != nil {
		return 0, err
	}
	if grads != nil && len(grads) != len(weights) {
		return 0, fmt.Errorf("train: %d gradients for %d weights", len(grads), len(weights))
	}
	p, err := e.program(size{batch.B, batch.T, grads != nil})
	if err != nil {
		return 0, err
	}
	if err := p.bind(weights, grads, batch); err != nil {
		return 0, err
	}
	copy(p.ids, batch.IDs)
	copy(p.labels, batch.Labels)
	if err := p.run(); err != nil {
		return 0, err
	}
	return float64(p.loss[0]), nil
}

// program returns the program for a size, compiled when it is first needed.
func (e *Compiled) program(s size) (*bound, error) {
	if p := e.programs[s]; p != nil {
		return p, nil
	}
	build := model.Evaluation
	if s.grads {
		build = model.Step
	}
	g, err := build(e.graph, s.b, s.t)
	if err != nil {
		return nil, err
	}
	p := &bound{ids: make([]int64, s.b*s.t), labels: make([]int64, s.b*s.t), loss: make([]float32, 1), release: func() {}}
	for _, v := range g.Params {
		p.params = append(p.params, v.Name)
	}
	if p.program, err = e.compile(g); err != nil {
		return nil, err
	}
	e.programs[s] = p
	return p, nil
}

// bind makes sure that the program runs on the memory of the given tensors.
func (p *bound) bind(weights, grads []format.Tensor, batch Batch) error {
	var memory []*byte
	for _, t := range append(slices.Clone(weights), grads...) {
		memory = append(memory, unsafe.SliceData(t.Data))
	}
	if slices.Equal(memory, p.memory) {
		return nil
	}
	shape := []int{batch.B, batch.T}
	inputs := []format.Tensor{format.FromInt64s(TokensName, shape, p.ids), format.FromInt64s(LabelsName, shape, p.labels)}
	outputs := []format.Tensor{format.FromFloat32s(lossOutput, []int{}, p.loss)}
	for i, w := range weights {
		used := slices.Contains(p.params, w.Name)
		if used {
			inputs = append(inputs, w)
		}
		switch {
		case grads == nil:
		case used:
			outputs = append(outputs, grads[i].WithName(role.GradientOf(w.Name).Name()))
		default:
			clear(grads[i].Data)
		}
	}
	p.release()
	p.memory, p.release = nil, func() {}
	run, release, err := p.program.Bind(inputs, outputs)
	if err != nil {
		return err
	}
	p.run, p.release, p.memory = run, release, memory
	return nil
}

// Name implements Engine.
func (e *Compiled) Name() string { return e.name }

// Close implements Engine: it closes the programs.
func (e *Compiled) Close() error {
	var first error
	for _, p := range e.programs {
		p.release()
		if err := p.program.Close(); first == nil {
			first = err
		}
	}
	e.programs = nil
	return first
}
