package attnx_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// deep returns a network of an architecture with some layers, a batch for it, and
// the graph of its step.
func deep(t *testing.T, name string) (*model.Checkpoint, train.Batch, *graph.Graph) {
	t.Helper()
	const batch, tokens, vocab = 2, 24, 13
	n, err := arch.New(name, arch.Sizes{Layers: 5, Heads: 2, Width: 8, Context: tokens}, vocab)
	check(err)
	c, err := model.New(n, 1)
	check(err)
	ids := make([]int64, batch*tokens)
	for i := range ids {
		ids[i] = int64(2 + i*i%7)
	}
	b := train.TextBatch(batch, tokens, ids, ids)
	if name == "t5" {
		b[role.SourceTokens] = format.FromInt64s("source", []int{batch, tokens}, ids)
		ones := make([]int64, len(ids))
		for i := range ones {
			ones[i] = 1
		}
		b[role.SourceMask] = format.FromInt64s("mask", []int{batch, tokens}, ones)
	}
	loss, err := model.WithLoss(c.Graph)
	check(err)
	in, err := b.Inputs(loss)
	check(err)
	shapes := map[string][]int{}
	for name, x := range in {
		shapes[name] = x.Shape
	}
	sizes, err := loss.BindInputs(shapes)
	check(err)
	step, err := model.StepOf(c.Graph, sizes, nil)
	check(err)
	return c, b, step
}

// A step that computes blocks again has the loss and the gradients of one that
// does not, in either engine, and less memory.
func TestRecompute(t *testing.T) {
	onnxRuntime(t)
	for _, name := range []string{"gpt2", "llama", "t5"} {
		c, batch, step := deep(t, name)
		before, err := graph.PeakBytes(step)
		check(err)
		less, err := graph.Recompute(step)
		check(err)
		after, err := graph.PeakBytes(less)
		check(err)
		data, err := export.Bytes(less, nil, export.Train{})
		check(err)
		file, err := onnx.Decode(data)
		check(err)
		plan, err := placement.Plan(file)
		check(err)
		if !plan.Clean() {
			t.Errorf("%s: CUDA has %d of %d nodes, with %d copies", name, plan.CUDA, len(plan.Nodes), len(plan.Copies))
		}
		t.Logf("%s: %d nodes and %d bytes, with recomputation %d and %d", name, len(step.Nodes), before, len(less.Nodes), after)
		if after > before*3/4 {
			t.Errorf("%s: the peak falls from %d to %d bytes only", name, before, after)
		}
		for _, engine := range []string{"gorgonia", "ort"} {
			var losses [2]float64
			var grads [2][]format.Tensor
			for i := range 2 {
				e, _, err := attnx.OpenEngine(engine, c, attnx.EngineOptions{Recompute: i == 1, Threads: 1})
				check(err)
				for _, w := range c.Weights {
					grads[i] = append(grads[i], format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
				}
				losses[i], err = e.Step(c.Weights, batch, grads[i])
				check(err)
				check(e.Close())
			}
			if losses[0] != losses[1] {
				t.Errorf("%s, %s: the loss is %g, with recomputation %g", name, engine, losses[0], losses[1])
			}
			for k, g := range grads[0] {
				x, err := g.Float32s()
				check(err)
				y, err := grads[1][k].Float32s()
				check(err)
				off, size := 0.0, 0.0
				for i := range x {
					off, size = max(off, math.Abs(float64(x[i]-y[i]))), max(size, math.Abs(float64(x[i])))
				}
				if !(off <= 1e-6*max(size, 1e-3)) {
					t.Errorf("%s, %s: the gradient of %s, of size %g, differs by %g", name, engine, g.Name, size, off)
				}
			}
		}
	}
}

// ONNX Runtime neither merges what is computed again with its first computation,
// nor computes it before the backward pass.
func TestRecomputeInOrder(t *testing.T) {
	onnxRuntime(t)
	c, batch, step := deep(t, "gpt2")
	less, err := graph.Recompute(step)
	check(err)
	want := 0
	for _, n := range less.Nodes {
		if strings.HasPrefix(n.Name(), "again.") && product(n.Op) {
			want++
		}
	}
	profile := filepath.Join(t.TempDir(), "profile")
	e, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{Recompute: true, Threads: 1, Profile: profile})
	check(err)
	var grads []format.Tensor
	for _, w := range c.Weights {
		grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
	}
	_, err = e.Step(c.Weights, batch, grads)
	check(err)
	check(e.Close())
	files, err := filepath.Glob(profile + "*")
	check(err)
	text, err := os.ReadFile(files[0])
	check(err)
	var events []struct {
		Name string
		Cat  string
		Args struct {
			Op string `json:"op_name"`
		}
	}
	check(json.Unmarshal(text, &events))
	again, forward := 0, 0
	for _, v := range events {
		if v.Cat != "Node" || !strings.HasSuffix(v.Name, "_kernel_time") || v.Args.Op != "Gemm" && v.Args.Op != "MatMul" && v.Args.Op != "FusedMatMul" {
			continue
		}
		switch {
		case strings.HasPrefix(v.Name, "again."):
			again++
		case !strings.Contains(v.Name, "grad."):
			if forward++; again > 0 {
				t.Errorf("%s is computed after a block was computed again", v.Name)
			}
		}
	}
	if again != want || want == 0 || forward == 0 {
		t.Errorf("ONNX Runtime computes %d products again, the graph %d; %d of the forward pass", again, want, forward)
	}
}

func product(op graph.Op) bool { return op.Name() == "Gemm" || op.Name() == "MatMul" }

// Without a backward pass nothing is computed again, and the graph stays.
func TestRecomputeNothing(t *testing.T) {
	c, _, _ := deep(t, "gpt2")
	g, err := model.Evaluation(c.Graph, map[string]int{"B": 2, "T": 24})
	check(err)
	same, err := graph.Recompute(g)
	check(err)
	if same != g {
		t.Error("an evaluation changed")
	}
	text, err := json.Marshal(train.DefaultOptions(1))
	check(err)
	if strings.Contains(string(text), "recompute") {
		t.Errorf("a checkpoint without recomputation names it: %s", text)
	}
}
