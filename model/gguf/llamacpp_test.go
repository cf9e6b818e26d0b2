package gguf

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// greedyAsked is what fixtures/oracle/llamacpp_greedy.py reads for a file.
type greedyAsked struct {
	File    string    `json:"file"`
	Tokens  int       `json:"tokens"`
	Prompts [][]int64 `json:"prompts"`
}

// greedyText is what llama.cpp generates: tokens, and by how much the logit of
// each is above the next.
type greedyText struct {
	Tokens  []int64   `json:"tokens"`
	Margins []float64 `json:"margins"`
}

// llamaCPP returns what llama.cpp generates, for each file and prompt.
func llamaCPP(t *testing.T, asked []greedyAsked) [][]greedyText {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON_LLAMA_CPP")
	if python == "" {
		t.Skip("set ATTNX_PYTHON_LLAMA_CPP to a Python with the packages of fixtures/oracle/requirements-llamacpp.txt")
	}
	in, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", "../../fixtures/oracle/llamacpp_greedy.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes()[max(0, stderr.Len()-4000):])
	}
	out = bytes.TrimSpace(out)
	out = out[bytes.LastIndexByte(out, '\n')+1:]
	var texts [][]greedyText
	if err := json.Unmarshal(out, &texts); err != nil || len(texts) != len(asked) {
		t.Fatalf("%v: %.2000s", err, out)
	}
	return texts
}

// TestLlamaCPP has llama.cpp generate from the float32 files that Write writes: the
// greedy tokens are those of the checkpoint in the oracle.
func TestLlamaCPP(t *testing.T) {
	const vocab, context, layers, length = 300, 64, 2, 24
	text := asciiTokenizer(t, vocab)
	plain := arch.Rope{Type: "default", Theta: 10000}
	networks := map[string]nn.Network{
		"llama": arch.Llama{Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, KVHeads: 2, HeadWidth: 8, Activation: "silu", Epsilon: 1e-5, Rope: plain},
		"llama, biases, wide heads, tied": arch.Llama{
			Vocab: vocab, Context: context, Width: 24, Inner: 40, Layers: layers, Heads: 3, KVHeads: 1, HeadWidth: 16, Activation: "silu", Epsilon: 1e-6,
			Rope: arch.Rope{Type: "default", Theta: 500000}, Tied: true, AttentionBias: true, MLPBias: true,
		},
		"llama, linear": arch.Llama{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 2, KVHeads: 2, HeadWidth: 16, Activation: "silu", Epsilon: 1e-5,
			Rope: arch.Rope{Type: "linear", Theta: 10000, Factor: 2.5},
		},
		"llama 3": arch.Llama{
			Vocab: vocab, Context: 131072, Width: 32, Inner: 48, Layers: layers, Heads: 2, KVHeads: 1, HeadWidth: 32, Activation: "silu", Epsilon: 1e-5,
			Rope: arch.Rope{Type: "llama3", Theta: 500000, Factor: 8, Low: 1, High: 4, Original: 8192},
		},
		"llama 3, another length, other limits": llama3(context, arch.Rope{Theta: 100, Factor: 4, Low: 1.5, High: 6, Original: 50}),
		"mistral":                               arch.Mistral{Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, KVHeads: 2, HeadWidth: 8, Activation: "silu", Epsilon: 1e-5, Rope: plain},
		"qwen2":                                 arch.Qwen2{Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, KVHeads: 2, Activation: "silu", Epsilon: 1e-6, Rope: plain, Tied: true},
		"qwen3": arch.Qwen3{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, KVHeads: 2, HeadWidth: 16, Activation: "silu", Epsilon: 1e-6, Rope: plain,
		},
		"gpt_neox": arch.GPTNeoX{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, Activation: "gelu", Epsilon: 1e-5, Bias: true, Parallel: true,
			Rope: arch.Rope{Type: "default", Theta: 10000, Partial: 0.5},
		},
		"gpt_neox, tied": arch.GPTNeoX{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 2, Activation: "gelu", Epsilon: 1e-5, Bias: true, Tied: true,
			Rope: arch.Rope{Type: "linear", Theta: 10000, Factor: 2, Partial: 0.25},
		},
		"phi": arch.Phi{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, KVHeads: 2, Activation: "gelu_new", Epsilon: 1e-5, Tied: true,
			Rope: arch.Rope{Type: "default", Theta: 10000, Partial: 0.5},
		},
		"gemma3": arch.Gemma3{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: 3, Heads: 4, KVHeads: 2, HeadWidth: 8, Activation: "gelu_pytorch_tanh", Epsilon: 1e-6, Tied: true,
			Rope: arch.Rope{Type: "default", Theta: 1e6}, LocalTheta: 10000, QueryScalar: 8, SoftCap: 20, Window: 6, LayerTypes: "full_attention sliding_attention sliding_attention",
		},
		"starcoder": arch.GPTBigCode{
			Vocab: vocab, Context: context, Width: 32, Inner: 48, Layers: layers, Heads: 4, Epsilon: 1e-5, Activation: "gelu_pytorch_tanh", Scaled: true, MultiQuery: true, Tied: true,
		},
		"gpt2":           arch.GPT2{Vocab: vocab, Context: context, Width: 32, Inner: 96, Layers: layers, Heads: 4, Epsilon: 1e-5},
		"gpt2, own head": arch.GPT2{Vocab: vocab, Context: context, Width: 24, Inner: 96, Layers: layers, Heads: 3, Epsilon: 1e-5, Untied: true},
	}
	prompts := [][]int64{{3, 17, 5, 9, 30, 1, 22, 8, 36, 0, 11, 4}, {60}, {7, 7, 7, 7, 7}}
	var names []string
	var asked []greedyAsked
	checkpoints := map[string]*model.Checkpoint{}
	for name, network := range networks {
		c, err := model.New(network, 5)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		enlarge(t, c)
		c.Tokenizer = text
		path := filepath.Join(t.TempDir(), "m.gguf")
		if _, err := Write(path, c, blocks.F32); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		names, checkpoints[name] = append(names, name), c
		asked = append(asked, greedyAsked{path, length, prompts})
	}
	for i, texts := range llamaCPP(t, asked) {
		compared := 0
		least := 1e-3
		if !strings.HasPrefix(names[i], "llama") && !strings.HasPrefix(names[i], "gpt2") && names[i] != "mistral" && !strings.HasPrefix(names[i], "qwen") {
			least = 4e-3 // ggml takes GELU from a table of float16
		}
		for p, prompt := range prompts {
			compared += sameGreedy(t, names[i], checkpoints[names[i]], prompt, texts[p], least)
		}
		// Texts end where a margin is too small to compare.
		if compared < len(prompts)*length/2 {
			t.Errorf("%s: only %d tokens are compared", names[i], compared)
		}
	}
}

