package attnx

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRuntimeSuite judges what ONNX's own suite leaves out by ONNX Runtime: its
// operators of quantized numbers, old versions, more modes of images, every way to pad a window, and more
// numbers that are rounded. All must be right. ATTNX_PYTHON names a Python with onnx
// and onnxruntime.
func TestRuntimeSuite(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with onnx and onnxruntime")
	}
	folder := filepath.Join(t.TempDir(), "runtime")
	if out, err := exec.Command(python, "-B", filepath.Join("fixtures", "oracle", "runtime_suite.py"), folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	models, err := filepath.Glob(filepath.Join(folder, "*", "*", "model.onnx"))
	if err != nil || len(models) < 100 {
		t.Fatalf("%d models (%v)", len(models), err)
	}
	for _, path := range models {
		if v := judge(filepath.Dir(path)); !v.right {
			t.Errorf("%s: %s%s%s", v.name, v.wrong, v.reason, v.apart)
		}
	}
}
