package train

import (
	"slices"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// TokenFLOP returns the floating-point operations of training for each token of
// the data; for data without tokens, for each example. It counts 6 for each
// parameter, and 12·H·Q·S for each attention of H heads of width Q over S keys
// (Chowdhery et al., arXiv:2204.02311, appendix B). A causal attention counts all
// keys, because the engines compute the scores that it masks. An error means that
// the data do not fit the network.
func TokenFLOP(c *model.Checkpoint, d *Data) (float64, error) {
	parameters, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	sizes, err := d.sizes(c, ownBatch(c.Graph))
	if err != nil {
		return 0, err
	}
	attention := 0.0 // of an example
	for _, n := range c.Graph.Nodes {
		if _, ok := n.Op.(graph.Attention); !ok {
			continue
		}
		q, err := n.Args[0].Shape.Eval(sizes) // (1,H,T,D)
		if err != nil {
			return 0, err
		}
		v, err := n.Args[2].Shape.Eval(sizes) // (1,G,S,E)
		if err != nil {
			return 0, err
		}
		// q·kᵀ takes 2·D operations for each pair of a query and a key, and its
		// product with v 2·E. The derivatives take twice as many.
		attention += 3 * float64(q[1]) * float64(q[2]) * float64(v[2]) * 2 * float64(q[3]+v[3])
	}
	return 6*float64(parameters) + attention/float64(max(1, d.Tokens())), nil
}

// Memory estimates the bytes that training the named parameters (nil: all) takes: the
// program, weights, gradients and moments, a copy of weights and moments while a
// checkpoint is written, and the values of the step's graph that are live at one time.
// The engine gorgonia takes 1.6 times these. ONNX Runtime takes 3 times: its allocator
// grows by doubling, and it keeps what an evaluation took. With Recompute it takes 4.5
// times. Measured peaks of processes are in fixtures/MEASURED.md.
func Memory(c *model.Checkpoint, d *Data, o Options, params []string) (int64, error) {
	sizes, err := d.sizes(c, o.Batch)
	if err != nil {
		return 0, err
	}
	g, err := model.StepOf(c.Graph, sizes, params, o.Passes()...)
	if err != nil {
		return 0, err
	}
	if o.Recompute {
		less := graph.Recompute
		if o.Engine == "gorgonia" {
			less = graph.Blocks
		}
		if g, err = less(g); err != nil {
			return 0, err
		}
	}
	peak, err := graph.PeakBytes(g)
	if err != nil {
		return 0, err
	}
	var weights, learned int64 // the others have no gradients and no moments
	for _, w := range c.Weights {
		weights += int64(len(w.Data))
		if params == nil || slices.Contains(params, w.Name) {
			learned += int64(len(w.Data))
		}
	}
	tenths := int64(30)
	switch {
	case o.Engine == "gorgonia":
		tenths = 16
	case o.Recompute:
		tenths = 45
	}
	const program = 140e6
	return program + max(0, peak-weights-learned)*tenths/10 + 2*weights + 5*learned, nil
}

// ownBatch returns the number of examples that a graph of fixed sizes computes at once, 1
// if it is open.
func ownBatch(g *graph.Graph) int {
	for _, in := range g.Inputs {
		if len(in.Shape) == 0 {
			continue
		}
		if n, fixed := in.Shape[0].Number(); fixed {
			return n
		}
	}
	return 1
}

// sizes returns the sizes of the inputs' named dimensions for a batch of
// examples. It rejects data that do not fit the network.
func (d *Data) sizes(c *model.Checkpoint, batch int) (map[string]int, error) {
	loss, err := model.WithLoss(c.Graph)
	if err != nil {
		return nil, err
	}
	one, err := d.room(1).Inputs(loss)
	if err != nil {
		return nil, err
	}
	shapes := map[string][]int{}
	for name, t := range one {
		shapes[name] = append([]int{batch}, t.Shape[1:]...)
	}
	return loss.BindInputs(shapes)
}
