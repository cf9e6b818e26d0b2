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
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime/ref"
)

// withLoRA trains an adapter of the GPT-2 of transformers.
func withLoRA(t *testing.T, change func(*attnx.TrainOptions)) (*attnx.TrainResult, error) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "gpt2")
	check(os.CopyFS(folder, must(fs.Sub(fixtures.FS, "transformers_gpt2/whole"))))
	ids := make([]int64, 600)
	for i := range ids {
		ids[i] = int64(i*i*7+i/3) % 61
	}
	settings := train.DefaultOptions(8)
	settings.Batch, settings.LR, settings.MinLR, settings.SaveEvery = 4, 1e-2, 1e-3, 100
	o := attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "run"), Init: folder, Data: attnx.Corpus{Data: must(train.NewText(ids, 12))},
		LoRA: 3, Settings: settings, Engine: "gorgonia",
	}
	change(&o)
	return attnx.Train(t.Context(), o)
}

// oracleLogits returns the logits of a model in the oracle.
func oracleLogits(c *model.Checkpoint, ids []int64, shape []int) []float64 {
	o := must(ref.New(c.Graph, c.Weights))
	defer o.Close()
	name := role.Tokens.Name()
	return must(must(o.Run(map[string]format.Tensor{name: format.FromInt64s(name, shape, ids)}))[role.Logits.Name()].AsFloat64s())
}

// furthest returns the largest difference.
func furthest(a, b []float64) (d float64) {
	for i := range a {
		d = max(d, math.Abs(a[i]-b[i]))
	}
	return d
}

// An adapter is trained beside weights that keep their bits, resumes to the bit,
// and computes the same merged as apart.
func TestTrainLoRA(t *testing.T) {
	folder, resume := "", ""
	whole := must(withLoRA(t, func(o *attnx.TrainOptions) {
		folder = o.Init
		ctx, stop := context.WithCancel(t.Context())
		halted := *o
		halted.Out += "2"
		halted.Events.Step = func(m attnx.Metric) {
			if m.Step == 3 {
				stop()
			}
		}
		if _, err := attnx.Train(ctx, halted); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		resume = must(attnx.Resume(t.Context(), halted.Out, attnx.ResumeOptions{Data: o.Data})).Checkpoint
	}))
	if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(resume))) {
		t.Error("the resumed run ended with other bytes")
	}
	c, old := must(model.Load(whole.Checkpoint)), must(attnx.Load(folder, nil))
	for _, w := range old.Weights {
		if i := slices.IndexFunc(c.Weights, func(x format.Tensor) bool { return x.Name == w.Name }); i < 0 || !bytes.Equal(c.Weights[i].Data, w.Data) {
			t.Errorf("%s changed", w.Name)
		}
	}
	if len(c.LoRA.Targets) != 8 || len(c.Train.Moments) != 2*2*8 {
		t.Errorf("%d targets, %d moments", len(c.LoRA.Targets), len(c.Train.Moments))
	}
	to := filepath.Join(t.TempDir(), "merged.safetensors")
	must(attnx.Convert(whole.Run, to, attnx.ConvertOptions{Merge: true}))
	merged := must(model.Load(to))
	ids, shape := []int64{3, 1, 4, 1, 5, 9, 2, 6}, []int{1, 8}
	apart, together, before := oracleLogits(c, ids, shape), oracleLogits(merged, ids, shape), oracleLogits(old, ids, shape)
	if d := furthest(apart, together); !(d <= 1e-5) || merged.LoRA != nil || len(merged.Weights) != len(old.Weights) {
		t.Errorf("merged, the logits are %g from those apart", d)
	}
	if d := furthest(apart, before); d < 1e-2 {
		t.Errorf("the adapter moves the logits by %g", d)
	}
}

