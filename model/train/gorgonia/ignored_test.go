package gorgonia_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// TestIgnoredLabels: where no label counts, the loss is not a number and its
// gradient is PyTorch's, in this engine and in the graph that graph.Grad writes.
func TestIgnoredLabels(t *testing.T) {
	cases, err := fixtures.IgnoredLabels()
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases (%v)", len(cases), err)
	}
	for _, c := range cases {
		b := graph.NewBuilder()
		scores := b.Param("scores", graph.Normal(1), c.Scores.Shape...)
		labels := b.InputFor(role.Of(role.Labels), format.Int64, graph.Numbers(c.Labels.Shape...)...)
		b.OutputFor(role.Of(role.Loss), b.Name("loss", b.SoftmaxCrossEntropyLoss(scores, labels, model.IgnoreIndex)))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		weights := []format.Tensor{format.FromFloat32s("scores", c.Scores.Shape, float32s(c.Scores.Data))}
		batch := train.Batch{role.Labels: format.FromInt64s("labels", c.Labels.Shape, int64s(c.Labels.Data))}

		e, err := gorgonia.New(g, gorgonia.Options{})
		if err != nil {
			t.Fatal(err)
		}
		grads := model.Weights(weights).Clone()
		loss, err := e.Step(weights, batch, grads)
		if err != nil || !math.IsNaN(loss) {
			t.Errorf("loss %g (%v)", loss, err)
		}
		derived, err := graph.Apply(g, graph.Grad("loss"))
		if err != nil {
			t.Fatal(err)
		}
		oracle, err := openOracle(derived, weights)
		if err != nil {
			t.Fatal(err)
		}
		out, err := oracle.Run(map[string]format.Tensor{"labels": batch[role.Labels]})
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]format.Tensor{"the engine": grads[0], "graph.Grad": out[role.GradientOf("scores").Name()]} {
			x, err := got.AsFloat64s()
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.Gradient.Data {
				if x[i] != want {
					t.Fatalf("%s: gradient of scores[%d] is %g, PyTorch has %g", name, i, x[i], want)
				}
			}
		}
	}
}
