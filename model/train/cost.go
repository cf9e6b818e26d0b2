package train

import (
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// TokenFLOP returns the floating-point operations of training for each token
// of sequences of the given length: 6 for each parameter, and 12·L·C·T for
// attention (Kaplan et al., arXiv:2001.08361, appendix B). For a network
// without tokens pass length 0; the result is then for each example.
func TokenFLOP(c *model.Checkpoint, length int) (float64, error) {
	n, err := c.Parameters()
	return 6*float64(n) + 12*float64(len(c.Attentions())*c.Width()*length), err
}

// Memory estimates the bytes that training needs: the values of the step's
// graph that are live at one time, including weights and gradients, the two
// moments, and a copy of weights and moments while a checkpoint is written.
// ONNX Runtime needs more, because its allocator grows by doubling and it
// packs weights for its products. Measured peaks of whole processes were 1.6
// times the values (small 774 and 1294 MB, w512 921 and 1528, gpt2 2186 and
// 3515).
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
