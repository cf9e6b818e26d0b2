package gorgonia_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// Label smoothing is PyTorch's, and only in the loss of a step.
func TestLabelSmoothing(t *testing.T) {
	var golden struct {
		Scores, Labels fixtures.Tensor
		Cases          []struct {
			Epsilon, Loss float64
			Gradient      fixtures.Tensor
		}
	}
	text, err := os.ReadFile("../../../fixtures/label_smoothing.json")
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, len(golden.Scores.Data))
	for i, x := range golden.Scores.Data {
		scores[i] = float32(x)
	}
	labels := make([]int64, len(golden.Labels.Data))
	for i, x := range golden.Labels.Data {
		labels[i] = int64(x)
	}
	b := graph.NewBuilder()
	B := graph.Sym("B")
	w := b.Param("scores", graph.Normal(1), 5, 4)
	in := b.InputFor(role.Of(role.Features), format.Float32, B, graph.N(5))
	b.OutputFor(role.Of(role.Logits), b.MatMul(in, w))
	g, err := b.Graph()
	if err == nil {
		g, err = model.WithLoss(g)
	}
	if err != nil {
		t.Fatal(err)
	}
	one := make([]float32, 25)
	for i := range 5 {
		one[6*i] = 1
	}
	batch := train.Batch{role.Features: format.FromFloat32s("x", []int{5, 5}, one), role.Labels: format.FromInt64s("labels", []int{5}, labels)}
	weights := []format.Tensor{format.FromFloat32s("scores", []int{5, 4}, scores)}
	plain := math.NaN()
	for _, c := range golden.Cases {
		e, err := gorgonia.New(g, gorgonia.Options{Loss: []graph.Pass{graph.SmoothLabels(c.Epsilon)}})
		if err != nil {
			t.Fatal(err)
		}
		gradient := make([]float32, 20)
		loss, err := e.Step(weights, batch, []format.Tensor{format.FromFloat32s("scores", []int{5, 4}, gradient)})
		if err != nil || math.Abs(loss-c.Loss) > 1e-6 {
			t.Errorf("epsilon %g: the loss is %v (%v), PyTorch has %v", c.Epsilon, loss, err, c.Loss)
		}
		for i, x := range gradient {
			if want := float64(c.Gradient.Data[i]); math.Abs(float64(x)-want) > 1e-6 {
				t.Errorf("epsilon %g: gradient %d is %v, PyTorch has %v", c.Epsilon, i, x, want)
			}
		}
		evaluated, err := e.Loss(weights, batch)
		if err != nil || !math.IsNaN(plain) && evaluated != plain || math.Abs(evaluated-c.Loss) < 1e-3 {
			t.Errorf("epsilon %g: an evaluation has the loss %v (%v)", c.Epsilon, evaluated, err)
		}
		plain = evaluated
	}
	if same, err := graph.SmoothLabels(0)(g); err != nil || same != g {
		t.Errorf("without smoothing the graph changes: %v", err)
	}
}
