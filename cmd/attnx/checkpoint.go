package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// resolve returns the file that a user means by a run's folder, its newest
// whole checkpoint, or by its pointers "latest" and "best". Any other path is
// returned as it is. What is not whole is said to warn.
func resolve(path string, warn io.Writer) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return path, nil // whoever opens it says what is wrong
	}
	if name := filepath.Base(path); info.Mode().IsRegular() && (name == store.LatestName || name == store.BestName) {
		if to, err := store.Follow(path); err == nil {
			return to, nil
		}
		return path, nil
	}
	if !info.IsDir() {
		return path, nil
	}
	newest, broken, err := model.Newest(path)
	if err != nil {
		return "", err
	}
	for _, b := range broken {
		fmt.Fprintf(warn, "attnx: passed over, not whole: %s\n", oneLine(b.Reason.Error()))
	}
	return newest, nil
}

// loadCheckpoint reads the model that a user names: a checkpoint, a run's
// folder or a Hugging Face folder. It also returns the path of what was read.
func loadCheckpoint(path string, warn io.Writer) (*model.Checkpoint, string, error) {
	if huggingface.IsFolder(path) {
		c, rounding, err := huggingface.Read(path)
		if err == nil && rounding.Changed > 0 {
			fmt.Fprintf(warn, "%s: rounding to float32 changed %s weights, by at most %.3g\n", path, thousands(rounding.Changed), rounding.MaxAbs)
		}
		return c, path, err
	}
	path, err := resolve(path, warn)
	if err != nil {
		return nil, "", err
	}
	c, err := model.Load(path)
	if err != nil {
		return nil, "", err
	}
	if c.Seal == nil {
		fmt.Fprintf(warn, "%s has no seal: weights only, and nothing tells whether they are what was saved\n", path)
	}
	return c, path, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
