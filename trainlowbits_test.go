package attnx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime/ref"
)

// wholeBlocks is a network with rows of whole blocks.
func wholeBlocks() *model.Checkpoint {
	return must(model.New(arch.Llama{
		Vocab: 61, Context: 32, Width: 64, Inner: 96, Layers: 2, Heads: 4, KVHeads: 2, HeadWidth: 16, Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 1e4},
	}, 3))
}

// overIntegers trains an adapter over integers.
func overIntegers(t *testing.T, init string, change func(*attnx.TrainOptions)) (*attnx.TrainResult, error) {
	ids := make([]int64, 600)
	for i := range ids {
		ids[i] = int64(i*i*7+i/3) % 61
	}
	settings := train.DefaultOptions(6)
	settings.Batch, settings.LR, settings.MinLR, settings.SaveEvery = 4, 1e-2, 1e-3, 100
	o := attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "run"), Init: init, Data: attnx.Corpus{Data: must(train.NewText(ids, 12))},
		LoRA: 3, Settings: settings, Engine: "gorgonia",
	}
	change(&o)
	return attnx.Train(t.Context(), o)
}

// An adapter is trained over integers that keep their bits, resumes to the bit, and
// computes the same merged as apart.
func TestTrainLoRAOverIntegers(t *testing.T) {
	dir := t.TempDir()
	first, file := filepath.Join(dir, "m.safetensors"), filepath.Join(dir, "m.gguf")
	c := wholeBlocks()
	check(c.Save(first))
	must(gguf.Write(file, c, blocks.Q4_0))
	for _, at := range []struct {
		init  string
		bits  int
		low   *model.Checkpoint
		sizes string
	}{{file, 0, second(gguf.ReadLowBits(file)), "0.0 MB, 0.3 MB"}, {first, 8, must(gguf.Quantized(c, 8)), "0.1 MB, 0.2 MB"}} {
		said := ""
		whole := must(overIntegers(t, at.init, func(o *attnx.TrainOptions) {
			o.Quantize = at.bits
			o.Events.Tell = func(_ attnx.Level, line string) { said += line + "\n" }
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
			defer func(run string, data attnx.Corpus) {
				must(attnx.Resume(t.Context(), run, attnx.ResumeOptions{Data: data}))
				check(os.Rename(run, filepath.Join(dir, "resumed")))
			}(halted.Out, o.Data)
		}))
		resumed := filepath.Join(dir, "resumed")
		if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(filepath.Join(resumed, filepath.Base(whole.Checkpoint))))) {
			t.Error("the resumed run ended with other bytes")
		}
		check(os.RemoveAll(resumed))
		if !strings.Contains(said, fmt.Sprintf("%d matrices stay integers: %s as float32", len(at.low.LowBits), at.sizes)) {
			t.Errorf("said is %q", said)
		}
		now := must(model.Load(whole.Checkpoint))
		byName := map[string]format.Tensor{}
		for _, w := range now.Weights {
			byName[w.Name] = w
		}
		for _, w := range at.low.Weights {
			if !bytes.Equal(byName[w.Name].Data, w.Data) {
				t.Errorf("%s changed", w.Name)
			}
		}
		if len(now.Train.Moments) != 2*2*14 || len(now.LowBits) != len(at.low.LowBits) {
			t.Errorf("%d moments, %d weights are integers", len(now.Train.Moments), len(now.LowBits))
		}
		to := filepath.Join(t.TempDir(), "merged")
		must(attnx.Convert(whole.Run, to, attnx.ConvertOptions{Merge: true}))
		merged := must(attnx.Load(to, nil))
		ids, shape := []int64{3, 1, 4, 1, 5, 9, 2, 6}, []int{1, 8}
		apart, together, before := oracleLogits(now, ids, shape), oracleLogits(merged, ids, shape), oracleLogits(at.low, ids, shape)
		if d := furthest(apart, together); !(d <= 1e-5) || merged.LowBits != nil || merged.LoRA != nil {
			t.Errorf("merged, the logits are %g from those apart", d)
		}
		if d := furthest(apart, before); d < 1e-2 {
			t.Errorf("the adapter moves the logits by %g", d)
		}
	}
}

// second returns the first of three results.
func second(c *model.Checkpoint, _ []string, err error) *model.Checkpoint { return must(c, err) }

