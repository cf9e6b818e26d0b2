//go:build unix

package huggingface_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPipes puts a pipe in the place of each file. To open it would wait for
// ever.
func TestPipes(t *testing.T) {
	for _, c := range []struct{ folder, name string }{
		{"whole", "config.json"}, {"whole", weightsFile}, {"whole", "tokenizer.json"}, {"sharded", indexFile}, {"sharded", shard2},
	} {
		dir := unpacked(t, c.folder)
		path := filepath.Join(dir, c.name)
		os.Remove(path) // the tokenizer is not there
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skipf("no pipes here: %v", err)
		}
		wantRefused(t, dir, c.name+": it is not a regular file")
	}
}
