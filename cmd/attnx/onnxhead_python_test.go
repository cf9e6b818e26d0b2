package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// TestOptimumHeads converts ONNX files that optimum exported: those whose head is
// the token embedding have the weights that they were exported from.
func TestOptimumHeads(t *testing.T) {
	python := interpreter([]string{"ATTNX_PYTHON_OPTIMUM"}, "torch, optimum.exporters.onnx")
	if python == "" {
		t.Skip("ATTNX_PYTHON_OPTIMUM does not name a Python with optimum: it does not export")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, fixtures.FS); err != nil {
		t.Fatal(err)
	}
	folder, out := filepath.Join(dir, "transformers_gpt2", "whole"), filepath.Join(dir, "exported")
	cmd := exec.Command(python, "-B", "../../fixtures/oracle/optimum_heads.py", folder, out)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	original := filepath.Join(dir, "original.safetensors")
	attnxRun(t, exitOK, "convert", folder, "-o", original)
	for _, name := range []string{"tied", "cached"} {
		back := filepath.Join(dir, name+".safetensors")
		attnxRun(t, exitOK, "convert", filepath.Join(out, name), "-o", back)
		// 28 weights and the graph.
		if report := attnxRun(t, exitOK, "diff", original, back); !strings.Contains(report, "29 tensors equal") {
			t.Errorf("%s: %s", name, report)
		}
	}
	if why := attnxRun(t, exitUsage, "convert", filepath.Join(out, "untied", "model.onnx"), "-o", filepath.Join(dir, "x.safetensors")); !strings.Contains(why, `it has no initializer "lm_head.weight"`) {
		t.Errorf("untied: %s", why)
	}
}
