package gguf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

func llama3(context int, r arch.Rope) nn.Network {
	r.Type = "llama3"
	return arch.Llama{Vocab: 300, Context: context, Width: 32, Inner: 48, Layers: 1, Heads: 2, KVHeads: 1, HeadWidth: 32, Activation: "silu", Epsilon: 1e-5, Rope: r}
}

// The angles of Llama 3.1 go through a file with any original length and any limits
// and, with the usual limits, also where the file holds the factors alone, as those of
// llama.cpp's converter do.
func TestRopeFactors(t *testing.T) {
	for _, k := range []struct {
		rope  arch.Rope
		alone string // what a file with the factors alone is refused for; "": it is read
	}{
		{arch.Rope{Theta: 500000, Factor: 8, Low: 1, High: 4, Original: 8192}, ""},
		{arch.Rope{Theta: 500000, Factor: 32, Low: 1, High: 4, Original: 4096}, ""},
		{arch.Rope{Theta: 10000, Factor: 4, Low: 1, High: 4, Original: 37}, ""},
		{arch.Rope{Theta: 500000, Factor: 8, Low: 1, High: 4, Original: 1000}, ""},
		{arch.Rope{Theta: 500000, Factor: 8, Low: 1.5, High: 3.25, Original: 1000}, "that no original length gives"},
	} {
		t.Run(fmt.Sprint(k.rope), func(t *testing.T) {
			c, err := model.New(llama3(64, k.rope), 3)
			if err != nil {
				t.Fatal(err)
			}
			c.Tokenizer = asciiTokenizer(t, 300)
			w, err := newWriting(c, blocks.F32) // reads it back
			if err != nil {
				t.Fatal(err)
			}
			if n := w.Value("llama.rope.scaling.original_context_length"); n != uint32(k.rope.Original) {
				t.Errorf("the original length is %v", n)
			}
			w.metadata = slices.DeleteFunc(w.metadata, func(e blocks.Entry) bool {
				return e.Key == metaRope || strings.HasSuffix(e.Key, "original_context_length")
			})
			back, _, _, err := networkOf(w)
			if k.alone != "" {
				if err == nil || !strings.Contains(err.Error(), k.alone) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// Lengths within a wave give the same factors: the graphs are equal up to rounding.
			var r arch.Llama
			if err := json.Unmarshal(back.Config, &r); err != nil {
				t.Fatal(err)
			}
			want := k.rope
			want.Type = "llama3"
			if !r.Rope.MatchesFactors(32, want.Factors(32)) {
				t.Errorf("read are %+v", r.Rope)
			}
		})
	}
}

// Tensors that llama.cpp does not have in an architecture are refused: it loads no file
// with a tensor too many.
func TestSurplusTensorsAreRefused(t *testing.T) {
	scaled := arch.Rope{Type: "llama3", Theta: 10000, Factor: 4, Low: 1, High: 4, Original: 32}
	for want, n := range map[string]nn.Network{
		"(blk.N.attn_output.bias)": arch.Qwen3{Vocab: 300, Context: 64, Width: 32, Inner: 48, Layers: 1, Heads: 4, KVHeads: 2, HeadWidth: 16, Activation: "silu", Epsilon: 1e-6,
			Rope: arch.Rope{Type: "default", Theta: 10000}, AttentionBias: true},
		"qwen3 has no factors of the angles (rope_freqs.weight)": arch.Qwen3{Vocab: 300, Context: 64, Width: 32, Inner: 48, Layers: 1, Heads: 4, KVHeads: 2, HeadWidth: 16, Activation: "silu", Epsilon: 1e-6,
			Rope: scaled},
		"qwen2 has no factors of the angles (rope_freqs.weight)": arch.Qwen2{Vocab: 300, Context: 64, Width: 32, Inner: 48, Layers: 1, Heads: 4, KVHeads: 2, Activation: "silu", Epsilon: 1e-6, Rope: scaled},
		"gptneox has no factors of the angles (rope_freqs.weight)": arch.GPTNeoX{Vocab: 300, Context: 64, Width: 32, Inner: 48, Layers: 1, Heads: 4, Activation: "gelu", Epsilon: 1e-5, Bias: true,
			Rope: scaled},
		"gemma3 has no factors of the angles (rope_freqs.weight)": arch.Gemma3{Vocab: 300, Context: 64, Width: 32, Inner: 48, Layers: 1, Heads: 4, KVHeads: 2, HeadWidth: 8, Activation: "gelu_pytorch_tanh",
			Epsilon: 1e-6, Tied: true, Rope: scaled, LocalTheta: 10000, QueryScalar: 8, Window: 6, LayerTypes: "full_attention"},
	} {
		c, err := model.New(n, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newWriting(c, blocks.F32); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}
