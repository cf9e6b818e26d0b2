package attnx_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime/ref"
)

// The training step without float64 is the one with it, whose number of updates gives
// the rates.
func TestFloat32TrainingIsTraining(t *testing.T) {
	n := must(arch.New(arch.Names()[0], arch.Sizes{Layers: 1, Heads: 2, Width: 8, Context: 4}, 9))
	c := must(model.New(n, 1))
	o := train.DefaultOptions(9)
	whole, bare := must(train.BuildTraining(c.Graph, 2, 4, o)), must(train.BuildFloat32Training(c.Graph, 2, 4, o))
	const done, rate = 6, 1e-3
	common := map[string]format.Tensor{train.RateInput: format.FromFloat32s(train.RateInput, []int{1}, []float32{rate})}
	for _, w := range c.Weights {
		x := must(w.Float32s())
		common[train.FirstMoment+w.Name] = format.FromFloat32s(train.FirstMoment+w.Name, w.Shape, x)
		squares := make([]float32, len(x))
		for i := range x {
			squares[i] = x[i] * x[i]
		}
		common[train.SecondMoment+w.Name] = format.FromFloat32s(train.SecondMoment+w.Name, w.Shape, squares)
	}
	ids := []int64{1, 2, 3, 4, 5, 6, 7, 8}
	for _, in := range whole.Inputs {
		if in.DType == format.Int64 && in.Name != train.StepInput {
			common[in.Name] = format.FromInt64s(in.Name, []int{2, 4}, ids)
		}
	}
	with := func(more ...format.Tensor) map[string]format.Tensor {
		in := map[string]format.Tensor{}
		for name, x := range common {
			in[name] = x
		}
		for _, x := range more {
			in[x.Name] = x
		}
		return in
	}
	number := func(name string, x float64) format.Tensor {
		return format.FromFloat32s(name, []int{1}, []float32{float32(x)})
	}
	want := must(must(ref.New(whole, c.Weights)).Run(with(format.FromInt64s(train.StepInput, []int{1}, []int64{done}))))
	got := must(must(ref.New(bare, c.Weights)).Run(with(
		number(train.FirstRate, rate/(1-math.Pow(o.Beta1, done+1))), number(train.SecondRoot, 1/math.Sqrt(1-math.Pow(o.Beta2, done+1))))))
	if len(got) != len(want)-1 {
		t.Errorf("%d outputs, expected %d", len(got), len(want)-1)
	}
	for name, y := range got {
		if d := apart(must(y.Float64s()), must(want[name].Float64s())); d > 1e-8 {
			t.Errorf("%s differs by %g", name, d)
		}
	}
	for _, v := range bare.Nodes {
		for _, r := range v.Results {
			if r.DType == format.Float64 || strings.HasSuffix(r.Name, train.StepInput) {
				t.Errorf("%s is %s", r.Name, r.DType)
			}
		}
	}
}
