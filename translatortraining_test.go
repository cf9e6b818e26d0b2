package attnx_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// pairBatch is a batch of a translator in the files of train_translators.py.
type pairBatch struct {
	Source [][]int64 `json:"source"`
	Mask   [][]int64 `json:"mask"`
	Tokens [][]int64 `json:"tokens"`
	Labels [][]int64 `json:"labels"`
}

// of returns the rows of an input.
func (b *pairBatch) of() map[role.Kind]*[][]int64 {
	return map[role.Kind]*[][]int64{role.SourceTokens: &b.Source, role.SourceMask: &b.Mask, role.Tokens: &b.Tokens, role.Labels: &b.Labels}
}

// batch returns what an engine takes.
func (b *pairBatch) batch() train.Batch {
	out := train.Batch{}
	for kind, rows := range b.of() {
		out[kind] = format.FromInt64s(role.Of(kind).Name(), []int{len(*rows), len((*rows)[0])}, slices.Concat(*rows...))
	}
	return out
}

// The losses of a translator that learns are PyTorch's, step by step, in every engine:
// with padding on both sides, label smoothing, clipping and weight decay.
func TestTrainTranslatorAsPyTorch(t *testing.T) {
	dir := filepath.Join("fixtures", "train_translators")
	var golden struct {
		Cases []struct {
			Name    string
			Options train.Options
			Batches []*pairBatch
			Losses  []float64
		}
	}
	check(json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "golden.json"))), &golden))
	if len(golden.Cases) < 4 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, want := range golden.Cases {
		o := want.Options
		o.EvalBatches = 1
		var batches []train.Batch
		for _, b := range want.Batches {
			batches = append(batches, b.batch())
		}
		for _, engine := range []string{"gorgonia", "ort"} {
			c, _, err := huggingface.Read(filepath.Join(dir, want.Name))
			check(err)
			e, _, err := attnx.OpenEngine(engine, c, attnx.EngineOptions{Loss: o.Passes(), Threads: 1})
			if engine == "ort" && err != nil {
				t.Logf("without ONNX Runtime: %v", err)
				continue
			}
			check(err)
			data := must(train.NewPairs(backwards(20), backwards(2), 1, 1, 1))
			run := must(train.New(c, &given{Engine: e, batches: batches}, data, o))
			worst := 0.0
			for i, loss := range want.Losses {
				worst = max(worst, math.Abs(must(run.Step()).Loss-loss))
				if !(worst <= 1e-4) {
					t.Errorf("%s, %s: the loss of step %d is %g from PyTorch's", want.Name, engine, i+1, worst)
					break
				}
			}
			t.Logf("%s, %s: losses at most %.2g from PyTorch's", want.Name, engine, worst)
			check(e.Close())
		}
	}
}

// backwards returns pairs of ids from 2 to 19 whose target is the source backwards, without its
// second half if it is long. 0 ends a text.
func backwards(n int) (out []train.PairIDs) {
	for i := range n {
		var s []int64
		for j := range 1 + (i*i+i/3)%11 {
			s = append(s, int64(2+(i*7+j*j*5+j)%18))
		}
		target := slices.Clone(s)
		slices.Reverse(target)
		if len(s) > 5 {
			target = target[:len(s)/2]
		}
		out = append(out, train.PairIDs{Source: append(s, 0), Target: append(target, 0)})
	}
	return out
}

