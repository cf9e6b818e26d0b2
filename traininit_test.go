package attnx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// beginner trains a model of three letters for a few steps.
func beginner(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "first")
	settings := train.DefaultOptions(4)
	settings.Batch = 2
	must(attnx.Train(t.Context(), attnx.TrainOptions{
		Out: out, Data: attnx.Corpus{Text: strings.Repeat("abc cba\n", 60)}, Settings: settings, Engine: "gorgonia",
	}))
	return out
}

// A run starts from a model with its tokenizer and new tokens. What is frozen
// keeps its bits and has no moments. It resumes to the same bits.
func TestTrainInit(t *testing.T) {
	first := beginner(t)
	old := must(attnx.Load(first, nil))
	settings := train.DefaultOptions(6)
	settings.Batch, settings.SaveEvery, settings.Freeze = 2, 100, []string{"h.*", "!h.1.*"}
	options := attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "whole"), Init: first, AddTokens: []string{"<x>"}, Context: 8,
		Data: attnx.Corpus{Text: strings.Repeat("abc<x>cba\n", 60)}, Settings: settings, Engine: "gorgonia",
	}
	whole := must(attnx.Train(t.Context(), options))
	ctx, stop := context.WithCancel(t.Context())
	options.Out = filepath.Join(t.TempDir(), "halted")
	options.Events.Step = func(m attnx.Metric) {
		if m.Step == 3 {
			stop()
		}
	}
	if _, err := attnx.Train(ctx, options); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	resumed := must(attnx.Resume(t.Context(), options.Out, attnx.ResumeOptions{Data: options.Data}))
	if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(resumed.Checkpoint))) {
		t.Error("the resumed run ended with other bytes")
	}

	c := must(model.Load(whole.Checkpoint))
	tok := must(tokens.Parse(c.Tokenizer))
	if ids := tok.Encode("a<x>b"); len(ids) != 3 || ids[1] != int64(old.Vocab()) || c.Vocab() != old.Vocab()+1 || tok.Token(ids[1]) != "<x>" {
		t.Errorf("<x> in ids %v of %d", ids, c.Vocab())
	}
	moments := map[string]bool{}
	for _, m := range c.Train.Moments {
		moments[m.Name] = true
	}
	for i, w := range c.Weights {
		frozen := strings.HasPrefix(w.Name, "h.0.")
		if same := bytes.Equal(w.Data, old.Weights[i].Data); same != frozen {
			t.Errorf("%s: frozen %t, unchanged %t", w.Name, frozen, same)
		}
		if moments["optim.m."+w.Name] == frozen {
			t.Errorf("%s: frozen %t, moments %t", w.Name, frozen, !frozen)
		}
	}
	o := must(train.Saved(c))
	if o.Init == nil || o.Init.SHA256 != old.Weights.Hash() || o.Init.Name != "first" || o.Init.Step != 4 || !slices.Equal(o.Init.Added, []string{"<x>"}) {
		t.Errorf("the run records %+v", o.Init)
	}
}

func TestTrainInitRefuses(t *testing.T) {
	first := beginner(t)
	text := filepath.Join(t.TempDir(), "text")
	check(os.WriteFile(text, []byte("abc\n"), 0o666))
	for want, change := range map[string]func(*attnx.TrainOptions){
		"Arch belongs to a new network":       func(o *attnx.TrainOptions) { o.Arch = "simple" },
		"take at most as many":                func(o *attnx.TrainOptions) { o.Context = 17 },
		"has the token \"a\" already":         func(o *attnx.TrainOptions) { o.AddTokens = []string{"a"} },
		"AddTokens belongs to Init":           func(o *attnx.TrainOptions) { o.Init, o.AddTokens = "", []string{"x"} },
		"every weight that the loss":          func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"*"} },
		"no weight has such a name":           func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"!q*"} },
		"it is no pattern":                    func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"[a"} },
		"it is a text, not a model":           func(o *attnx.TrainOptions) { o.Init = text },
		"texts":                               func(o *attnx.TrainOptions) { o.Init = text + "s" },
		"has a tokenizer, which its weights ": func(o *attnx.TrainOptions) { o.Tokenizer = must(tokens.Train(tokens.Char, "ab", 0)) },
	} {
		o := attnx.TrainOptions{
			Out: filepath.Join(t.TempDir(), "run"), Init: first, Data: attnx.Corpus{Text: strings.Repeat("abc cba\n", 60)},
			Settings: train.DefaultOptions(1), Engine: "gorgonia",
		}
		change(&o)
		_, err := attnx.Train(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		if _, err := os.Stat(o.Out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the run's folder was written", want)
		}
	}
}

