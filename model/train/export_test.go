package train

import (
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// What the tests with an engine use, from outside the package.
var (
	NewAdamW   = newAdamW
	Norm       = norm
	SameShapes = sameShapes
)

func (a *AdamW) Update(w model.Weights, grads []format.Tensor, lr, scale float64) error {
	return a.update(w, grads, lr, scale)
}

func (o Options) Rate(step int) float64          { return o.rate(step) }
func (o Options) Shorten(length float64) float64 { return o.shorten(length) }

// Gradients returns the gradients of the step after the given one, and the loss.
func (t *Trainer) Gradients(step int) (float64, []format.Tensor, error) {
	t.step = step
	loss, err := t.gradients()
	return loss, t.grads, err
}

// Draw returns training batch number n of a run.
func (t *Trainer) Draw(n int) Batch {
	var b Batch
	t.data.draw(t.data.train, t.options.Batch, model.NewStream(t.options.Seed, "train.batch"), n, &b)
	return b
}

// StepsDone returns the steps done.
func (t *Trainer) StepsDone() int { return t.step }

// Weights returns the weights, which are the trainer's.
func (t *Trainer) Weights() model.Weights { return t.weights }

// SetEngine has another engine compute from now on.
func (t *Trainer) SetEngine(e Engine) { t.engine = e }

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
