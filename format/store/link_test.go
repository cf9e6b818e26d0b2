package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestNameWithoutLinks gives a file a second name on a file system that has no
// hard links: it becomes a copy.
func TestNameWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("weights"), 0o666); err != nil {
		t.Fatal(err)
	}
	none := func(string, string) error { return errors.ErrUnsupported }
	if err := name(from, to, none); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "weights" {
		t.Errorf("the copy is %q, %v", got, err)
	}
	if err := name(filepath.Join(dir, "nothing"), filepath.Join(dir, "other"), none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a copy of no file: %v", err)
	}
}
