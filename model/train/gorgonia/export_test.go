package gorgonia

import (
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Float64Gradients returns the gradients of the last Step of an engine in
// double precision, before they were rounded to float32; nil for a parameter
// without a part in the loss.
func (e *Engine) Float64Gradients() [][]float64 {
	p := e.runner.(*runner[float64]).kept[0].program
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
func KeptPrograms(f *Forward) int { return len(f.runner.(*runner[float32]).kept) }

// PresetNetwork returns a network of a preset's sizes.
func PresetNetwork(t testing.TB, preset, architecture string, vocab int) nn.Network {
	t.Helper()
	sizes, err := arch.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	n, err := arch.New(architecture, sizes, vocab)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TinyGPT2 returns the smallest GPT-2, as a model without weights.
func TinyGPT2(t testing.TB, vocab int) *model.Checkpoint {
	t.Helper()
	return modelOf(t, PresetNetwork(t, "tiny", arch.GPT2{}.Architecture(), vocab))
}

// GoldenGraph returns the forward pass of a network that has golden numbers.
func GoldenGraph(t testing.TB, c fixtures.Config) *graph.Graph {
	t.Helper()
	g, err := FixtureGraph(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// FixtureGraph returns the forward pass of a network that has golden numbers.
func FixtureGraph(c fixtures.Config) (*graph.Graph, error) {
	n, err := arch.Parse(c.Arch, c.JSON())
	if err != nil {
		return nil, err
	}
	return nn.Build(n)
}

// LossOf returns the training loss of a network.
func LossOf(t testing.TB, forward *graph.Graph) *graph.Graph {
	t.Helper()
	g, err := model.WithLoss(forward)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func modelOf(t testing.TB, n nn.Network) *model.Checkpoint {
	t.Helper()
	c, err := model.Of(n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// paramNames returns the names of a graph's parameters.
func paramNames(g *graph.Graph) (names []string) {
	for _, p := range g.Params {
		names = append(names, p.Name)
	}
	return names
}
