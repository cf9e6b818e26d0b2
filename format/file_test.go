package format_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// TestNewFile reads a file that was opened before, through an os.Root. What is
// no safetensors file, or no file, stays open for the caller.
func TestNewFile(t *testing.T) {
	dir := t.TempDir()
	x := format.FromFloat32s("x", []int{2}, []float32{1, 2})
	for name, b := range map[string][]byte{"good": write(t, nil, x), "bad": []byte("no safetensors file")} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	open := func(name string) *os.File {
		f, err := root.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open("good")
	file, err := format.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := file.Tensor("x"); err != nil || string(got.Data) != string(x.Data) {
		t.Errorf("read %v, %v", got, err)
	}
	if _, err := file.Tensor("y"); err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, "good")+": ") {
		t.Errorf("got %v", err)
	}
	if err := file.Close(); err != nil || f.Close() == nil {
		t.Errorf("Close gave %v, or left the file open", err)
	}
	for name, want := range map[string]string{"bad": "not a safetensors file", ".": "not a regular file"} {
		f := open(name)
		_, err := format.NewFile(f)
		if err == nil || !strings.HasPrefix(err.Error(), dir) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, want)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Errorf("%s: it was closed: %v", name, err)
		}
		f.Close()
	}
}