// given is an engine that computes other batches than it is given.
type given struct {
	train.Engine
	batches []train.Batch
	step    int
}

func (e *given) Step(weights []format.Tensor, _ train.Batch, grads []format.Tensor) (float64, error) {
	e.step++
	return e.Engine.Step(weights, e.batches[(e.step-1)%len(e.batches)], grads)
}

// The losses of training that starts from a folder of transformers are those of
// PyTorch, step by step, in every engine.
func TestTrainInitAsPyTorch(t *testing.T) {
	golden := must(fixtures.Finetuning())
	folder := filepath.Join(t.TempDir(), "gpt2")
	check(os.CopyFS(folder, must(fs.Sub(fixtures.FS, "transformers_gpt2/whole"))))
	var batches []train.Batch
	for _, rows := range golden.Rows {
		var ids, labels []int64
		for _, row := range rows {
			n := len(row) - 1
			ids, labels = append(ids, row[:n]...), append(labels, row[1:]...)
		}
		batches = append(batches, train.TextBatch(len(rows), len(rows[0])-1, ids, labels))
	}
	data := must(train.NewText(make([]int64, 1000), 9))
	o := train.DefaultOptions(golden.Options.Steps)
	o.Batch, o.EvalEvery = 4, 0
	o.LR, o.MinLR, o.Warmup, o.Beta1, o.Beta2 = golden.Options.LR, golden.Options.MinLR, golden.Options.Warmup, golden.Options.Beta1, golden.Options.Beta2
	o.Epsilon, o.WeightDecay, o.Clip = golden.Options.Epsilon, golden.Options.WeightDecay, golden.Options.Clip
	for _, engine := range []string{"gorgonia", "ort"} {
		for _, want := range golden.Cases {
			c := must(attnx.Load(folder, nil))
			e, _, err := attnx.OpenEngine(engine, c, attnx.EngineOptions{})
			if engine == "ort" && err != nil {
				t.Logf("without ONNX Runtime: %v", err)
				continue
			}
			check(err)
			o.Freeze = want.Freeze
			run := must(train.New(c, &given{Engine: e, batches: batches}, data, o))
			worst := 0.0
			for i, loss := range want.Losses {
				worst = max(worst, math.Abs(must(run.Step()).Loss-loss))
				if !(worst <= 1e-4) {
					t.Errorf("%s, frozen %q: the loss of step %d is %g from PyTorch's", engine, want.Freeze, i+1, worst)
					break
				}
			}
			t.Logf("%s, frozen %q: losses at most %.2g from PyTorch's", engine, want.Freeze, worst)
			check(e.Close())
		}
	}
}

// The same with models that transformers makes now.
func TestTrainInitInPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	script := filepath.Join("fixtures", "oracle", "finetune.py")
	kinds := []string{"gpt2", "llama"}
	if fixtures.Exhaustive() {
		kinds = append(kinds, "distilgpt2", "distilgpt2 adapter", "llama adapter")
	}
	for _, kind := range kinds {
		name, adapted := strings.CutSuffix(kind, " adapter")
		folder := t.TempDir()
		if out, err := exec.Command(python, script, "--make", folder, name).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		c := must(attnx.Load(folder, nil))
		o := train.DefaultOptions(100)
		o.Batch, o.EvalEvery = 4, 0
		path := filepath.Join(t.TempDir(), "run.json")
		args := []string{script, "--check", folder, path}
		if adapted {
			c = must(c.WithLoRA(4, 16, nil, 1))
			args = append(args, filepath.Join(t.TempDir(), "adapter"))
			check(huggingface.WriteAdapter(args[4], c, huggingface.BesideAdapter{}))
			// With ten times the rate the losses are chaotic: rounding grows to 0.05.
			o.Freeze = []string{"*", "!*.lora_A.weight", "!*.lora_B.weight"}
		}
		recordSteps(c, o, 16, 61, path)
		out, err := exec.Command(python, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", kind, err, out)
		}
		t.Logf("%s: %s", kind, out)
	}
}

