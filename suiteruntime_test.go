package attnx

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/runtime"
)

// The operators of ONNX Runtime's own domain, and recurrent ones in the forms that
// ONNX's suite leaves out, are what ONNX Runtime itself computes.
func TestRuntimeOperators(t *testing.T) { judgeWritten(t, "runtime_operators.py") }

// What ONNX's suite leaves out of its own operators is what ONNX Runtime computes:
// quantized numbers, old versions, more modes of images, every way to pad a
// window, and more numbers that are rounded.
func TestRuntimeSuite(t *testing.T) { judgeWritten(t, "runtime_suite.py") }

// Exports by PyTorch of an MLP, a CNN, recurrent networks, BERT, GPT-2, Llama, Qwen2
// and T5 with open sizes are read, and give ONNX Runtime's outputs; so are the files
// that ONNX Runtime saves after its optimizations. With inputs of other sizes, ONNX
// Runtime at all levels and OpenVINO agree with them within the derived bounds.
// PyTorch's newer exporter is tried with ATTNX_EXHAUSTIVE=1.
func TestTorchExports(t *testing.T) {
	options := []string{"--optimized"}
	if fixtures.Exhaustive() {
		options = append(options, "--dynamo")
	}
	folder := judgeWritten(t, "torch_exports.py", options...)
	exports, err := filepath.Glob(filepath.Join(folder, "torch", "*", "model.onnx"))
	if err != nil || len(exports) < 13 {
		t.Fatalf("%v, %v", exports, err)
	}
	for _, path := range exports {
		t.Run("verify/"+filepath.Base(filepath.Dir(path)), func(t *testing.T) { verifies(t, path) })
	}
}

// Three models from packages are verified in ONNX Runtime at all levels and in OpenVINO.
// magika takes the root of a variance that is the difference of two nearly equal
// numbers, which are sums of few different terms. text2tashkeel's LSTM rounds its factors
// to 8 bits, which ONNX Runtime does and OpenVINO does not.
func TestVerifyPackages(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("it computes three models from packages: set ATTNX_EXHAUSTIVE=1")
	}
	folder := packagedModels(t)
	for _, name := range []string{"nudenet", "magika", "text2tashkeel"} {
		t.Run(name, func(t *testing.T) { verifies(t, filepath.Join(folder, name+".onnx")) })
	}
}

// verifies fails where a runtime, at any level of optimization, does not agree with
// a file's graph within the derived bounds.
func verifies(t *testing.T, path string) {
	t.Helper()
	report, err := VerifyONNX(context.Background(), []string{path}, VerifyOptions{Runtimes: []string{"ort-cpu", "openvino"}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for _, r := range report.Results {
		if r.Status == runtime.StatusUnavailable {
			t.Log(r.Reason)
			continue
		}
		if ran[r.Runtime] = true; r.Status != runtime.StatusOK || r.Cases != report.Cases || report.Cases < 2 {
			t.Errorf("%s: %s, %d of %d cases: %s", r.Runtime, r.Status, r.Cases, report.Cases, r.Reason)
		}
	}
	if ran["ort-cpu (disabled)"] && !(ran["ort-cpu (basic)"] && ran["ort-cpu (all)"]) {
		t.Errorf("ran only %v", ran)
	}
}

// judgeWritten judges the models that a script writes, in the oracle. It returns
// their folder.
func judgeWritten(t *testing.T, script string, options ...string) (folder string) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with onnx and onnxruntime")
	}
	folder = t.TempDir()
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
	return folder
}
