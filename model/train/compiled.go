package train

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Program is a graph compiled by a runtime. Bind returns a function that runs
// it on the memory of the given tensors, which have the names of its inputs,
// including parameters, and of its outputs.
type Program interface {
	Bind(inputs, outputs []format.Tensor) (run func() error, release func(), err error)
	Close() error
}

// Compiled is the engine that computes with a runtime. It builds the training
// step as a graph (model.Step), compiles it once for each batch size, and runs
// it on the trainer's memory.
type Compiled struct {
	name    string
	graph   *graph.Graph // the forward pass
	loss    *graph.Graph
	steps   *graph.Graph // the loss of a step, with the passes
	ids     IDRules
	compile func(*graph.Graph) (Program, error)
	passes  []graph.Pass // on the loss of a step

	programs map[string]*bound // by the sizes of the batch
}

// bound is a program and the memory it runs on.
type bound struct {
	program Program
	takes   map[string]bool // names of its inputs, including weights
	inputs  []format.Tensor // of the batch
	loss    []float32
	memory  []*byte // of weights and gradients
	run     func() error
	release func()
}

var _ Engine = (*Compiled)(nil)

// NewCompiled returns an engine for the forward pass g of a network. It calls
// compile once for the step and once for the evaluation of each batch size. The
// passes, if any, change the loss of the steps, and not that of evaluations.
func NewCompiled(name string, g *graph.Graph, compile func(*graph.Graph) (Program, error), passes ...graph.Pass) (*Compiled, error) {
	if err := graph.Verify(g); err != nil {
		return nil, err
	}
	loss, err := model.WithLoss(g)
	if err != nil {
		return nil, err
	}
	ids, err := FindIDRules(loss)
	if err != nil {
		return nil, err
	}
	steps, err := graph.Apply(loss, passes...)
	if err != nil {
		return nil, err
	}
	return &Compiled{name: name, graph: g, loss: loss, steps: steps, ids: ids, compile: compile, passes: passes, programs: map[string]*bound{}}, nil
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
	g := e.loss
	if grads != nil {
		g = e.steps
	}
	inputs, sizes, err := e.inputs(g, batch)
	if err != nil {
		return 0, err
	}
	if err := model.Weights(weights).Check(e.graph); err != nil {
		return 0, err
	}
	names, err := NamesOf(weights, grads)
	if err != nil {
		return 0, err
	}
	p, err := e.program(inputs, sizes, names)
	if err != nil {
		return 0, err
	}
	if err := p.bind(weights, grads); err != nil {
		return 0, err
	}
	for _, in := range p.inputs {
		copy(in.Data, inputs[in.Name].Data)
	}
	if err := p.run(); err != nil {
		return 0, err
	}
	return float64(p.loss[0]), nil
}

// inputs returns the batch by input name, and the sizes of their named
// dimensions. It rejects a batch that the network cannot compute.
func (e *Compiled) inputs(g *graph.Graph, batch Batch) (map[string]format.Tensor, map[string]int, error) {
	inputs, err := batch.Inputs(g)
	if err != nil {
		return nil, nil, err
	}
	shapes := map[string][]int{}
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := g.BindInputs(shapes)
	if err != nil {
		return nil, nil, err
	}
	if t, ok := batch[role.Tokens]; ok && e.graph.Context > 0 && t.Shape[1] > e.graph.Context {
		return nil, nil, fmt.Errorf("train: sequences of %d tokens for a model of context %d", t.Shape[1], e.graph.Context)
	}
	return inputs, sizes, e.ids.Check(inputs)
}

// program returns the program for the given sizes and compiles it on first
// use.
func (e *Compiled) program(inputs map[string]format.Tensor, sizes map[string]int, grads []string) (*bound, error) {
	key := fmt.Sprint(sizes, len(grads), strings.Join(grads, "\x00")) // fmt prints a map in the order of its keys
	if p := e.programs[key]; p != nil {
		return p, nil
	}
	g, err := model.Evaluation(e.graph, sizes)
	if grads != nil {
		g, err = model.StepOf(e.graph, sizes, grads, e.passes...)
	}
	if err != nil {
		return nil, err
	}
	p := &bound{takes: map[string]bool{}, loss: make([]float32, 1), release: func() {}}
	for _, v := range g.Params {
		p.takes[v.Name] = true
	}
	for _, v := range g.Inputs {
		t := inputs[v.Name]
		t.Data = alignedBytes(len(t.Data))
		p.inputs = append(p.inputs, t)
	}
	if p.program, err = e.compile(g); err != nil {
		return nil, err
	}
	e.programs[key] = p
	return p, nil
}

// NamesOf returns the names of the gradients that an Engine is asked for; nil
// if there are none. It rejects one that no weight has, or in another order.
func NamesOf(weights, grads []format.Tensor) (names []string, err error) {
	i := 0
	for _, d := range grads {
		for i < len(weights) && weights[i].Name != d.Name {
			i++
		}
		if i == len(weights) || !slices.Equal(weights[i].Shape, d.Shape) {
			return nil, fmt.Errorf("train: gradient %.80q %v: no weight has this name and shape, or it is out of their order", d.Name, d.Shape)
		}
		names = append(names, d.Name)
		i++
	}
	return names, nil
}

// bind binds the program to the memory of the given tensors, unless it is
// already.
func (p *bound) bind(weights, grads []format.Tensor) error {
	var memory []*byte
	for _, t := range append(slices.Clone(weights), grads...) {
		memory = append(memory, unsafe.SliceData(t.Data))
	}
	if slices.Equal(memory, p.memory) {
		return nil
	}
	inputs := slices.Clone(p.inputs)
	outputs := []format.Tensor{format.FromFloat32s(lossOutput, []int{}, p.loss)}
	for _, w := range weights {
		if p.takes[w.Name] {
			inputs = append(inputs, w)
		}
	}
	for _, d := range grads {
		if p.takes[d.Name] {
			outputs = append(outputs, d.WithName(role.GradientOf(d.Name).Name()))
		} else {
			clear(d.Data)
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

// alignedBytes returns zeroed memory aligned for elements of up to eight
// bytes.
func alignedBytes(n int) []byte {
	words := make([]int64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
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