// sameGreedy compares a text with the oracle's, up to the first margin below least,
// and the margins. It returns the number of tokens compared.
func sameGreedy(t *testing.T, name string, c *model.Checkpoint, prompt []int64, want greedyText, least float64) int {
	t.Helper()
	text := slices.Clone(prompt)
	for k, next := range want.Tokens {
		all := logits(t, c, text)
		last := all[len(all)-c.Vocab():]
		best := slices.Max(last)
		order := slices.Clone(last)
		slices.Sort(order)
		margin := best - order[len(order)-2]
		if margin < least {
			return k
		}
		if got := int64(slices.Index(last, best)); got != next {
			t.Errorf("%s: token %d after %v is %d with a margin of %g, llama.cpp has %d with %g", name, k, prompt, got, margin, next, want.Margins[k])
			return k
		}
		if math.Abs(margin-want.Margins[k]) > least {
			t.Errorf("%s: token %d after %v has a margin of %g, llama.cpp %g", name, k, prompt, margin, want.Margins[k])
			return k
		}
		text = append(text, next)
	}
	return len(want.Tokens)
}

// enlarge makes the random weights of a checkpoint large, and its biases and norms
// random, so that no part of the network is idle.
func enlarge(t *testing.T, c *model.Checkpoint) {
	t.Helper()
	for k, w := range c.Weights {
		data := slices.Clone(w.Data)
		for i := 0; i < len(data); i += 4 {
			x := float64(math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
			if len(w.Shape) > 1 {
				x *= 10
			} else {
				x += 0.3 * math.Sin(float64(i/4*7+k))
			}
			binary.LittleEndian.PutUint32(data[i:], math.Float32bits(float32(x)))
		}
		w.Data = data
		c.Weights[k] = w
	}
}

// asciiTokenizer returns a tokenizer.json of GPT-2's kind in which each token is
// text: llama.cpp's server leaves out others, such as parts of characters.
func asciiTokenizer(t *testing.T, size int) []byte {
	t.Helper()
	vocab, merges := map[string]int{"Ġ": 0, "Ċ": 1}, [][2]string{}
	for c := '!'; c <= '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for a := 'a'; a <= 'z'; a++ {
		for b := 'a'; b <= 'z' && len(vocab) < size; b++ {
			merges = append(merges, [2]string{string(a), string(b)})
			vocab[string([]rune{a, b})] = len(vocab)
		}
	}
	text, err := json.Marshal(map[string]any{
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"decoder":       map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": false, "ignore_merges": false},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