// recordSteps trains a model on ids below a bound, and writes what it did to path, for
// finetune.py.
func recordSteps(c *model.Checkpoint, o train.Options, length, bound int, path string) {
	ids := make([]int64, 600)
	for i := range ids {
		ids[i] = int64((i*i*7 + i/3) % bound)
	}
	e, _, err := attnx.OpenEngine("auto", c, attnx.EngineOptions{Threads: 1}) // a small network: threads would wait for one another
	check(err)
	recorded := &recorder{Engine: e}
	run := must(train.New(c, recorded, must(train.NewText(ids, length)), o))
	for range o.Steps {
		event := must(run.Step())
		s := &recorded.steps[len(recorded.steps)-1]
		s.LR, s.Loss = event.LR, event.Loss
	}
	check(e.Close())
	check(os.WriteFile(path, must(json.Marshal(map[string]any{"options": o, "steps": recorded.steps})), 0o666))
}

// recorder is an engine that keeps the batches that it is given.
type recorder struct {
	train.Engine
	steps []recordedStep
}

type recordedStep struct {
	IDs    [][]int64 `json:"ids"`
	Labels [][]int64 `json:"labels"`
	LR     float64   `json:"lr"`
	Loss   float64   `json:"loss"`
}

func (e *recorder) Step(weights []format.Tensor, b train.Batch, grads []format.Tensor) (float64, error) {
	rows := func(k role.Kind) (out [][]int64) {
		flat := must(b[k].Int64s())
		for row := range slices.Chunk(flat, b[k].Shape[1]) {
			out = append(out, slices.Clone(row))
		}
		return out
	}
	e.steps = append(e.steps, recordedStep{IDs: rows(role.Tokens), Labels: rows(role.Labels)})
	return e.Engine.Step(weights, b, grads)
}

// A run starts from the same model in each form: a GGUF file and an ONNX file without a
// loss of its own give the losses that the checkpoint gives.
func TestTrainInitForms(t *testing.T) {
	first := beginner(t)
	dir := t.TempDir()
	gguf, onnx := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "m.onnx")
	must(attnx.Convert(first, gguf, attnx.ConvertOptions{}))
	must(attnx.Export(t.Context(), first, onnx, attnx.ExportOptions{}))
	settings := train.DefaultOptions(2)
	settings.Batch = 2
	var want []attnx.Metric
	for _, init := range []string{first, gguf, onnx} {
		r, err := attnx.Train(t.Context(), attnx.TrainOptions{
			Out: filepath.Join(t.TempDir(), "run"), Init: init, Context: 8, Data: attnx.Corpus{Text: strings.Repeat("abc cba\n", 40)}, Settings: settings, Engine: "gorgonia",
		})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(init), err)
			continue
		}
		if want == nil {
			want = r.History
		}
		for i, m := range r.History {
			if math.Abs(m.Loss-want[i].Loss) > 1e-6 {
				t.Errorf("%s: step %d has the loss %g, the checkpoint's %g", filepath.Base(init), m.Step, m.Loss, want[i].Loss)
			}
		}
		c := must(model.Load(r.Checkpoint))
		if o := must(train.Saved(c)); o.Init == nil || o.Init.Name != filepath.Base(init) || len(c.Tokenizer) == 0 {
			t.Errorf("%s: started from %+v", filepath.Base(init), o.Init)
		}
	}
}
