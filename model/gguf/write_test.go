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
	if err != nil || len(files) != 11 {
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
			if v := got.Value(e.Key); strings.HasPrefix(e.Key, want.Value("general.architecture").(string)+".") && fmt.Sprint(v) != fmt.Sprint(e.Value) {
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
	phi := arch.Phi{
		Vocab: 64, Context: 32, Width: 32, Inner: 64, Layers: 1, Heads: 4, KVHeads: 4, Activation: "gelu_new", Epsilon: 1e-5, NormQK: true,
		Rope: arch.Rope{Type: "default", Theta: 10000, Partial: 0.5},
	}
	refused("qk_layernorm true", phi)
	neox := arch.GPTNeoX{
		Vocab: 64, Context: 32, Width: 40, Inner: 64, Layers: 1, Heads: 4, Activation: "gelu", Epsilon: 1e-5, Parallel: true, Tied: true,
		Rope: arch.Rope{Type: "default", Theta: 100, Partial: 0.41},
	}
	refused("attention_bias false", neox)
	refused("multi_query false", arch.GPTBigCode{Vocab: 64, Context: 32, Width: 32, Inner: 64, Layers: 1, Heads: 4, Activation: "gelu_new", Epsilon: 1e-5, Scaled: true})
	gemma := arch.Gemma3{
		Vocab: 64, Context: 32, Width: 32, Inner: 64, Layers: 3, Heads: 4, KVHeads: 2, HeadWidth: 8, Activation: "gelu_pytorch_tanh", Epsilon: 1e-6,
		Rope: arch.Rope{Type: "default", Theta: 1e6}, LocalTheta: 500, QueryScalar: 9, Window: 5, LayerTypes: "sliding_attention full_attention sliding_attention", Tied: true,
	}
	refused("query_pre_attn_scalar 9", gemma)
	refused("head", arch.GPT2{Vocab: 64, Context: 32, Width: 32, Layers: 1, Heads: 2, Inner: 64, Epsilon: 1e-5, Use: arch.Use{Head: arch.HiddenStates}})
	phi.NormQK, phi.KVHeads, phi.Tied = false, 2, true
	neox.Bias = true
	gemma.QueryScalar = 8
	plain := gemma
	plain.LayerTypes = "full_attention full_attention full_attention"
	for _, n := range []nn.Network{phi, neox, gemma, plain} { // heads that llama.cpp expects although they are the token embedding; windows in another pattern, and none
		c, err := model.New(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.gguf")
		if _, err := Write(out, c, blocks.F32); err != nil {
			t.Fatal(err)
		}
		again, _, err := Read(out)
		if err != nil {
			t.Fatal(err)
		}
		if again.Weights.Hash() != c.Weights.Hash() {
			t.Errorf("%s: other weights", n.Architecture())
		}
		names := " "
		for _, i := range opened(t, out).Tensors {
			names += i.Name + " "
		}
		if needed := n != nn.Network(gemma) && n != nn.Network(plain); strings.Contains(names, " output.weight") != needed {
			t.Errorf("%s: %s", n.Architecture(), names)
		}
	}
	refused("simple", arch.Simple{Vocab: 64, Context: 16, Width: 16, Heads: 2, Inner: 32})
}
