package attnx

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/openvino"
)

// The operators of ONNX Runtime's own domain, and recurrent ones in the forms that
// ONNX's suite leaves out, are what ONNX Runtime itself computes.
func TestRuntimeOperators(t *testing.T) { judgeWritten(t, "runtime_operators.py", nil) }

// What ONNX's suite leaves out of its own operators is what ONNX Runtime computes:
// quantized numbers, old versions, more modes of images, every way to pad a
// window, and more numbers that are rounded.
func TestRuntimeSuite(t *testing.T) { judgeWritten(t, "runtime_suite.py", nil) }

// Exports by PyTorch of recurrent networks, BERT, GPT-2, Llama, Qwen2 and T5 are
// read, and give ONNX Runtime's outputs, in OpenVINO too. PyTorch's newer exporter is tried with
// ATTNX_EXHAUSTIVE=1.
func TestTorchExports(t *testing.T) {
	var options []string
	if os.Getenv("ATTNX_EXHAUSTIVE") == "1" {
		options = append(options, "--dynamo")
	}
	judgeWritten(t, "torch_exports.py", []runtime.Runtime{openvino.Runtime}, options...)
}

// judgeWritten judges the models that a script writes, in the oracle and in further
// runtimes.
func judgeWritten(t *testing.T, script string, further []runtime.Runtime, options ...string) {
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
			for _, r := range further {
				if err := r.Available(runtime.Options{}); err != nil {
					t.Log(err)
				} else if a := judgeIn(r, dir); !a.Right {
					t.Errorf("%s: %s%s%s", r.Name, a.Apart, a.Refused, a.Wrong)
				}
			}
		})
	}
}
