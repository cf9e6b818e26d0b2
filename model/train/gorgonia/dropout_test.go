package gorgonia_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// With the same masks the loss and the gradients are those of transformers' GPT-2,
// and an evaluation drops nothing.
func TestDropout(t *testing.T) {
	var golden struct {
		IDs, Labels        fixtures.Tensor
		Loss               float64
		Masks              []fixtures.Tensor
		Weights, Gradients map[string]fixtures.Tensor
	}
	text, err := os.ReadFile("../../../fixtures/dropout.json")
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.New(arch.GPT2{Vocab: 7, Context: 4, Width: 8, Layers: 1, Heads: 2, Inner: 12, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	floats := func(x fixtures.Tensor) []float32 {
		out := make([]float32, len(x.Data))
		for i, v := range x.Data {
			out[i] = float32(v)
		}
		return out
	}
	ints := func(x fixtures.Tensor) []int64 {
		out := make([]int64, len(x.Data))
		for i, v := range x.Data {
			out[i] = int64(v)
		}
		return out
	}
	var weights, grads []format.Tensor
	for _, w := range c.Weights {
		weights = append(weights, format.FromFloat32s(w.Name, w.Shape, floats(golden.Weights[w.Name])))
		grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
	}
	batch := train.TextBatch(2, 4, ints(golden.IDs), ints(golden.Labels))
	loss, err := model.WithLoss(c.Graph)
	if err != nil {
		t.Fatal(err)
	}
	e, err := gorgonia.New(loss, gorgonia.Options{Loss: []graph.Pass{graph.AddDropout}})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := e.Loss(weights, batch)
	if err != nil {
		t.Fatal(err)
	}
	ones := train.Batch{role.Tokens: batch[role.Tokens], role.Labels: batch[role.Labels]}
	for i, m := range golden.Masks {
		k := role.Other + role.Kind(2+i)
		batch[k] = format.FromFloat32s("mask", m.Shape, floats(m))
		one := make([]float32, len(m.Data))
		for j := range one {
			one[j] = 1
		}
		ones[k] = format.FromFloat32s("mask", m.Shape, one)
	}
	got, err := e.Step(weights, ones, grads)
	if err != nil || math.Abs(got-whole) > 1e-6 {
		t.Errorf("with masks of ones the loss is %g, without %g: %v", got, whole, err)
	}
	got, err = e.Step(weights, batch, grads)
	if err != nil || math.Abs(got-golden.Loss) > 1e-6 || math.Abs(whole-golden.Loss) < 1e-3 {
		t.Errorf("the loss is %g, transformers has %g, without masks it is %g: %v", got, golden.Loss, whole, err)
	}
	for _, g := range grads {
		x, err := g.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range golden.Gradients[g.Name].Data {
			if math.Abs(float64(x[i])-want) > 1e-6 {
				t.Fatalf("gradient %s[%d] is %g, transformers has %g", g.Name, i, x[i], want)
			}
		}
	}
}
