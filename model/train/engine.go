package train

import "github.com/attnx/attnx/format"

// Batch is what one step learns from: B sequences of T tokens, row-major
// (B,T). Labels holds the id that follows each token, or model.IgnoreIndex
// where a position does not count.
type Batch struct {
	B, T   int
	IDs    []int64
	Labels []int64
}

// Engine computes the loss of a network and its gradient. Weights and
// gradients are float32 tensors in the order of Graph.Params; an Engine reads
// the weights' memory where it lies and keeps none of it between calls. An
// Engine serves one goroutine.
//
// An id outside the vocabulary is an error that names the id, its position and
// the vocabulary's size, given before anything is computed. A loss that is not
// a number is no error: the caller decides.
type Engine interface {
	// Step returns the mean loss of the batch and fills grads, which must
	// have the shapes of the weights.
	Step(weights []format.Tensor, batch Batch, grads []format.Tensor) (loss float64, err error)
	// Loss returns the mean loss of the batch alone, as an evaluation needs it.
	Loss(weights []format.Tensor, batch Batch) (float64, error)
	// Name returns the engine's name on the command line, such as "gorgonia".
	Name() string
	// Close frees what the engine holds. A closed engine must not be used.
	Close() error
}
