package attnx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
)

// handedRun is a run that is handed over.
type handedRun struct {
	arch  string
	sizes arch.Sizes
	data  string // the name of the file; .jsonl has prompts
	set   func(o *train.Options)
	flags []string // of the script
}

var handedRuns = map[string]handedRun{
	"text": {arch: "gpt2", data: "notes.txt", set: func(o *train.Options) {}},
	"prompts in epochs": {arch: "llama", sizes: arch.Sizes{Heads: 4, KVHeads: 2}, data: "pairs.jsonl", set: func(o *train.Options) {
		o.Epochs, o.Accumulate, o.Smoothing, o.Clip, o.Schedule = 30, 2, 0.1, 0.3, train.Linear
		o.Freeze = []string{"*norm*"}
	}, flags: []string{"--fsdp"}},
	"text in epochs": {arch: "gpt2", data: "notes.txt", set: func(o *train.Options) {
		o.Epochs, o.Schedule = 12, train.WarmupStableDecay
	}},
}

// options returns the settings of a run in dir, with its data.
func (h handedRun) options(dir string, steps int) attnx.TrainOptions {
	path := filepath.Join(dir, h.data)
	text := fixtures.Notes()
	if filepath.Ext(path) == ".jsonl" {
		text = ""
		for i := range 40 {
			text += fmt.Sprintf(`{"prompt": "%d+%d=", "completion": "%d."}`+"\n", i, 7*i, 8*i)
		}
	}
	check(os.WriteFile(path, []byte(text), 0o666))
	o := train.DefaultOptions(steps)
	o.Batch, o.SaveEvery, o.Keep, o.Seed, o.EvalEvery = 4, 1<<20, 9, 3, 1<<20
	h.set(&o)
	if o.Epochs > 0 {
		o.Steps = 0
	}
	sizes := h.sizes
	sizes.Width, sizes.Layers = 16, 2
	return attnx.TrainOptions{
		Data: attnx.Corpus{Files: []string{path}, Glob: "*"}, Settings: o, Engine: "gorgonia",
		Arch: h.arch, Sizes: sizes, Context: 16,
	}
}

// stoppedAt trains until a step is done.
func stoppedAt(t *testing.T, o attnx.TrainOptions, step int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o.Events.Step = func(m attnx.Metric) {
		if m.Step == step {
			stop()
		}
	}
	if _, err := attnx.Train(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("not stopped at step %d: %v", step, err)
	}
}

// lastOf returns the last checkpoint of a run.
func lastOf(r *attnx.TrainResult, err error) *model.Checkpoint {
	check(err)
	return must(model.Load(r.Checkpoint))
}

// A run that is written for PyTorch and taken back, with nothing done in between, ends
// with the weights and moments of one that is left alone.
func TestHandedOverAndBack(t *testing.T) {
	for name, h := range handedRuns {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := h.options(dir, 12)
			o.Out = filepath.Join(dir, "whole")
			want := lastOf(attnx.Train(t.Context(), o))
			o.Out = filepath.Join(dir, "run")
			stoppedAt(t, o, 5)
			handed := filepath.Join(dir, "handed")
			_, err := attnx.Convert(o.Out, handed, attnx.ConvertOptions{To: attnx.ToTorch})
			check(err)
			got := lastOf(attnx.Resume(t.Context(), handed, attnx.ResumeOptions{}))
			if got.Step != want.Step || got.Weights.Hash() != want.Weights.Hash() || model.Weights(got.Train.Moments).Hash() != model.Weights(want.Train.Moments).Hash() {
				t.Errorf("step %d with other weights or moments than at step %d", got.Step, want.Step)
			}
			a, b := must(os.ReadFile(filepath.Join(dir, "whole", "metrics.jsonl"))), must(os.ReadFile(filepath.Join(handed, "metrics.jsonl")))
			if bytes.Count(a, []byte("\n")) != bytes.Count(b, []byte("\n")) {
				t.Error("the metrics have not all steps")
			}
		})
	}
}

