//go:build cgo

package ort

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// TestBadLibrary opens a session with files that are not ONNX Runtime, each in
// a process of its own, for a process that has loaded a library loads no other.
func TestBadLibrary(t *testing.T) {
	const child = "ATTNX_TEST_BAD_LIBRARY"
	if os.Getenv(child) != "" {
		_, err := OpenBytes(embedModel().bytes(), Options{Library: os.Getenv(child)})
		if !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("not typed: %v", err)
		}
		t.Logf("ERROR %v", err)
		// A library that did not load does not stand in the way of one that does.
		s, err := OpenBytes(embedModel().bytes(), Options{Library: needLibrary(t).Path})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		return
	}

	needLibrary(t)
	text := filepath.Join(t.TempDir(), "libonnxruntime.so.1")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is text\n", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{text: " does not load: "}
	for _, libm := range []string{multiarch() + "/libm.so.6", "/lib64/libm.so.6"} {
		if goruntime.GOOS == "linux" && isFile(libm) {
			bad[libm] = " is a shared library, but not ONNX Runtime"
		}
	}
	for path, want := range bad {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBadLibrary$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+path)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "ERROR ort-cpu is unavailable: "+path+want) || strings.Count(string(out), path) != 1 {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
