package attnx_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/ref"
)

// What attnx exports is read back as the same function, in every profile that holds
// the forward pass: the oracle gives the logits of the checkpoint's graph. The
// bounds are those of what a profile rounds: constants to float32, weights to 8 bits.
func TestExportsAreReadBack(t *testing.T) {
	networks := map[string]nn.Network{
		"gpt2":  arch.GPT2{Vocab: 23, Context: 16, Layers: 2, Heads: 2, Width: 16, Inner: 32, Epsilon: 1e-5},
		"llama": smallLlama(23),
	}
	profiles := map[string]struct {
		p     export.Profile
		bound float64
	}{
		"plain":     {export.Plain{}, 1e-5},
		"opset 21":  {export.Plain{Opset: 21}, 1e-5},
		"cache":     {export.Cache{}, 1e-5},
		"fused":     {export.Cache{Fuse: true}, 1e-5},
		"last":      {export.Cache{LastLogits: true}, 1e-5},
		"flat":      {export.Flat{Length: 5}, 1e-5},
		"8 bits":    {export.Plain{Quantize: precision.Int8}, 0.3},
		"fused, 16": {export.Cache{Fuse: true, DType: format.Float16}, 0.05},
	}
	for name, n := range networks {
		c, err := model.New(n, 3)
		if err != nil {
			t.Fatal(err)
		}
		ids := format.FromInt64s("input_ids", []int{1, 5}, []int64{3, 1, 4, 1, 5})
		want := logitsOf(t, c.Graph, c.Weights, map[string]format.Tensor{"input_ids": ids})
		for profile, x := range profiles {
			t.Run(name+" "+profile, func(t *testing.T) {
				m, err := export.Model(c.Graph, c.Weights, x.p)
				if err != nil {
					t.Fatal(err)
				}
				inputs := map[string]format.Tensor{}
				for _, in := range m.Graph.Inputs {
					inputs[in.Name] = firstStep(t, in, ids, c.Context())
				}
				o := read.Options{Shapes: map[string][]int{}}
				for name, x := range inputs {
					o.Shapes[name] = x.Shape
				}
				r, err := read.Model(m, o)
				if err != nil {
					t.Fatal(err)
				}
				got := logitsOf(t, r.Graph, r.Weights, inputs)
				want := want[len(want)-min(len(got), len(want)):]
				if len(got) != len(want) {
					t.Fatalf("%d logits, expected %d", len(got), len(want))
				}
				for i := range want {
					if !(math.Abs(got[i]-want[i]) <= x.bound) {
						t.Fatalf("logit %d is %g, the checkpoint's %g", i, got[i], want[i])
					}
				}
			})
		}
	}
}

// logitsOf returns the logits of a graph.
func logitsOf(t *testing.T, g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) []float64 {
	t.Helper()
	oracle, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oracle.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := got[role.Logits.Name()].AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// firstStep returns an input of the first step of a text: nothing lies before it.
func firstStep(t *testing.T, in onnx.ValueInfo, ids format.Tensor, context int) format.Tensor {
	t.Helper()
	length := ids.Shape[1]
	counted := func(f func(i int) int64) format.Tensor {
		x := make([]int64, length)
		for i := range x {
			x[i] = f(i)
		}
		return format.FromInt64s(in.Name, []int{1, length}, x)
	}
	if in.Name == flat.OneHotInput {
		numbers, _ := ids.Int64s()
		vocab := int(in.Dims[1].Value)
		rows := make([]float32, length*vocab)
		for i, id := range numbers {
			rows[i*vocab+int(id)] = 1
		}
		return format.FromFloat32s(in.Name, []int{length, vocab}, rows)
	}
	r, _ := role.FromName(in.Name)
	switch r.Kind {
	case role.Tokens:
		return ids
	case role.AttentionMask:
		return counted(func(int) int64 { return 1 })
	case role.Positions:
		return counted(func(i int) int64 { return int64(i) })
	case role.PastKey, role.PastValue:
		before := 0
		if in.Dims[2].Param == "max_sequence_length" {
			before = context // one buffer, of which nothing is used yet
		}
		shape := []int{1, int(in.Dims[1].Value), before, int(in.Dims[3].Value)}
		n, _ := format.Elements(shape)
		return format.FromFloat32s(in.Name, shape, make([]float32, n))
	}
	t.Fatalf("input %q", in.Name)
	return format.Tensor{}
}
