package attnx

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The operators of ONNX Runtime's own domain, and recurrent ones in the forms that
// ONNX's suite leaves out, are what ONNX Runtime itself computes.
func TestRuntimeOperators(t *testing.T) { judgeWritten(t, "runtime_operators.py") }

// What ONNX's suite leaves out of its own operators is what ONNX Runtime computes:
// quantized numbers, old versions, more modes of images, every way to pad a
// window, and more numbers that are rounded.
func TestRuntimeSuite(t *testing.T) { judgeWritten(t, "runtime_suite.py") }

// Exports by PyTorch of recurrent networks, BERT, GPT-2, Llama, Qwen2 and T5 are
// read, and give ONNX Runtime's outputs. PyTorch's newer exporter is tried with
// ATTNX_EXHAUSTIVE=1.
func TestTorchExports(t *testing.T) {
	var options []string
	if os.Getenv("ATTNX_EXHAUSTIVE") == "1" {
		options = append(options, "--dynamo")
	}
	judgeWritten(t, "torch_exports.py", options...)
}

// judgeWritten judges the models that a script writes.
func judgeWritten(t *testing.T, script string, options ...string) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with onnx and onnxruntime")
	}
	folder := t.TempDir()
	args := append([]string{"-B", filepath.Join("fixtures", "oracle", script), folder}, options...)
	out, err := exec.Command(python, args...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("%s: %.200s", script, out)
	}
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	models, err := filepath.Glob(filepath.Join(folder, "*", "*", "model.onnx"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no models: %v", err)
	}
	for _, path := range models {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			if v := judge(dir); !v.right {
				t.Errorf("%s%s%s", v.apart, v.reason, v.wrong)
			}
		})
	}
}
