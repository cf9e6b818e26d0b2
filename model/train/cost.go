package train

import (
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// TokenFLOP counts the floating-point operations that training takes for each
// token of sequences of a length, as is usual: 6 for each parameter, and 12·L·C·T
// for attention (Kaplan et al., arXiv:2001.08361, appendix B). Of a network
// without tokens, which has the length 0, it counts those of an example.
func TokenFLOP(c *model.Checkpoint, length int) (float64, error) {
	n, err := c.Parameters()
	return 6*float64(n) + 12*float64(len(c.Attentions())*c.Width()*length), err
}

// Memory estimates the bytes that training takes: the values of the step's graph
// that exist at one time, weights and gradients among them, the two moments, and
// a copy of weights and moments while a checkpoint is written. ONNX Runtime's
// allocator grows by doubling and packs weights for its products: measured peaks
// of whole processes were 1.6 times the values (small 774 and 1294 MB, w512 921
// and 1528, gpt2 2186 and 3515).
func Memory(c *model.Checkpoint, d *Data, batch int) (int64, error) {
	sizes, err := d.sizes(c, batch)
	if err != nil {
		return 0, err
	}
	g, err := model.StepOf(c.Graph, sizes)
	if err != nil {
		return 0, err
	}
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	peak, err := graph.PeakBytes(g)
	return (peak+2*4*int64(n))*8/5 + 3*4*int64(n), err
}

// sizes returns the sizes of the named dimensions of the inputs for a batch of so
// many examples. It refuses data that are not what the network takes.
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
