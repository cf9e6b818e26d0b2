package train

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// GorgoniaOptions are the choices of a Gorgonia engine.
type GorgoniaOptions struct {
	// Float64 computes in double precision: for checking derivatives, at a
	// fraction of the speed. Weights and gradients stay float32 outside.
	Float64 bool
}

// Gorgonia is the training engine in pure Go: it writes a graph as a Gorgonia
// graph (lower.go), has Gorgonia record the gradients, and runs the result.
//
// Its results are the same bits from run to run and for any number of cores
// on one machine. Machines with and without AVX2 and fused multiply-add round
// differently.
type Gorgonia struct {
	engine gorgoniaRunner
}

// gorgoniaRunner is a runner of either precision.
type gorgoniaRunner interface {
	step(weights []format.Tensor, inputs map[string]format.Tensor, grads []format.Tensor) (float64, error)
	run(weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error)
}

// NewGorgonia returns an engine for a graph that takes input_ids and labels,
// both int64 (B,T), and has the scalar output "loss": what model.WithLoss
// returns.
func NewGorgonia(g *graph.Graph, o GorgoniaOptions) (*Gorgonia, error) {
	if err := graph.Verify(g); err != nil {
		return nil, err
	}
	for _, want := range []string{batchIDs, batchLabels} {
		if v := g.Lookup(want); v == nil || !isInput(v) || v.DType != format.Int64 || len(v.Shape) != 2 {
			return nil, fmt.Errorf("train: the graph has no input %.80q of type I64 and shape (B,T)", want)
		}
	}
	if len(g.Inputs) != 2 {
		return nil, fmt.Errorf("train: the graph has %d inputs, wants %s and %s alone", len(g.Inputs), batchIDs, batchLabels)
	}
	found := false
	for _, out := range g.Outputs {
		found = found || out.Name == lossOutput && len(out.Value.Shape) == 0 && out.Value.DType.Float()
	}
	if !found {
		return nil, fmt.Errorf("train: the graph has no scalar output %.80q", lossOutput)
	}
	if o.Float64 {
		return &Gorgonia{newRunner[float64](g)}, nil
	}
	return &Gorgonia{newRunner[float32](g)}, nil
}

func isInput(v *graph.Value) bool {
	_, ok := graph.Is[graph.Input](v)
	return ok
}

// The names that model.WithLoss gives its inputs.
const (
	batchIDs    = "input_ids"
	batchLabels = "labels"
)

var _ Engine = (*Gorgonia)(nil)

// inputs returns the batch as tensors that share its memory.
func (b Batch) inputs() (map[string]format.Tensor, error) {
	n, ok := format.Elements([]int{b.B, b.T})
	if !ok || n < 1 || len(b.IDs) != n || len(b.Labels) != n {
		return nil, fmt.Errorf("train: a batch of %d sequences of %d tokens has %d ids and %d labels", b.B, b.T, len(b.IDs), len(b.Labels))
	}
	shape := []int{b.B, b.T}
	return map[string]format.Tensor{
		batchIDs:    format.FromInt64s(batchIDs, shape, b.IDs),
		batchLabels: format.FromInt64s(batchLabels, shape, b.Labels),
	}, nil
}

// Step implements Engine.
func (g *Gorgonia) Step(weights []format.Tensor, batch Batch, grads []format.Tensor) (float64, error) {
	inputs, err := batch.inputs()
	if err != nil {
		return 0, err
	}
	return g.engine.step(weights, inputs, grads)
}

// Loss implements Engine.
func (g *Gorgonia) Loss(weights []format.Tensor, batch Batch) (float64, error) {
	inputs, err := batch.inputs()
	if err != nil {
		return 0, err
	}
	out, err := g.engine.run(weights, inputs)
	if err != nil {
		return 0, err
	}
	loss, err := out[lossOutput].AsFloat64s()
	if err != nil {
		return 0, err
	}
	return loss[0], nil
}

// Name implements Engine.
func (g *Gorgonia) Name() string { return "gorgonia" }

// Close implements Engine: it lets go of the programs' memory.
func (g *Gorgonia) Close() error {
	g.engine = closedRunner{}
	return nil
}

// closedRunner is what a closed engine runs.
type closedRunner struct{}

func (closedRunner) step([]format.Tensor, map[string]format.Tensor, []format.Tensor) (float64, error) {
	return 0, errClosed
}

func (closedRunner) run([]format.Tensor, map[string]format.Tensor) (map[string]format.Tensor, error) {
	return nil, errClosed
}

var errClosed = fmt.Errorf("train: the engine is closed")

// Forward runs a graph without gradients, in float32. It is a runtime.Session
// by its methods and hands out every output of the graph.
type Forward struct {
	engine  gorgoniaRunner
	weights []format.Tensor
}

// NewForward returns a session of any graph with the given weights, which are
// in the order of Graph.Params. It keeps the weights' memory: a change in them
// shows in the next Run. Programs of a few recent input shapes are kept.
func NewForward(g *graph.Graph, weights []format.Tensor) (*Forward, error) {
	if err := graph.Verify(g); err != nil {
		return nil, err
	}
	if err := checkWeights(g, weights); err != nil {
		return nil, err
	}
	return &Forward{newRunner[float32](g), weights}, nil
}

// Run computes every output from the given inputs. The tensors returned are
// valid until the next Run.
func (f *Forward) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	return f.engine.run(f.weights, inputs)
}

// Close lets go of the programs' memory.
func (f *Forward) Close() error {
	f.engine = closedRunner{}
	return nil
}

func checkWeights(g *graph.Graph, weights []format.Tensor) error {
	infos := make([]format.TensorInfo, len(weights))
	for i, w := range weights {
		infos[i] = w.Info()
	}
	return g.CheckParams(infos)
}
