package train_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// Ten steps of a tiny GPT-2 against PyTorch's float64: losses, gradient
// lengths, learning rates and the final weights. fixtures/oracle/gpt2_golden.py
// made the numbers.
func TestTenStepsAgainstPyTorch(t *testing.T) {
	golden, err := fixtures.TinyGPT2()
	if err != nil {
		t.Fatal(err)
	}
	run := golden.Training
	o := train.Options{
		Steps: run.Steps, Batch: 1, LR: run.LRMax, MinLR: run.LRMin, Warmup: run.Warmup,
		Beta1: run.Beta1, Beta2: run.Beta2, Epsilon: run.Epsilon, WeightDecay: run.WeightDecay, Clip: run.Clip, EvalBatches: 1,
	}
	engine, err := gorgonia.New(train.LossOf(t, train.GoldenGraph(t, golden.Config)), gorgonia.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	weights, grads := goldenWeights(golden.Weights)
	adamw := train.NewAdamW(o, weights)
	// Weights, gradients and moments are float32 here and float64 there:
	// rounding of 6e-8 a step, which the normalized update can pass on whole
	// where a gradient is near zero. 1e-5 is ten times what ten steps add up
	// to; a wrong bias correction, decay or clip is off by 1e-3 and more.
	const bound = 1e-5
	for i := range run.Steps {
		if lr := o.Rate(i); math.Abs(lr-run.LR[i]) > 1e-15 {
			t.Errorf("step %d: learning rate %g, PyTorch's schedule has %g", i, lr, run.LR[i])
		}
		b := run.Batches[i]
		batch := train.TextBatch(b.InputIDs.Shape[0], b.InputIDs.Shape[1], ints(b.InputIDs.Data), ints(b.Labels.Data))
		loss, err := engine.Step(weights, batch, grads)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(loss-run.Losses[i]) > bound {
			t.Errorf("step %d: loss %.9f, PyTorch has %.9f", i, loss, run.Losses[i])
		}
		length, err := train.Norm(grads)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(length-run.GradientLengths[i]) > bound*max(1, length) {
			t.Errorf("step %d: gradient of length %.9f, PyTorch has %.9f", i, length, run.GradientLengths[i])
		}
		if err := adamw.Update(weights, grads, o.Rate(i), o.Shorten(length)); err != nil {
			t.Fatal(err)
		}
	}
	byName := map[string]format.Tensor{}
	for _, w := range weights {
		byName[w.Name] = w
	}
	for _, want := range run.Final {
		got, err := byName[want.Name].AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Abs(got[i]-want.Data[i]) > 3e-5 { // a tenth of a percent of the distance travelled
				t.Fatalf("%s[%d] ends at %.9f, PyTorch at %.9f", want.Name, i, got[i], want.Data[i])
			}
		}
	}
}

func goldenWeights(named []fixtures.Named) (w model.Weights, grads []format.Tensor) {
	for _, n := range named {
		v := make([]float32, len(n.Data))
		for i, x := range n.Data {
			v[i] = float32(x)
		}
		w = append(w, format.FromFloat32s(n.Name, n.Shape, v))
		grads = append(grads, format.FromFloat32s(n.Name, n.Shape, make([]float32, len(v))))
	}
	return w, grads
}

func ints(x []float64) []int64 {
	out := make([]int64, len(x))
	for i := range x {
		out[i] = int64(x[i])
	}
	return out
}
