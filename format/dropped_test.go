package format_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// TestDroppedMapped drops a mapped file in a process of its own, whose report
// it reads, and uses a view of it afterwards.
func TestDroppedMapped(t *testing.T) {
	if path := os.Getenv("ATTNX_TEST_MAPPED"); path != "" {
		view := dropMapped(t, path)
		for range 20 {
			runtime.GC()
		}
		if got, err := view.Float32s(); err != nil || got[0] != 1 {
			t.Errorf("the view is %v, %v", got, err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	var file bytes.Buffer
	err := errors.Join(
		format.WriteSealed(&file, nil, []format.Tensor{format.FromFloat32s("x", []int{1}, []float32{1})}),
		os.WriteFile(path, file.Bytes(), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDroppedMapped$")
	cmd.Env = append(os.Environ(), "ATTNX_TEST_MAPPED="+path, "ATTNX_DEBUG=1")
	out, err := cmd.CombinedOutput()
	if want := "attnx: the mapped file " + path + " was dropped without Close"; err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "dropped_test.go:") {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}

//go:noinline
func dropMapped(t *testing.T, path string) format.Tensor {
	f, err := format.OpenMapped(path)
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Tensor("x")
	if err != nil {
		t.Fatal(err)
	}
	return x
}
