package gorgonia

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

// Options are the settings of a Gorgonia engine.
type Options struct {
	// Float64 computes in double precision, for checking derivatives, at a
	// fraction of the speed. Weights and gradients remain float32.
	Float64 bool
	// Loss changes the loss of the steps, and not that of evaluations.
	Loss []graph.Pass
	// Recompute has steps keep less for the backward pass: see graph.Schedule.
	Recompute bool
}

// Engine is the training engine in pure Go. It lowers a graph to a Gorgonia
// graph (lower.go), lets Gorgonia record the gradients, and runs the result.
//
// On one machine its results have the same bits in every run and for any
// number of cores. Machines with and without AVX2 and fused multiply-add round
// differently.
type Engine struct {
	loss   *graph.Graph
	step   *graph.Graph // the loss of a step
	runner engineRunner
	steps  engineRunner // of the steps; the same one if Options.Loss is empty
}

// engineRunner is a runner of either precision.
type engineRunner interface {
	step(weights []format.Tensor, inputs map[string]format.Tensor, grads []format.Tensor) (float64, error)
	run(weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error)
}

// New returns an engine for a graph whose scalar output is the loss, such as the result of model.WithLoss.
func New(g *graph.Graph, o Options) (*Engine, error) {
	if err := graph.Verify(g); err != nil {
		return nil, err
	}
	found := false
	for _, out := range g.Outputs {
		found = found || out.Name == lossName && len(out.Value.Shape) == 0 && out.Value.DType.Float()
	}
	if !found {
		return nil, fmt.Errorf("train: the graph has no scalar output %.80q", lossName)
	}
	runner := func(g *graph.Graph) engineRunner {
		if o.Float64 {
			return newRunner[float64](g, o.Recompute)
		}
		return newRunner[float32](g, o.Recompute)
	}
	e := &Engine{loss: g, step: g, runner: runner(g)}
	if e.steps = e.runner; len(o.Loss) > 0 {
		changed, err := graph.Apply(g, o.Loss...)
		if err != nil {
			return nil, err
		}
		e.step, e.steps = changed, runner(changed)
	}
	return e, nil
}

var _ train.Evaluator = (*Engine)(nil)

// Step implements train.Engine.
func (e *Engine) Step(weights []format.Tensor, batch train.Batch, grads []format.Tensor) (float64, error) {
	inputs, err := batch.Inputs(e.step)
	if err != nil {
		return 0, err
	}
	return e.steps.step(weights, inputs, grads)
}

// Loss implements train.Engine.
func (e *Engine) Loss(weights []format.Tensor, batch train.Batch) (float64, error) {
	inputs, err := batch.Inputs(e.loss)
	if err != nil {
		return 0, err
	}
	out, err := e.runner.run(weights, inputs)
	if err != nil {
		return 0, err
	}
	loss, err := out[lossName].AsFloat64s()
	if err != nil {
		return 0, err
	}
	return loss[0], nil
}

// Name implements train.Engine.
func (e *Engine) Name() string { return "gorgonia" }

// Close implements train.Engine: it releases the memory of the programs.
func (e *Engine) Close() error {
	e.runner, e.steps = closedRunner{}, closedRunner{}
	return nil
}

// Evaluate implements train.Evaluator.
func (e *Engine) Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return Evaluate(g, weights, inputs)
}

// closedRunner is the runner of a closed engine.
type closedRunner struct{}

func (closedRunner) step([]format.Tensor, map[string]format.Tensor, []format.Tensor) (float64, error) {
	return 0, train.ErrClosed
}

func (closedRunner) run([]format.Tensor, map[string]format.Tensor) (map[string]format.Tensor, error) {
	return nil, train.ErrClosed
}

// Forward runs a graph without gradients, in float32. It has the methods of
// runtime.Session and returns every output of the graph.
type Forward struct {
	runner  engineRunner
	weights []format.Tensor
}

// NewForward returns a session of a graph with the given weights, in the order
// of Graph.Params. It shares the weights' memory: the next Run sees changes in
// them. It keeps programs for a few recent input shapes.
func NewForward(g *graph.Graph, weights []format.Tensor) (*Forward, error) {
	if err := graph.Verify(g); err != nil {
		return nil, err
	}
	if err := model.Weights(weights).Check(g); err != nil {
		return nil, err
	}
	return &Forward{newRunner[float32](g, false), weights}, nil
}

// Lacks returns the name of an operator of a graph that the engine does not have,
// "" if it has them all. It has those of graph.Operators, and what can be decomposed
// into them.
func Lacks(g *graph.Graph) (operator string, err error) {
	g, err = graph.Apply(g, inForms, graph.Decompose(native))
	if err != nil {
		return "", err
	}
	has := map[string]bool{}
	for _, op := range graph.Operators() {
		has[op.Name()] = true
	}
	for _, n := range g.Nodes {
		if !has[n.Op.Name()] {
			return n.Op.Name(), nil
		}
	}
	return "", nil
}

// Run computes every output from the given inputs. The results are valid until
// the next Run.
func (f *Forward) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return f.runner.run(f.weights, inputs)
}

// Close releases the memory of the programs.
func (f *Forward) Close() error {
	f.runner = closedRunner{}
	return nil
}

// Evaluate computes every output of a graph once, in float32.
func Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	f, err := NewForward(g, weights)
	if err != nil {
		return nil, err
	}
	return f.Run(inputs)
}
