package attnx

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The operators of ONNX Runtime's own domain, and recurrent ones in the forms that
// ONNX's suite leaves out, are what ONNX Runtime itself computes.
func TestRuntimeOperators(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with onnx and onnxruntime")
	}
	folder := t.TempDir()
	if out, err := exec.Command(python, "-B", filepath.Join("fixtures", "oracle", "onnxruntime_suite.py"), folder).CombinedOutput(); err != nil {
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