// What cannot be handed over, and folders that are broken, are refused by what is
// wrong, and nothing is written.
func TestHandOverRefused(t *testing.T) {
	dir := t.TempDir()
	h := handedRuns["text"]
	refused := func(name string, change func(*attnx.TrainOptions), says string) {
		o := h.options(dir, 2)
		o.Out = filepath.Join(dir, name)
		change(&o)
		_, err := attnx.Train(t.Context(), o)
		check(err)
		to := filepath.Join(dir, name+" handed")
		_, err = attnx.Convert(o.Out, to, attnx.ConvertOptions{To: attnx.ToTorch})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; it should say %q", name, err, says)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a folder is left: %v", name, err)
		}
	}
	refused("dropout", func(o *attnx.TrainOptions) { o.Settings.Dropout = 0.5 }, "dropout")
	refused("simple", func(o *attnx.TrainOptions) { o.Arch, o.Sizes = "simple", arch.Sizes{} }, `no architecture "simple"`)

	o := h.options(dir, 2)
	o.Out = filepath.Join(dir, "run")
	_, err := attnx.Train(t.Context(), o)
	check(err)
	for what, c := range map[string]attnx.ConvertOptions{
		"torch writes a run as it is": {To: attnx.ToTorch, Merge: true},
		"take torch":                  {To: "jax"},
	} {
		if _, err := attnx.Convert(o.Out, filepath.Join(dir, "no"), c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v; it should say %q", c, err, what)
		}
	}
	if _, err := attnx.Convert(filepath.Join(dir, "notes.txt"), filepath.Join(dir, "no"), attnx.ConvertOptions{To: attnx.ToTorch}); err == nil {
		t.Error("a text is handed over")
	}
	good := filepath.Join(dir, "good")
	_, err = attnx.Convert(o.Out, good, attnx.ConvertOptions{To: attnx.ToTorch})
	check(err)
	for name, c := range map[string]struct {
		change func(folder string)
		says   string
	}{
		"no moments":     {func(f string) { check(os.Remove(filepath.Join(f, "optimizer.safetensors"))) }, "no moments"},
		"later version":  {func(f string) { replaceIn(filepath.Join(f, "training.json"), `"version": 1`, `"version": 2`) }, "version 2"},
		"another batch":  {func(f string) { replaceIn(filepath.Join(f, "training.json"), `"step": 2`, `"step": 1`) }, "mix of two"},
		"no JSON":        {func(f string) { check(os.WriteFile(filepath.Join(f, "training.json"), []byte("{"), 0o666)) }, "training.json"},
		"endless":        {func(f string) { check(os.Truncate(filepath.Join(f, "training.json"), 1<<24)) }, "more than"},
		"other settings": {func(f string) { replaceIn(filepath.Join(f, "training.json"), `"batch": 4`, `"batch": -4`) }, "-4 sequences"},
		"moments of another": {func(f string) {
			from, to := filepath.Join(f, "model", "model.safetensors"), filepath.Join(f, "optimizer.safetensors")
			check(os.WriteFile(to, must(os.ReadFile(from)), 0o666))
		}, "cannot be resumed"},
	} {
		folder := filepath.Join(dir, name)
		check(os.CopyFS(folder, os.DirFS(good)))
		c.change(folder)
		_, err := attnx.Resume(t.Context(), folder, attnx.ResumeOptions{Steps: 4})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v; it should name the folder and say %q", name, err, c.says)
		}
		if saved, _ := filepath.Glob(filepath.Join(folder, "step-*")); len(saved) > 0 {
			t.Errorf("%s: a checkpoint is written: %q", name, saved)
		}
	}
}

// replaceIn replaces the first occurrence of a text in a file.
func replaceIn(path, old, now string) {
	b := must(os.ReadFile(path))
	if !bytes.Contains(b, []byte(old)) {
		panic(fmt.Sprintf("%s has no %q: %s", path, old, b))
	}
	check(os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(now), 1), 0o666))
}

// Two processes of PyTorch go on from a run for fifty steps, and attnx for fifty more:
// each loss equals that of an uninterrupted run. The processes copy the model, or share it.
func TestPyTorchGoesOn(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" || !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1 and ATTNX_PYTHON to a Python with torch and transformers, to go on in PyTorch")
	}
	if exec.Command(python, "-c", "import torch, transformers").Run() != nil {
		t.Skip("this Python has no torch or no transformers")
	}
	for name, h := range handedRuns {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := h.options(dir, 110)
			o.Out = filepath.Join(dir, "whole")
			if steps := lastOf(attnx.Train(t.Context(), o)).Step; steps < 105 {
				t.Fatalf("only %d steps", steps)
			}
			o.Out = filepath.Join(dir, "run")
			stoppedAt(t, o, 5)
			handed := filepath.Join(dir, "handed")
			_, err := attnx.Convert(o.Out, handed, attnx.ConvertOptions{To: attnx.ToTorch})
			check(err)
			back := filepath.Join(dir, "back")
			together(t, python, append([]string{handed, "--out", back, "--until", "55"}, h.flags...))
			_, err = attnx.Resume(t.Context(), back, attnx.ResumeOptions{})
			check(err)
			want, got := lossesOf(filepath.Join(dir, "whole")), lossesOf(back)
			if len(got) != len(want) {
				t.Fatalf("%d steps, expected %d", len(got), len(want))
			}
			for i := range got {
				if d := math.Abs(got[i] - want[i]); !(d <= 1e-4) {
					t.Fatalf("the loss of step %d is %g, expected %g", i+1, got[i], want[i])
				}
			}
		})
	}
}

// together runs the script in two processes that meet in a file and talk over the
// loopback.
func together(t *testing.T, python string, args []string) {
	t.Helper()
	meet := "file://" + filepath.Join(t.TempDir(), "meet")
	var all []*exec.Cmd
	for rank := range 2 {
		cmd := exec.Command(python, append([]string{"-B", filepath.Join("fixtures", "distributed", "train.py"), "--init-method", meet}, args...)...)
		cmd.Env = append(os.Environ(), fmt.Sprint("RANK=", rank), fmt.Sprint("LOCAL_RANK=", rank), "WORLD_SIZE=2", "OMP_NUM_THREADS=1", "GLOO_SOCKET_IFNAME=lo")
		cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
		check(cmd.Start())
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", err, cmd.Stderr)
		}
	}
}

// lossesOf returns the losses of a run's steps.
func lossesOf(run string) (losses []float64) {
	d := json.NewDecoder(bytes.NewReader(must(os.ReadFile(filepath.Join(run, "metrics.jsonl")))))
	for d.More() {
		var m attnx.Metric
		check(d.Decode(&m))
		losses = append(losses, m.Loss)
	}
	return losses
}
