package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ort"
)

// wild returns a network whose weights are far from its first ones, so that its
// texts wander.
func wild(t *testing.T, name string, context int) *model.Checkpoint {
	t.Helper()
	n, err := arch.New(name, arch.Sizes{Layers: 2, Heads: 4, Width: 32, Context: context}, 96)
	if err != nil {
		t.Fatal(err)
	}
	if gemma, is := n.(arch.Gemma3); is {
		gemma.Tied = false // with its large embeddings a tied head says the same token again
		n = gemma
	}
	c, err := model.New(n, 8)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Graph.Params {
		x, err := c.Weights[i].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for j := range x {
			if len(p.Shape) == 2 && name != "simple" {
				x[j] *= 12
			} else if len(p.Shape) == 2 && (p.Name == "wte.weight" || p.Name == "wpe.weight") {
				x[j] *= 100
			}
		}
	}
	return c
}

// greedy continues the prompts by the likeliest tokens.
func greedy(t *testing.T, m decode.Model, prompts [][]int64, n int, sliding bool) [][]int64 {
	t.Helper()
	out, err := decode.Generate(context.Background(), m, prompts, decode.GenerateOptions{
		MaxTokens: n, Sliding: sliding,
		Pick: func(logits []float32, _ []int64, _, step int) (int, error) { return model.Sampler{}.Pick(logits, step) },
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := make([][]int64, len(out))
	for i, g := range out {
		texts[i] = g.IDs
	}
	return texts
}

// The cached loop writes what running the whole text for each token writes, in
// batches whose prompts have different lengths, and past the context.
func TestCachedTextIsTheText(t *testing.T) {
	lib, err := onnxRuntime(t)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	context, short, long, grow := 68, 44, 72, 3 // the longest prompt has 24 tokens, the shortest 3
	if fixtures.Exhaustive() {
		context, short, long, grow = 256, 200, 300, 5
	}
	names := []string{"gpt2", "llama"}
	if fixtures.Exhaustive() {
		names = append(names, "simple")
		names = append(names, slices.DeleteFunc(arch.Names(), func(n string) bool { return slices.Contains(names, n) })...)
	}
	for i, name := range names {
		if i == 3 {
			context, short, long = 160, 120, 170 // the loop is one for all: the longest texts of three are enough
		}
		c := wild(t, name, context)
		if layers, _ := attnx.AttentionLayers(c); c.Continues() != nil || layers == 0 { // a recurrent network has no cache
			continue
		}
		data, err := attnx.ExportBytes(c, export.Plain{})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := ort.OpenBytes(data, ort.Options{Library: lib})
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		for _, batch := range []int{1, 8} {
			prompts := make([][]int64, batch)
			for i := range prompts {
				for j := range 3 + grow*i {
					prompts[i] = append(prompts[i], int64((31*i+7*j+1)%c.Vocab()))
				}
			}
			want := greedy(t, decode.Recompute(plain, batch, c.Context()), prompts, short, false)
			far := greedy(t, decode.Recompute(plain, batch, c.Context()), prompts, long, true)
			if kinds := slices.Compact(slices.Sorted(slices.Values(want[0]))); len(kinds) < 10 {
				t.Fatalf("%s: a text of %d different tokens shows nothing", name, len(kinds))
			}
			for way, f := range map[string]export.Cache{
				"cache": {},
				"last":  {LastLogits: true},
				"fused": {Fuse: true, LastLogits: true},
			} {
				t.Run(fmt.Sprintf("%s/batch %d/%s", name, batch, way), func(t *testing.T) {
					o, err := attnx.OpenCheckpoint(c, f, attnx.Options{Library: lib})
					if err != nil {
						t.Fatal(err)
					}
					defer o.Close()
					m, err := o.Logits(batch)
					if err != nil {
						t.Fatal(err)
					}
					for i, text := range greedy(t, m, prompts, short, false) {
						if !slices.Equal(text, want[i]) {
							t.Errorf("sequence %d: %v, the whole text gives %v", i, text, want[i])
						}
					}
					for i, text := range greedy(t, m, prompts, long, true) {
						if !slices.Equal(text, far[i]) {
							t.Errorf("sliding, sequence %d: %v, the whole text gives %v", i, text, far[i])
						}
					}
				})
			}
		}
	}
}
