package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// TestTritonTexts has a Triton Inference Server serve text models, and compares
// what its clients get with what generate writes.
func TestTritonTexts(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON_TRITON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON_TRITON to a Python with the packages of fixtures/oracle/requirements-triton.txt")
	}
	if _, err := onnxRuntime(t); err != nil {
		t.Skip("no ONNX Runtime")
	}
	_, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	repository := filepath.Join(t.TempDir(), "repository")
	var models []string
	for name, flags := range map[string][]string{"grown": nil, "shared": {"--fuse", "ort", "--last-logits"}} {
		copied := filepath.Join(t.TempDir(), name+".safetensors")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, data, 0o666); err != nil {
			t.Fatal(err)
		}
		attnxRun(t, exitOK, append([]string{"export", copied, "--triton", repository}, flags...)...)
		models = append(models, name+"_text")
	}
	prompts := []string{"the quick", "the", "brown fox\n", "é", "日本", "jumps over the lazy", " ", "<|endoftext|>the"}
	args := []string{"generate", path, "--max-tokens", "12", "--json"}
	for _, p := range prompts {
		args = append(args, "--prompt", p)
	}
	var stdout, stderr strings.Builder
	if code := run(args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("generate: %s", &stderr)
	}
	var said struct {
		Texts []struct {
			Text string `json:"text"`
		} `json:"texts"`
	}
	if err := json.Unmarshal([]byte(stdout.String()), &said); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range said.Texts {
		texts = append(texts, s.Text)
	}
	in, err := json.Marshal(map[string]any{"repository": repository, "models": models, "tokens": 12, "prompts": prompts, "texts": texts})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", "../../fixtures/oracle/check_triton_text.py")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("NOT ASKED: %s", out)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}
