package attnx_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime/ort/library"
)

// otherwise returns the graph with other names for all that it computes: what a
// version of attnx gives whose network is written differently.
func otherwise(t *testing.T, g *graph.Graph) *graph.Graph {
	t.Helper()
	var text strings.Builder
	check(graph.Print(&text, g))
	renamed, err := graph.Parse(text.String())
	check(err)
	count := 0
	for _, n := range renamed.Nodes {
		switch n.Op.(type) {
		case graph.Input, graph.Param:
			continue
		}
		for _, v := range n.Results {
			v.Name = "earlier/" + v.Name
			count++
		}
	}
	check(graph.Verify(renamed))
	if count < 40 {
		t.Fatalf("%d values have another name", count)
	}
	return renamed
}

// A checkpoint keeps the names that values had when it was written. Another
// version's names change nothing: it is read, resumed to the bit with both
// engines, exported, verified and converted.
func TestRenamedValues(t *testing.T) {
	engines := []string{"gorgonia"}
	if lib, err := library.FindOrInstall(t.Context(), "", nil); err == nil {
		t.Setenv(library.EnvLibrary, lib.Path)
		engines = append(engines, "ort")
	}
	now, before := t.TempDir(), t.TempDir()
	startRun(t, now, func(vocab int) nn.Network {
		return arch.GPT2{Vocab: vocab, Context: 16, Width: 32, Layers: 2, Heads: 2, Inner: 64, Epsilon: 1e-5}
	})
	check(os.CopyFS(before, os.DirFS(now)))
	first := filepath.Join("run", "step-00000001.safetensors")
	c, err := model.Load(filepath.Join(before, first))
	check(err)
	c.Graph = otherwise(t, c.Graph)
	check(c.Save(filepath.Join(before, first)))

	read, err := model.Load(filepath.Join(before, first))
	check(err)
	if read.Graph.Lookup("earlier/h.0.attn.residual") == nil {
		t.Error("the names are not those of the file")
	}
	if !fixtures.Exhaustive() {
		engines = engines[len(engines)-1:]
	}
	for _, engine := range engines {
		last := filepath.Join(engine, "step-00000012.safetensors")
		for _, dir := range []string{now, before} {
			check(os.CopyFS(filepath.Join(dir, engine), os.DirFS(filepath.Join(dir, "run"))))
			attnxRun(t, dir, 0, "train --resume "+engine+" --data notes.txt --steps 12 --engine "+engine, "step 12 of 12")
		}
		a, err := model.Load(filepath.Join(now, last))
		check(err)
		b, err := model.Load(filepath.Join(before, last))
		check(err)
		if a.Weights.Hash() != b.Weights.Hash() || model.Weights(a.Train.Moments).Hash() != model.Weights(b.Train.Moments).Hash() {
			t.Errorf("%s: a run with other names has other weights or moments", engine)
		}
		if a.Graph.Lookup("h.0.attn.residual") == nil || b.Graph.Lookup("earlier/h.0.attn.residual") == nil {
			t.Errorf("%s: the names have changed on the way", engine)
		}
	}
	if engines[len(engines)-1] != "ort" {
		return
	}
	want := attnxRun(t, now, 0, "generate ort --prompt like --max-tokens 5 -q")
	forms := []string{"--profile cache --fuse ort"}
	if fixtures.Exhaustive() {
		forms = append(forms, "", "--profile cache")
	}
	for _, form := range forms {
		file := filepath.Join(now, "model.onnx")
		attnxRun(t, now, 0, "export ort -o model.onnx "+form)
		check(os.Rename(file, filepath.Join(before, "other.onnx")))
		attnxRun(t, before, 0, "verify ort other.onnx --runtimes "+map[bool]string{true: "ort-cpu", false: "ort-cpu-cache"}[form == ""], "pass against")
		attnxRun(t, before, 0, "export ort -o own.onnx "+form)
		for _, name := range []string{"ort", "own.onnx"} {
			if got := attnxRun(t, before, 0, "generate "+name+" --prompt like --max-tokens 5 -q"); got != want {
				t.Errorf("%s continues with %q, expected %q", name, got, want)
			}
		}
		check(os.Remove(filepath.Join(before, "other.onnx")))
		check(os.Remove(filepath.Join(before, "own.onnx")))
	}
	attnxRun(t, before, 0, "convert ort -o transformers", "gpt2")
	attnxRun(t, before, 0, "average ort -o mean.safetensors")
}