// The same with the first weights and the batches of attnx, as a run draws them from its
// seed: PyTorch gets both and has the same losses.
func TestTrainTranslatorInPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" || !fixtures.Exhaustive() {
		t.Skip("ATTNX_EXHAUSTIVE is not 1, or ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	script := filepath.Join("fixtures", "oracle", "train_translators.py")
	const vocab = 20
	sizes := arch.Sizes{Layers: 2, Width: 16, Heads: 2, Context: 16}
	t5 := must(arch.New("t5", sizes, vocab)).(arch.T5)
	gated := t5
	gated.FeedForward, gated.Untied, gated.Scaled = "gated-gelu", true, false
	for name, c := range map[string]struct {
		n      nn.Network
		change func(*train.Options)
	}{
		"t5":                   {t5, func(*train.Options) {}},
		"t5, smoothed":         {t5, func(o *train.Options) { o.Smoothing = 0.1 }},
		"t5, gated":            {gated, func(o *train.Options) { o.Smoothing, o.LR = 0.1, 3e-3 }},
		"t5, accumulated":      {t5, func(o *train.Options) { o.Smoothing, o.Accumulate, o.Batch = 0.1, 3, 7 }},
		"marian":               {must(arch.New("marian", sizes, vocab)), func(*train.Options) {}},
		"marian, smoothed":     {must(arch.New("marian", sizes, vocab)), func(o *train.Options) { o.Smoothing, o.LR = 0.1, 3e-3 }},
		"marian, accumulated":  {must(arch.New("marian", sizes, vocab)), func(o *train.Options) { o.Smoothing, o.Accumulate, o.Batch = 0.1, 3, 7 }},
		"marian, in one epoch": {must(arch.New("marian", sizes, vocab)), func(o *train.Options) { o.Epochs, o.Epoch = 11, 300 }},
	} {
		t.Run(name, func(t *testing.T) {
			o := train.DefaultOptions(100)
			o.Batch, o.EvalEvery, o.Seed = 32, 0, 3
			c.change(&o)
			first := must(model.New(c.n, o.Seed))
			pad := int64(1)
			first.Special = &model.Special{End: []int64{0}, Pad: &pad, Start: &pad}
			folder, path := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "run.json")
			must(huggingface.Write(folder, first, format.Float32))
			recordPairs(first, o, path)
			out, err := exec.Command(python, script, "--check", folder, path).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
			if name == "t5" { // the comparison sees what it is to see
				if out, err := exec.Command(python, script, "--check", folder, path, "--dropout").CombinedOutput(); err == nil {
					t.Errorf("with dropout in PyTorch the losses are the same: %s", out)
				}
			}
		})
	}
}

// The first weights of a translator are drawn as transformers draws them: the same are
// constant, and the others have the same deviation.
func TestTranslatorFirstWeights(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" || !fixtures.Exhaustive() {
		t.Skip("ATTNX_EXHAUSTIVE is not 1, or ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	sizes := arch.Sizes{Layers: 2, Width: 48, Heads: 4, Context: 16}
	t5 := must(arch.New("t5", sizes, 300)).(arch.T5)
	gated := t5
	gated.FeedForward, gated.Untied, gated.Scaled = "gated-gelu", true, false
	for _, n := range []nn.Network{t5, gated, must(arch.New("marian", sizes, 300))} {
		c := must(model.New(n, 5))
		pad := int64(1)
		c.Special = &model.Special{End: []int64{0}, Pad: &pad, Start: &pad}
		folder := filepath.Join(t.TempDir(), "first")
		must(huggingface.Write(folder, c, format.Float32))
		out, err := exec.Command(python, filepath.Join("fixtures", "oracle", "train_translators.py"), "--first", folder).CombinedOutput()
		if err != nil {
			t.Fatalf("%+v: %v\n%s", n, err, out)
		}
		t.Logf("%s: %s", n.Architecture(), out)
	}
}

// recordPairs trains a translator, and writes what it did to path.
func recordPairs(c *model.Checkpoint, o train.Options, path string) {
	e, _, err := attnx.OpenEngine("auto", c, attnx.EngineOptions{Loss: o.Passes(), Threads: 1})
	check(err)
	recorded := &pairRecorder{Engine: e}
	run := must(train.New(c, recorded, must(train.NewPairs(backwards(300), backwards(20), 1, 1, 1)), o))
	type step struct {
		Batches []*pairBatch `json:"batches"`
		LR      float64      `json:"lr"`
		Loss    float64      `json:"loss"`
	}
	var steps []step
	for range o.Steps {
		recorded.batches = nil
		event := must(run.Step())
		steps = append(steps, step{recorded.batches, event.LR, event.Loss})
	}
	check(e.Close())
	check(os.WriteFile(path, must(json.Marshal(map[string]any{"options": o, "steps": steps})), 0o666))
}

// pairRecorder is an engine that keeps the batches that it is given.
type pairRecorder struct {
	train.Engine
	batches []*pairBatch
}

func (e *pairRecorder) Step(weights []format.Tensor, b train.Batch, grads []format.Tensor) (float64, error) {
	kept := &pairBatch{}
	for kind, rows := range kept.of() {
		for row := range slices.Chunk(must(b[kind].Int64s()), b[kind].Shape[1]) {
			*rows = append(*rows, slices.Clone(row))
		}
	}
	e.batches = append(e.batches, kept)
	return e.Engine.Step(weights, b, grads)
}
