package gorgonia_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// Golden numbers are PyTorch's, in float64. The same formulas in another order
// differ by the rounding of sums of at most a few hundred terms: far below
// 1e-12. In float32 one rounding is 6e-8, and a gradient passes through some
// dozens of sums of up to 64 terms.
const (
	golden64 = 1e-12
	golden32 = 2e-5
)

func goldenModels(t *testing.T) map[string]fixtures.Golden {
	t.Helper()
	all, err := fixtures.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func goldenWeights(g fixtures.Golden) (weights, grads []format.Tensor) {
	for _, w := range g.Weights {
		weights = append(weights, format.FromFloat32s(w.Name, w.Shape, float32s(w.Data)))
		grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, len(w.Data))))
	}
	return weights, grads
}

func float32s(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func int64s(x []float64) []int64 {
	out := make([]int64, len(x))
	for i, v := range x {
		out[i] = int64(v)
	}
	return out
}

func goldenBatch(ids, labels fixtures.Tensor) train.Batch {
	return train.TextBatch(ids.Shape[0], ids.Shape[1], int64s(ids.Data), int64s(labels.Data))
}

func newEngine(t *testing.T, forward *graph.Graph, o gorgonia.Options) *gorgonia.Engine {
	t.Helper()
	e, err := gorgonia.New(gorgonia.LossOf(t, forward), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestGoldenStep compares the loss and all gradients with PyTorch's.
func TestGoldenStep(t *testing.T) {
	for name, golden := range goldenModels(t) {
		for _, double := range []bool{true, false} {
			tolerance := golden32
			if double {
				tolerance = golden64
			}
			t.Run(name+map[bool]string{true: "/float64", false: "/float32"}[double], func(t *testing.T) {
				e := newEngine(t, gorgonia.GoldenGraph(t, golden.Config), gorgonia.Options{Float64: double})
				weights, grads := goldenWeights(golden)
				loss, err := e.Step(weights, goldenBatch(golden.InputIDs, golden.Labels), grads)
				if err != nil {
					t.Fatal(err)
				}
				if d := math.Abs(loss - golden.Loss); !(d <= tolerance*golden.Loss) {
					t.Errorf("loss %.15g, PyTorch has %.15g", loss, golden.Loss)
				}
				evaluated, err := e.Loss(weights, goldenBatch(golden.InputIDs, golden.Labels))
				if err != nil || evaluated != loss {
					t.Errorf("Loss gives %v, %v, Step gave %v", evaluated, err, loss)
				}
				var exact [][]float64
				if double {
					exact = gradientsOf(t, e, weights, golden, grads)
				}
				// A key's bias moves no score: its gradient is 0 but for
				// rounding, which is to be held against the others.
				floor := 0.0
				for _, want := range golden.Gradients {
					floor = max(floor, largest(want.Data)/100)
				}
				for i, want := range golden.Gradients {
					got, err := grads[i].AsFloat64s()
					if err != nil {
						t.Fatal(err)
					}
					if double {
						got = exact[i]
					}
					compareGradient(t, want, got, tolerance*max(largest(want.Data), floor))
				}
			})
		}
	}
}

// gradientsOf takes the step again: the evaluation in between must not matter.
func gradientsOf(t *testing.T, e *gorgonia.Engine, weights []format.Tensor, golden fixtures.Golden, grads []format.Tensor) [][]float64 {
	t.Helper()
	if _, err := e.Step(weights, goldenBatch(golden.InputIDs, golden.Labels), grads); err != nil {
		t.Fatal(err)
	}
	return e.Float64Gradients()
}

func largest(x []float64) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}

func compareGradient(t *testing.T, want fixtures.Named, got []float64, bound float64) {
	t.Helper()
	if len(got) != len(want.Data) {
		t.Errorf("%s: %d elements, PyTorch has %d", want.Name, len(got), len(want.Data))
		return
	}
	for i, w := range want.Data {
		if d := math.Abs(got[i] - w); !(d <= bound) {
			t.Errorf("gradient of %s[%d] = %.15g, PyTorch has %.15g", want.Name, i, got[i], w)
			return
		}
	}
}
