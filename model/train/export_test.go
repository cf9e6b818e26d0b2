package train

import (
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Float64Gradients returns the gradients of the last Step of an engine in
// double precision, before they were rounded to float32; nil for a parameter
// without a part in the loss.
func (g *Gorgonia) Float64Gradients() [][]float64 {
	p := g.engine.(*runner[float64]).kept[0].program
	var out [][]float64
	for _, slot := range p.grads {
		if slot < 0 {
			out = append(out, nil)
			continue
		}
		out = append(out, p.slots[slot].f)
	}
	return out
}

// KeptPrograms returns how many programs a session keeps.
func KeptPrograms(f *Forward) int { return len(f.engine.(*runner[float32]).kept) }

// TinyGPT2 is the smallest preset of GPT-2.
func TinyGPT2(vocab int) arch.GPT2 {
	return arch.GPT2{Vocab: vocab, Context: 16, Width: 32, Layers: 2, Heads: 2, Inner: 128, Epsilon: 1e-5}
}

// LossOf returns the loss of a network.
func LossOf(n nn.Network) (*graph.Graph, error) {
	g, err := nn.Build(n)
	if err != nil {
		return nil, err
	}
	return model.WithLoss(g)
}
