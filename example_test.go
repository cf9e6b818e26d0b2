package attnx_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// trained is the model of Example_train, made once for all examples.
var trained = sync.OnceValue(func() *model.Checkpoint {
	text := fixtures.Notes() // short sentences, such as "they do not like hate milk"
	tok, err := tokens.Train(tokens.Word, text, 0)
	check(err)
	sizes, err := arch.Preset("tiny")
	check(err)
	network, err := arch.New("gpt2", sizes, tok.VocabSize())
	check(err)
	data, err := train.FromText(text, tok, sizes.Context)
	check(err)
	first, err := train.Start(network, tok, 1)
	check(err)
	c, err := gorgonia.Fit(context.Background(), first, data, train.DefaultOptions(400), nil)
	check(err)
	return c
})

func TestMain(m *testing.M) {
	if run := os.Getenv(envResume); run != "" {
		resumeAndKill(run, os.Getenv(envEngine))
	}
	memory.CollectFrom(64 << 20) // collecting each few megabytes would take a third of the time
	code := m.Run()
	os.RemoveAll(folder())
	os.Exit(code)
}

// folder is for the examples' files.
var folder = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "attnx-examples")
	check(err)
	return dir
})

// Verify a model and have it continue a text: what the commands do, in ten lines.
func Example() {
	ctx, path := context.Background(), filepath.Join(folder(), "model.safetensors")
	check(trained().Save(path))

	c, err := attnx.Load(path, nil)
	check(err)
	report, err := attnx.Verify(ctx, c, nil, attnx.VerifyOptions{Runtimes: []string{"ref", "onnx-go"}})
	check(err)
	text, err := attnx.Open(path, attnx.Options{})
	check(err)
	defer text.Close()
	out, err := text.Generate(ctx, []string{"they do not like"}, attnx.Generation{MaxTokens: 1})
	check(err)
	fmt.Println(report.Verdict, "they do not like"+out[0].Text)
	// Output: pass they do not like hate
}

// Define a network and train it on text.
func Example_train() {
	text := fixtures.Notes()
	tok, err := tokens.Train(tokens.Word, text, 0)
	check(err)
	sizes, err := arch.Preset("tiny")
	check(err)
	network, err := arch.New("gpt2", sizes, tok.VocabSize())
	check(err)
	data, err := train.FromText(text, tok, sizes.Context)
	check(err)
	c, err := train.Start(network, tok, 1)
	check(err)
	var last train.Event
	c, err = gorgonia.Fit(context.Background(), c, data, train.DefaultOptions(50), func(e train.Event) { last = e })
	check(err)
	fmt.Println(c.Step, "steps, the loss fell below 3.4:", last.Loss < 3.4)
	// Output: 50 steps, the loss fell below 3.4: true
}

// Save a model and load it again.
func Example_save() {
	c := trained()
	path := filepath.Join(folder(), "checkpoint.safetensors")
	check(c.Save(path))
	again, err := model.Load(path)
	check(err)
	fmt.Println(again.Arch, "after", again.Step, "steps")
	fmt.Println("same weights:", again.Weights.Hash() == c.Weights.Hash())
	// Output:
	// gpt2 after 400 steps
	// same weights: true
}

// Write a model as an ONNX file that needs nothing else, and as a folder for
// every runtime, and read the folder back.
func Example_export() {
	ctx, in := context.Background(), func(name string) string { return filepath.Join(folder(), name) }
	check(trained().Save(in("export.safetensors")))

	file, err := attnx.Export(ctx, in("export.safetensors"), in("model.onnx"), attnx.ExportOptions{})
	check(err)
	fmt.Println(file.Profile, "opset", file.Opset)
	_, err = attnx.Export(ctx, in("export.safetensors"), in("for-all")+"/", attnx.ExportOptions{})
	check(err)
	back, err := attnx.Convert(in("for-all"), in("back.safetensors"), attnx.ConvertOptions{})
	check(err)
	fmt.Println(back.Arch, "with", back.Rounding.Changed, "weights rounded")
	_, err = attnx.Export(ctx, in("back.safetensors"), in("back.safetensors"), attnx.ExportOptions{})
	fmt.Println("over what it reads:", err != nil)
	// Output:
	// plain opset 17
	// gpt2 with 0 weights rounded
	// over what it reads: true
}

// Prove an export: every logit of the runtime against the same network in
// float64.
func Example_verify() {
	c := trained()
	file, err := export.Bytes(c.Graph, c.Weights, export.Flat{})
	check(err)
	oracle, err := ref.New(c.Graph, c.Weights)
	check(err)
	onnxGo := runtime.Candidate{Name: "onnx-go", Open: func() (runtime.Session, error) { return onnxgo.OpenBytes(file) }}
	cases := runtime.Cases(c.Vocab(), c.Context(), 1)
	report, err := runtime.Verify(context.Background(), oracle, []runtime.Candidate{onnxGo}, cases)
	check(err)
	fmt.Println(report.Verdict, "against", report.Oracle)
	// Output: pass against ref-float64
}

// Continue a text.
func Example_generate() {
	c := trained()
	tok, err := tokens.Parse(c.Tokenizer)
	check(err)
	session, err := gorgonia.NewForward(c.Graph, c.Weights) // or ort.Open("model.onnx", ort.Options{})
	check(err)
	defer session.Close()
	sampler := model.Sampler{}
	options := decode.GenerateOptions{MaxTokens: 1, Pick: func(logits []float32, _ []int64, _, step int) (int, error) { return sampler.Pick(logits, step) }}
	prompts := [][]int64{tok.Encode("not like")}
	answers, err := decode.Generate(context.Background(), decode.Recompute(session, 1, c.Context()), prompts, options)
	check(err)
	text, err := tok.Decode(answers[0].IDs)
	check(err)
	fmt.Println("not like ->", text)
	// Output: not like -> hate
}

// Run an exported file in ONNX Runtime, which is fetched if it is not there.
// This example is compiled and not run: a machine may have neither the library
// nor the means to get it.
func Example_onnxRuntime() {
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	check(err)
	session, err := ort.Open("model.onnx", ort.Options{Library: lib.Path})
	check(err)
	defer session.Close()
	out, err := session.Run(runtime.NewCase(1, 8, 33, 1).Inputs()) // (1,8) ids below 33
	check(err)
	fmt.Println(out["logits"].Shape) // (1,8,33)
}

// Go on with texts with a cache, on the CPU or on a GPU: the keys and values of
// what was read stay where the model runs. Like the example before it, this one
// is compiled and not run.
func Example_cache() {
	c := trained()
	tok, err := tokens.Parse(c.Tokenizer)
	check(err)
	g, err := model.Cached(c.Graph, true) // the last token's logits alone
	check(err)
	file, err := export.Bytes(g, c.Weights, export.Cache{})
	check(err)
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	check(err)
	device, err := ort.OpenDeviceBytes(file, ort.Options{Library: lib.Path, Device: "auto"})
	check(err)
	defer device.Close()
	prompts := [][]int64{tok.Encode("not like"), tok.Encode("do")}
	decoder, err := decode.New(device, decode.Options{Batch: len(prompts), Context: c.Context()})
	check(err)
	sampler := model.Sampler{}
	answers, err := decode.Generate(context.Background(), decoder, prompts, decode.GenerateOptions{
		MaxTokens: 4,
		Pick:      func(logits []float32, _ []int64, _, step int) (int, error) { return sampler.Pick(logits, step) },
		OnToken:   func(sequence int, id int64) error { fmt.Println(sequence, id); return nil },
	})
	check(err)
	fmt.Println(len(answers))
}