func TestTrainLoRARefuses(t *testing.T) {
	for want, change := range map[string]func(*attnx.TrainOptions){
		"rank 100 is more than weight":             func(o *attnx.TrainOptions) { o.LoRA = 100 },
		"an adapter of rank -1":                    func(o *attnx.TrainOptions) { o.LoRA = -1 },
		"no matrix of a product has such a name":   func(o *attnx.TrainOptions) { o.LoRATargets = []string{"wte*"} },
		"is no pattern":                            func(o *attnx.TrainOptions) { o.LoRATargets = []string{"[a"} },
		"LoRA is missing":                          func(o *attnx.TrainOptions) { o.LoRA, o.LoRAAlpha = 0, 2 },
		"every weight that the loss depends on is": func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"*"} },
		"take a positive number":                   func(o *attnx.TrainOptions) { o.LoRAAlpha = math.Inf(1) },
	} {
		if _, err := withLoRA(t, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	run := must(withLoRA(t, func(o *attnx.TrainOptions) { o.Settings.Steps = 1 })).Run
	if _, err := attnx.Convert(run, filepath.Join(t.TempDir(), "folder"), attnx.ConvertOptions{}); err == nil || !strings.Contains(err.Error(), attnx.MergeAdapter) {
		t.Errorf("a folder of a model with an adapter: %v", err)
	}
}

// PEFT opens the adapter and computes the same logits.
func TestAdapterInPEFT(t *testing.T) {
	folder := ""
	run := must(withLoRA(t, func(o *attnx.TrainOptions) { folder = o.Init })).Run
	adapter := filepath.Join(t.TempDir(), "adapter")
	must(attnx.Convert(run, adapter, attnx.ConvertOptions{Adapter: true}))
	peftLogits(t, folder, adapter, run, false)
}

// peftLogits compares the logits of a run with those that PEFT computes with its adapter, if
// there is a Python with peft. head says that the adapter changes the head too.
func peftLogits(t *testing.T, folder, adapter, run string, head bool) {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON_PEFT")
	if python == "" {
		python = os.Getenv("ATTNX_PYTHON")
	}
	if python == "" {
		t.Skip("neither ATTNX_PYTHON_PEFT nor ATTNX_PYTHON names a Python with peft")
	}
	record := filepath.Join(t.TempDir(), "logits.json")
	cmd := exec.Command(python, filepath.Join("fixtures", "oracle", "check_adapter.py"), folder, adapter, record)
	if out, err := cmd.CombinedOutput(); err != nil {
		if cmd.ProcessState.ExitCode() == 3 {
			t.Skipf("%s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct {
		IDs                   [][]int64
		Logits, Plain, Merged [][][]float64
		Targets, Linear       []string
	}
	check(json.Unmarshal(must(os.ReadFile(record)), &got))
	flat := func(x [][][]float64) []float64 { return slices.Concat(slices.Concat(x...)...) }
	ours := oracleLogits(must(attnx.Load(run, nil)), slices.Concat(got.IDs...), []int{len(got.IDs), len(got.IDs[0])})
	apart, merged, plain := furthest(ours, flat(got.Logits)), furthest(ours, flat(got.Merged)), furthest(ours, flat(got.Plain))
	if head {
		got.Linear = append(got.Linear, "lm_head")
		slices.Sort(got.Linear)
	}
	if !slices.Equal(got.Targets, got.Linear) {
		t.Errorf("without patterns an adapter changes %q, PEFT's all-linear %q", got.Targets, got.Linear)
	}
	t.Logf("logits from PEFT's: %.2g, merged %.2g; without the adapter %.2g", apart, merged, plain)
	if !(apart <= 1e-4) || !(merged <= 1e-4) || plain < 1e-2 {
		t.Errorf("logits from PEFT's: %g, merged %g; without the adapter %g", apart, merged, plain)
	}
}

// An adapter in PEFT's folder is read back to the bit, merges as before, and is trained
// further over a frozen base.
func TestReadAdapter(t *testing.T) {
	folder := ""
	run := must(withLoRA(t, func(o *attnx.TrainOptions) { folder, o.Settings.Steps = o.Init, 2 }))
	adapter := filepath.Join(filepath.Dir(folder), "adapter") // beside its base
	must(attnx.Convert(run.Run, adapter, attnx.ConvertOptions{Adapter: true}))
	to := func(name, from string, merge bool) string {
		path := filepath.Join(t.TempDir(), name)
		must(attnx.Convert(from, path, attnx.ConvertOptions{Merge: merge}))
		return must(model.Load(path)).Weights.Hash()
	}
	if a, b := to("a.safetensors", adapter, false), to("b.safetensors", run.Run, false); a != b {
		t.Error("the adapter read back has other weights")
	}
	if a, b := to("a.safetensors", adapter, true), to("b.safetensors", run.Run, true); a != b {
		t.Error("the adapter read back merges to other weights")
	}
	more := must(withLoRA(t, func(o *attnx.TrainOptions) { o.Init, o.LoRA, o.Settings.Steps = adapter, 0, 2 }))
	c := must(model.Load(more.Checkpoint))
	if len(c.Train.Moments) != 2*2*8 || c.LoRA.Rank != 3 {
		t.Errorf("%d moments, rank %d", len(c.Train.Moments), c.LoRA.Rank)
	}
	config := filepath.Join(adapter, "adapter_config.json")
	text := must(os.ReadFile(config))
	for want, change := range map[string][2]string{
		"DoRA is not supported":            {`"peft_type"`, `"use_dora": true, "peft_type"`},
		"is not here":                      {`"gpt2"`, `"elsewhere/model"`},
		`peft_type "IA3" is not supported`: {`"LORA"`, `"IA3"`},
		"rank_pattern is not supported":    {`"peft_type"`, `"rank_pattern": {"c_attn": 4}, "peft_type"`},
		"its shape is [3 24]":              {`"r": 3`, `"r": 4`},
	} {
		check(os.WriteFile(config, bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1])), 0o600))
		if _, err := attnx.Convert(adapter, filepath.Join(t.TempDir(), "x.safetensors"), attnx.ConvertOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// ONNX Runtime puts the matrices of its adapter file in the place of those of an
// exported file.
func TestAdapterInONNXRuntime(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with onnxruntime")
	}
	dir := t.TempDir()
	export := func(name string, steps int) (file, run string) {
		run = must(withLoRA(t, func(o *attnx.TrainOptions) { o.Settings.Steps, o.Settings.Warmup = steps, 0 })).Run
		file = filepath.Join(dir, name)
		must(attnx.Export(t.Context(), run, file, attnx.ExportOptions{Profile: export.Plain{AdapterInputs: true}}))
		return file, run
	}
	whole, run := export("whole.onnx", 6)
	other, _ := export("other.onnx", 1)
	adapter := filepath.Join(dir, "a.onnx_adapter")
	must(attnx.Convert(run, adapter, attnx.ConvertOptions{}))
	out, err := exec.Command(python, filepath.Join("fixtures", "oracle", "check_ort_adapter.py"), whole, other, adapter).CombinedOutput()
	var with, without float64
	if err == nil {
		_, err = fmt.Sscan(string(out), &with, &without)
	}
	if err != nil || with > 1e-5 || without < 1e-3 {
		t.Errorf("with the adapter the logits differ by %g, without by %g: %v\n%s", with, without, err, out)
	}
}

// characters returns a tokenizer with as many tokens as are named, a character each.
func characters(count int) *tokens.Tokenizer {
	text := ""
	for i := range count {
		text += string(rune('!' + i))
	}
	for ; ; text = text[1:] {
		if t := must(tokens.Train(tokens.Char, text, 0)); t.VocabSize() == count {
			return t
		}
	}
}

// untiedLlama writes the folder of a small llama with a head of its own.
func untiedLlama(t *testing.T) string {
	dir := t.TempDir()
	file, base := filepath.Join(dir, "base.safetensors"), filepath.Join(dir, "llama")
	const config = `{"vocab_size":61,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":2,"head_dim":8,"hidden_act":"silu","rms_norm_eps":1e-5,"rope_parameters":{"rope_type":"default","rope_theta":10000},"intermediate_size":24,"max_position_embeddings":16,"tie_word_embeddings":false}`
	check(must(model.New(must(arch.Parse("llama", []byte(config))), 1)).Save(file))
	must(attnx.Convert(file, base, attnx.ConvertOptions{}))
	return base
}

// PEFT's folder of an adapter has the rows of added tokens, and those that were trained
// beside it, as PEFT saves them: the whole table, under the name that PEFT's layer has where
// the adapter changes it. The tokenizer is there wherever tokens were added. PEFT computes
// the same logits, and the adapter read back is that of the run.
func TestAdapterOfTokens(t *testing.T) {
	wte, embed, head := "transformer.wte.weight", "model.embed_tokens.weight", "lm_head.base_layer.weight"
	for _, at := range []struct {
		tokens, rows int
		change       func(*attnx.TrainOptions)
		whole        []string
	}{
		{61, 62, func(*attnx.TrainOptions) {}, []string{wte}},
		{61, 62, func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"!*wte*"} }, []string{wte}},
		{10, 61, func(*attnx.TrainOptions) {}, nil},
		{10, 61, func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"!*wte*"} }, []string{wte}},
		{60, 61, func(*attnx.TrainOptions) {}, nil}, // the last row to spare
		{61, 62, func(o *attnx.TrainOptions) { o.Init, o.LoRATargets = untiedLlama(t), []string{"*"} }, []string{embed, head}},
	} {
		folder := ""
		run := must(withLoRA(t, func(o *attnx.TrainOptions) {
			o.AddTokens, o.Tokenizer = []string{"<new>"}, characters(at.tokens)
			at.change(o)
			folder = o.Init
		})).Run
		adapter := filepath.Join(filepath.Dir(folder), "adapter")
		must(attnx.Convert(run, adapter, attnx.ConvertOptions{Adapter: true}))
		r := must(format.NewMemoryReader(must(os.ReadFile(filepath.Join(adapter, "adapter_model.safetensors")))))
		c := must(attnx.Load(run, nil))
		var whole []string
		for _, x := range r.Tensors() {
			if name := strings.TrimPrefix(x.Name, "base_model.model."); !strings.Contains(name, ".lora_") {
				whole = append(whole, name)
			}
		}
		if slices.Sort(whole); !slices.Equal(whole, slices.Sorted(slices.Values(at.whole))) {
			t.Errorf("%d tokens: the adapter has %q whole, expected %q", at.tokens, whole, at.whole)
		}
		if _, err := os.Stat(filepath.Join(adapter, "tokenizer.json")); err != nil || c.IDs() != at.rows {
			t.Errorf("%d tokens, %d rows: %v", at.tokens, c.IDs(), err)
		}
		back := filepath.Join(t.TempDir(), "back.safetensors")
		must(attnx.Convert(adapter, back, attnx.ConvertOptions{}))
		read := must(model.Load(back))
		if a, b := read.Weights.Hash(), c.Weights.Hash(); a != b {
			t.Errorf("%d tokens, %q whole: the adapter read back has other weights", at.tokens, whole)
		}
		if n := must(tokens.Parse(read.Tokenizer)).VocabSize(); n != at.tokens+1 {
			t.Errorf("%d tokens read back, expected %d", n, at.tokens+1)
		}
		t.Run("PEFT", func(t *testing.T) { peftLogits(t, folder, adapter, run, slices.Contains(whole, head)) })
	}
}
