package attnx

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// TestRewritesOfOthers has ONNX Runtime's optimizer, onnx and onnxsim rewrite
// files. No check fails, and the rewritten files run.
func TestRewritesOfOthers(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	path, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, path)
	c := faultModel(t, "gpt2")
	names := []string{"plain", "cache float16"}
	if fixtures.Exhaustive() {
		names = []string{"plain", "plain opset 21", "float16", "cache", "cache last", "cache float16", "fused"}
	}
	for _, name := range names {
		folder := t.TempDir()
		m, _, err := ExportModel(c, faultForms[name])
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "original.onnx")
		if err := writeTo(file, m.Encode); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "fixtures/oracle/rewrites.py", file, folder).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s%s", out, name)
		files, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
		if err != nil || len(files) < 6 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			v, err := newVerification(c, []string{file}, VerifyOptions{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, x := range v.checks {
				if x.Status != runtime.StatusOK {
					t.Errorf("%s: %+v", name, x)
				}
				if 3*x.Compared < 2*x.Total {
					t.Errorf("%s: %s: %d of %d %s are compared", name, file, x.Compared, x.Total, x.Part)
				}
			}
			// A cache that is one buffer cannot be read without its sizes, and float16 is
			// rewritten to compute in other types: these rest on samples.
			if v := v.verdicts[0]; v.Layer != runtime.IdenticalLayer && !strings.Contains(name, "float16") && name != "fused" {
				t.Errorf("%s: %+v", name, v)
			}
			if r := runOne(t, c, file, faultForms[name]); r.Status != runtime.StatusOK {
				t.Errorf("%s: %s: %+v", name, file, r)
			}
		}
	}
}
