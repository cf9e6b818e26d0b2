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
	"github.com/attnx/attnx/runtime/ort/library"
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
	bad := map[string]string{text: "it is not a shared library"}
	for _, libm := range []string{"/usr/lib/x86_64-linux-gnu/libm.so.6", "/usr/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"} {
		if _, err := os.Stat(libm); goruntime.GOOS == "linux" && err == nil {
			bad[libm] = "it is a shared library, but not ONNX Runtime"
		}
	}
	for path, want := range bad {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBadLibrary$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+path)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "ERROR ort-cpu is unavailable: the caller names "+path+": "+want) || strings.Count(string(out), path) != 1 {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// TestFindLoaded asks for another device than the library was loaded for.
func TestFindLoaded(t *testing.T) {
	lib := needLibrary(t)
	session(t, embedModel(), Options{}).Close()
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // where nothing is installed
	t.Setenv(library.EnvLibrary, "")
	t.Setenv(library.EnvStandard, "")
	for _, device := range []string{"cpu", "cuda", "auto"} {
		got, err := library.Find("", device)
		if held, _ := InUse(); err != nil || got != held || got.Path == "" {
			t.Errorf("for %s: %+v, %v; the process has loaded %+v", device, got, err, held)
		}
	}
	named := copyOf(t, lib.Path, t.TempDir())
	if got, err := library.Find(named, "cpu"); err != nil || got.Path != named {
		t.Errorf("another one was named: %+v, %v", got, err)
	}
}

// copyOf writes a copy of a library into dir and returns its path: a library
// that is whole, and another file.
func copyOf(t *testing.T, path, dir string) string {
	t.Helper()
	whole, err := os.ReadFile(path)
	other := filepath.Join(dir, "other-"+filepath.Base(path))
	if err := errors.Join(err, os.WriteFile(other, whole, 0o644)); err != nil {
		t.Fatal(err)
	}
	return other
}
