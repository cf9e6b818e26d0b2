package usage_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/cmd/attnx/internal/usage"
)

// A pattern stands for files, and what is not there may be a folder.
func TestSomeFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.txt")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{dir: true, file: false, "-": false, filepath.Join(dir, "*.txt"): false, filepath.Join(dir, "none"): true} {
		if got := usage.SomeFolder([]string{path}); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
