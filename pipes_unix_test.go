//go:build unix

package attnx

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestPipesInFolders puts a pipe under each name that a folder's readers look at, and
// asks every reader of folders. Opening a pipe waits for a writer, for ever.
func TestPipesInFolders(t *testing.T) {
	for _, name := range []string{
		"x.npy", "model.onnx", "onnx", "onnx/model.onnx", "snapshots", "snapshots/x", "refs/main", "weights.gguf", "config.json", "latest", "best", "step-00000001.safetensors",
		"model.safetensors", "model.safetensors.index.json", "tokenizer.json", "pytorch_model.bin", "test_data_set_0", "test_data_set_0/input_0.pb",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pipe := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(pipe), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Skipf("no pipes here: %v", err)
			}
			opened := opens(t, pipe)
			ctx := context.Background()
			for what, read := range map[string]func() error{
				"Inspect":     func() error { _, err := Inspect(dir, nil); return err },
				"Load":        func() error { _, err := Load(dir, nil); return err },
				"RunONNX":     func() error { _, err := RunONNX(dir, RunOptions{}); return err },
				"VerifyFiles": func() error { _, err := VerifyFiles(ctx, []string{dir}, nil, VerifyOptions{}); return err },
				"CompareONNX": func() error { _, err := CompareONNX(ctx, dir, dir, DiffOptions{}); return err },
				"Open":        func() error { _, err := Open(dir, Options{}); return err },
			} {
				if read() == nil {
					t.Errorf("%s takes a folder with nothing but a pipe", what)
				}
				if opened() {
					t.Fatalf("%s opens the pipe", what)
				}
			}
		})
	}
}

// opens tells whether something opened the pipe, and lets it go on.
func opens(t *testing.T, pipe string) func() bool {
	var read, over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for a reader
			if err != nil {
				return
			}
			read.Store(!over.Load())
			w.Close()
		}
	}()
	t.Cleanup(func() {
		over.Store(true)
		r, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // so that the writer ends
		if err != nil {
			t.Error(err)
			return
		}
		<-done
		r.Close()
	})
	return read.Load
}
