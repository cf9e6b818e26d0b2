package gorgonia

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

// keptPrograms is the maximum number of programs in a runner. Each has memory
// for all its values.
const keptPrograms = 4

// runner keeps the programs of one graph, most recently used first.
type runner[E element] struct {
	graph     *graph.Graph
	recompute bool // in steps
	kept      []keptProgram[E]
}

type keptProgram[E element] struct {
	shapes    string   // of the inputs
	gradients []string // names of the parameters that it differentiates by
	program   *program[E]
}

func newRunner[E element](g *graph.Graph, recompute bool) *runner[E] {
	return &runner[E]{graph: g, recompute: recompute}
}

// find returns the program for inputs of these shapes.
func (r *runner[E]) find(inputs map[string]format.Tensor, gradients []string) (*program[E], error) {
	var key strings.Builder
	for _, in := range r.graph.Inputs {
		fmt.Fprint(&key, inputs[in.Name].Shape)
	}
	for i, k := range r.kept {
		if k.shapes == key.String() && slices.Equal(k.gradients, gradients) {
			if i > 0 {
				r.kept = slices.Insert(slices.Delete(r.kept, i, i+1), 0, k)
			}
			return k.program, nil
		}
	}
	shapes := map[string][]int{}
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := r.graph.BindInputs(shapes)
	if err != nil {
		return nil, err
	}
	p, err := compile[E](r.graph, sizes, gradients, r.recompute)
	if err != nil {
		return nil, err
	}
	r.kept = slices.Insert(r.kept, 0, keptProgram[E]{key.String(), gradients, p})
	if len(r.kept) > keptPrograms {
		r.kept = slices.Delete(r.kept, keptPrograms, len(r.kept))
	}
	return p, nil
}

// execute finds the program, sets its leaves and runs it.
func (r *runner[E]) execute(weights []format.Tensor, inputs map[string]format.Tensor, gradients []string) (p *program[E], err error) {
	defer recovered(&err)
	if p, err = r.find(inputs, gradients); err != nil {
		return nil, err
	}
	if len(inputs) != len(p.inputs) {
		return nil, fmt.Errorf("train: %d inputs given, the graph has %d", len(inputs), len(p.inputs))
	}
	for _, g := range p.inputs {
		if err := p.set(g, inputs[g.name]); err != nil {
			return nil, err
		}
	}
	if err := p.ids.Check(inputs); err != nil {
		return nil, err
	}
	if err := model.Weights(weights).Check(r.graph); err != nil {
		return nil, err
	}
	for i, g := range p.params {
		if err := p.set(g, weights[i]); err != nil {
			return nil, err
		}
	}
	return p, p.run()
}

// recovered converts a panic, by which Gorgonia reports some mistakes, to an
// error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("train: the Gorgonia engine failed: %v", r)
	}
}

func (r *runner[E]) run(weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	p, err := r.execute(weights, inputs, nil)
	if err != nil {
		return nil, err
	}
	out := make(map[string]format.Tensor, len(p.outputs))
	for _, o := range p.outputs {
		out[o.name] = p.tensor(o)
	}
	return out, nil
}

func (r *runner[E]) step(weights []format.Tensor, inputs map[string]format.Tensor, grads []format.Tensor) (float64, error) {
	if err := model.Weights(weights).Check(r.graph); err != nil {
		return 0, err
	}
	names, err := train.NamesOf(weights, grads)
	if err != nil {
		return 0, err
	}
	p, err := r.execute(weights, inputs, names)
	if err != nil {
		return 0, err
	}
	for i, w := range r.graph.Params {
		if len(grads) == 0 || grads[0].Name != w.Name {
			continue
		}
		if err := p.gradient(i, grads[0]); err != nil {
			return 0, err
		}
		grads = grads[1:]
	}
	for _, o := range p.outputs {
		if o.name == lossName {
			return float64(p.slots[o.slot].f[0]), nil
		}
	}
	return 0, fmt.Errorf("train: the graph has no output %.80q", lossName)
}
