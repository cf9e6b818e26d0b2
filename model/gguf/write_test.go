package gguf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// What is read from a file of the package gguf is written as the same tensors and
// settings: names, types, order of elements.
func TestWritesWhatItRead(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.gguf"))
	if err != nil || len(files) != 6 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		c, _, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.gguf")
		report, err := Write(out, c, blocks.F32)
		if err != nil {
			t.Fatal(err)
		}
		if report.Rounding.Changed > 0 {
			t.Errorf("%s: %+v", path, report)
		}
		want, got := opened(t, path), opened(t, out)
		byName := map[string]blocks.Info{}
		for _, i := range got.Tensors {
			byName[i.Name] = i
		}
		if len(want.Tensors) != len(byName) {
			t.Errorf("%s: %d tensors, expected %d", path, len(byName), len(want.Tensors))
		}
		for _, i := range want.Tensors {
			a, err := want.Tensor(i)
			if err != nil {
				t.Fatal(err)
			}
			b, err := got.Tensor(byName[i.Name])
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(a.Shape) != fmt.Sprint(b.Shape) || !bytes.Equal(a.Data, b.Data) && i.Name != ropeFactors {
				t.Errorf("%s: tensor %s is another", path, i.Name)
			}
		}
		for _, e := range want.Metadata {
			if v := got.Value(e.Key); strings.HasPrefix(e.Key, c.Arch+".") && v != nil && fmt.Sprint(v) != fmt.Sprint(e.Value) {
				t.Errorf("%s: %s is %v, expected %v", path, e.Key, v, e.Value)
			}
		}
		again, _, err := Read(out)
		if err != nil {
			t.Fatal(err)
		}
		for k, w := range c.Weights {
			if !bytes.Equal(w.Data, again.Weights[k].Data) {
				t.Errorf("%s: weight %s is another", path, w.Name)
			}
		}
		if !Ours(out) || Ours(path) {
			t.Error("whose file it is")
		}
	}
}

func opened(t *testing.T, path string) *blocks.File {
	t.Helper()
	f, err := blocks.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Matrices get the type, vectors float32, and rows that are no whole blocks a
// wider type. A network that a file cannot express is refused by its setting.
func TestTypes(t *testing.T) {
	small := arch.Llama{
		Vocab: 64, Context: 32, Width: 256, Inner: 96, Layers: 1, Heads: 4, KVHeads: 2, HeadWidth: 8,
		Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000},
	}
	c, err := model.New(small, 1)
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[blocks.Type]string{
		blocks.F32: "Q: F32 D: F32 N: F32", blocks.BF16: "Q: BF16 D: BF16 N: F32", blocks.Q8_0: "Q: Q8_0 D: Q8_0 N: F32", blocks.Q4_K: "Q: Q4_K D: Q5_0 N: F32",
	} {
		out := filepath.Join(t.TempDir(), "out.gguf")
		if _, err := Write(out, c, typ); err != nil {
			t.Fatal(err)
		}
		types := map[string]blocks.Type{}
		for _, i := range opened(t, out).Tensors {
			types[i.Name] = i.Type
		}
		got := fmt.Sprintf("Q: %s D: %s N: %s", types["blk.0.attn_q.weight"], types["blk.0.ffn_down.weight"], types["blk.0.attn_norm.weight"])
		if got != want {
			t.Errorf("%s: %s, expected %s", typ, got, want)
		}
	}
	refused := func(want string, n nn.Network) {
		t.Helper()
		c, err := model.New(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.gguf")
		if _, err = Write(out, c, blocks.F32); err == nil || !strings.HasPrefix(err.Error(), out+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("it was written nevertheless")
		}
	}
	relu := small
	relu.Activation = "relu"
	refused("hidden_act", relu)
	refused("sliding_window 8", arch.Mistral{
		Vocab: 64, Context: 32, Width: 32, Inner: 64, Layers: 1, Heads: 4, KVHeads: 2, HeadWidth: 8,
		Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000}, Window: 8,
	})
	refused("scale_attn_by_inverse_layer_idx", arch.GPT2{Vocab: 64, Context: 32, Width: 32, Layers: 2, Heads: 2, Inner: 64, Epsilon: 1e-5, LayerScores: true})
	refused("simple", arch.Simple{Vocab: 64, Context: 16, Width: 16, Heads: 2, Inner: 32})
}
