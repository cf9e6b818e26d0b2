package train

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Engine computes the loss of a network and its gradient. Weights are float32
// tensors in the order of Graph.Params. Gradients are those of some or all of
// them, in the same order, under the names of the weights. An Engine reads
// the weights in place and keeps none of their memory between calls. It is not
// safe for concurrent use.
//
// An id outside the vocabulary is an error that names the id, its position and
// the vocabulary size, returned before any computation. A NaN loss is not an
// error: the caller decides.
type Engine interface {
	// Step returns the mean loss of the batch and fills grads, which must have
	// names and shapes of weights. It computes no other gradients.
	Step(weights []format.Tensor, batch Batch, grads []format.Tensor) (loss float64, err error)
	// Loss returns only the mean loss of the batch, for evaluation.
	Loss(weights []format.Tensor, batch Batch) (float64, error)
	// Name returns the engine's name on the command line, such as "gorgonia".
	Name() string
	// Close frees the resources of the engine. Do not use it afterwards.
	Close() error
}

// Evaluator is an Engine that can also compute every output of another graph
// with the same weights. The trainer uses it to find where a NaN or infinity
// came from.
type Evaluator interface {
	Engine
	Evaluate(g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) (map[string]format.Tensor, error)
}

// ErrClosed is the error of a closed engine.
var ErrClosed = errors.New("train: the engine is closed")

// lossOutput is the name of the loss output.
var lossOutput = role.Of(role.Loss).Name()

// BadLabel returns the error for a label that is not a class: element i of the
// named tensor of the given shape. ignore is the label that the loss ignores.
func BadLabel(name string, i int, shape []int, label int64, classes int, ignore int64) error {
	bad := &format.RangeError{Name: name, Index: format.Index(i, shape), Got: label, Last: int64(classes - 1)}
	return fmt.Errorf("train: %w, or %d where a label does not count", bad, ignore)
}