func TestTrainOverIntegersRefuses(t *testing.T) {
	dir := t.TempDir()
	first, run, int4, int8 := filepath.Join(dir, "m.safetensors"), "", filepath.Join(dir, "int4.onnx"), filepath.Join(dir, "int8.onnx")
	check(wholeBlocks().Save(first))
	run = must(overIntegers(t, first, func(o *attnx.TrainOptions) { o.Quantize, o.Settings.Steps = 4, 1 })).Run
	must(attnx.Export(t.Context(), first, int4, attnx.ExportOptions{Profile: export.Plain{Quantize: "int4"}}))
	must(attnx.Export(t.Context(), first, int8, attnx.ExportOptions{Profile: export.Plain{Quantize: "int8"}}))
	for want, change := range map[string]func(*attnx.TrainOptions){
		"Quantize is 5: take 8 or 4": func(o *attnx.TrainOptions) { o.Quantize = 5 },
		"has an adapter, or weights": func(o *attnx.TrainOptions) { o.Init, o.LoRA, o.Quantize = run, 2, 4 },
	} {
		if _, err := overIntegers(t, first, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	for _, change := range []func(*attnx.TrainOptions){
		func(o *attnx.TrainOptions) { o.LoRA, o.Quantize = 0, 4 },
		func(o *attnx.TrainOptions) { o.Init, o.LoRA, o.Loss, o.Output = int4, 0, "cross-entropy", "logits" },
		func(o *attnx.TrainOptions) { o.Init, o.LoRA, o.Loss, o.Output = int8, 0, "cross-entropy", "logits" },
	} {
		if _, err := overIntegers(t, first, change); !errors.Is(err, attnx.ErrIntegerWeights) {
			t.Error(err)
		}
	}
	low := *must(gguf.Quantized(wholeBlocks(), 4))
	path := filepath.Join(dir, "low.safetensors")
	check(low.Save(path))
	if _, err := overIntegers(t, path, func(o *attnx.TrainOptions) { o.LoRA = 0 }); !errors.Is(err, attnx.ErrIntegerWeights) {
		t.Error(err)
	}
	must(overIntegers(t, path, func(o *attnx.TrainOptions) { o.Settings.Steps = 1 })) // with an adapter
}

// A step over integers has the gradients of a step over the numbers that they stand
// for, and its backward pass keeps none of these numbers from the forward pass.
func TestStepExpandsAgain(t *testing.T) {
	low := must(must(gguf.Quantized(wholeBlocks(), 4)).WithLoRA(2, 4, nil, 1))
	wide := must(low.Expanded())
	var names []string
	for _, w := range low.LoRA.Targets {
		a, b := low.LoRA.Names(w)
		names = append(names, a, b)
	}
	for _, c := range []*model.Checkpoint{low, wide} { // B is 0 at first, and then A has no gradient
		for _, w := range c.Weights {
			if strings.HasSuffix(w.Name, ".lora_B.weight") {
				model.NewStream(5, w.Name).FillNormal(must(w.Float32s()), 0.02)
			}
		}
	}
	sizes := map[string]int{}
	for _, in := range low.Graph.Inputs {
		sizes[in.Shape[0].String()], sizes[in.Shape[1].String()] = 2, 8
	}
	ids := format.FromInt64s(role.Tokens.Name(), []int{2, 8}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 2})
	inputs := map[string]format.Tensor{ids.Name: ids, role.Labels.Name(): ids.WithName(role.Labels.Name())}
	run := func(c *model.Checkpoint) map[string]format.Tensor {
		o := must(ref.New(must(model.StepOf(c.Graph, sizes, names)), c.Weights))
		defer o.Close()
		return must(o.Run(inputs))
	}
	a, b := run(low), run(wide)
	for name := range a {
		x, y := must(a[name].AsFloat64s()), must(b[name].AsFloat64s())
		if d := furthest(x, y); !(d <= 1e-9) || furthest(x, make([]float64, len(x))) < 1e-6 {
			t.Errorf("%s is %g from that of float32 weights", name, d)
		}
	}
	g := must(model.StepOf(low.Graph, sizes, names))
	again, behind := 0, false
	for _, n := range g.Nodes {
		for _, v := range n.Args {
			if _, gated := graph.Is[graph.Where](v); gated && v.DType == format.Uint8 {
				again++
			}
			if behind && slices.ContainsFunc(low.LowBits, func(l graph.LowBits) bool { return l.Weight == v.Name }) {
				t.Errorf("%s reads %s of the forward pass", n.Name(), v.Name)
			}
		}
		behind = behind || n.Results[0].Name == role.Loss.Name()
	}
	if again != 14-3 { // the input of the first queries, keys and values is not learned
		t.Errorf("%d weights are expanded again", again)
	}
}

// PyTorch takes the same steps with PEFT's adapter over the numbers that the integers
// stand for.
func TestTrainOverIntegersInPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	file := filepath.Join(t.TempDir(), "m.gguf")
	must(gguf.Write(file, wholeBlocks(), blocks.Q4_0))
	low := second(gguf.ReadLowBits(file))
	folder, adapter, record := filepath.Join(t.TempDir(), "float"), filepath.Join(t.TempDir(), "adapter"), filepath.Join(t.TempDir(), "run.json")
	must(attnx.Convert(file, folder, attnx.ConvertOptions{}))
	c := must(low.WithLoRA(4, 16, nil, 1))
	check(huggingface.WriteAdapter(adapter, c, huggingface.BesideAdapter{}))
	o := train.DefaultOptions(100)
	o.Batch, o.EvalEvery, o.Freeze = 4, 0, []string{"*", "!*.lora_A.weight", "!*.lora_B.weight"}
	recordSteps(c, o, 16, 61, record)
	out, err := exec.Command(python, filepath.Join("fixtures", "oracle", "finetune.py"), "--check", folder, record, adapter).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// The same with the real SmolLM2 in Q4_1, of which the integers stay: eight steps, 100 with
// ATTNX_EXHAUSTIVE.
func TestSmolLM2OverIntegersInPython(t *testing.T) {
	python, file := os.Getenv("ATTNX_PYTHON"), os.Getenv("ATTNX_SMOLLM2")
	if python == "" || file == "" || !fixtures.Large() {
		t.Skip("ATTNX_LARGE is not set, or ATTNX_PYTHON or ATTNX_SMOLLM2 names nothing")
	}
	folder, adapter, record := filepath.Join(t.TempDir(), "float"), filepath.Join(t.TempDir(), "adapter"), filepath.Join(t.TempDir(), "run.json")
	must(attnx.Convert(file, folder, attnx.ConvertOptions{}))
	c := must(second(gguf.ReadLowBits(file)).WithLoRA(4, 8, nil, 1))
	check(huggingface.WriteAdapter(adapter, c, huggingface.BesideAdapter{}))
	o := train.DefaultOptions(8)
	if fixtures.Exhaustive() {
		o = train.DefaultOptions(100)
	}
	o.Batch, o.EvalEvery, o.LR, o.MinLR, o.Freeze = 2, 0, 3e-4, 3e-5, []string{"*", "!*.lora_A.weight", "!*.lora_B.weight"}
	recordSteps(c, o, 16, 2000, record)
	out, err := exec.Command(python, filepath.Join("fixtures", "oracle", "finetune.py"), "--check", folder, record, adapter).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// Packed integers and scaled ones decompose to standard operators that compute the same.
func TestIntegersDecompose(t *testing.T) {
	for _, bits := range []int{2, 4} {
		b := graph.NewBuilder()
		q := b.Apply(graph.UnpackBits{Bits: bits}, 1, b.Weight("q", format.Uint8, 3, 8))[0]
		scale := b.Param("scale", graph.Init{}, 3, 8/bits)
		zero := b.Apply(graph.UnpackBits{Bits: bits}, 1, b.Weight("zero", format.Uint8, 3, 1))[0]
		b.Output("w", b.Apply(graph.DequantizeLinear{Axis: 1, Block: 8, To: format.Float32}, 1, q, scale, zero)[0])
		g := must(b.Graph())
		plain := must(graph.Decompose(func(*graph.Node) bool { return false })(g))
		bytes := func(n int) (x []byte) {
			for i := range n {
				x = append(x, byte(37*i*i+11*i))
			}
			return x
		}
		weights := []format.Tensor{
			format.FromUint8s("q", []int{3, 8}, bytes(24)), format.FromFloat32s("scale", []int{3, 8 / bits}, make([]float32, 3*8/bits)), format.FromUint8s("zero", []int{3, 1}, bytes(3)),
		}
		model.NewStream(1, "scale").FillNormal(must(weights[1].Float32s()), 1)
		var got [2][]float64
		for i, g := range []*graph.Graph{g, plain} {
			o := must(ref.New(g, weights))
			got[i] = must(must(o.Run(nil))["w"].AsFloat64s())
			check(o.Close())
		}
		if d := furthest(got[0], got[1]); d != 0 || furthest(got[0], make([]float64, 24*8/bits)) == 0 || len(plain.Nodes) <= len(g.Nodes) {
			t.Errorf("%d bits: decomposed, the numbers differ by %g", bits, d)
		}
	}
}
