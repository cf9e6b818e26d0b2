package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// resolve returns the file that a user means by a run's folder, its newest
// checkpoint that was written to its end, or by its pointers "latest" and
// "best". Any other path is returned as it is. What was passed over is said.
func resolve(path string, s streams) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return path, nil // whoever opens it says what is wrong
	}
	if name := filepath.Base(path); info.Mode().IsRegular() && (name == store.LatestName || name == store.BestName) {
		if to, err := store.Follow(path); err == nil {
			fmt.Fprintf(s.detail, "%s is %s\n", path, to)
			return to, nil
		}
		return path, nil
	}
	if !info.IsDir() {
		return path, nil
	}
	newest, broken, err := store.Newest(path, model.CheckSeal)
	if err != nil {
		return "", explained(path, err)
	}
	for _, b := range broken {
		fmt.Fprintf(s.err, "attnx: passed over, not whole: %s\n", oneLine(b.Reason.Error()))
	}
	fmt.Fprintf(s.detail, "%s is %s\n", path, newest)
	return newest, nil
}

// A loader reads a checkpoint file: model.Load, or model.LoadModel for those who
// need no training state.
type loader func(path string) (*model.Checkpoint, error)

// loadCheckpoint reads the model that a user names: a checkpoint, a run's
// folder or a Hugging Face folder. It also returns the path of what was read.
func loadCheckpoint(path string, s streams, load loader) (*model.Checkpoint, string, error) {
	if huggingface.IsFolder(path) {
		c, rounding, err := readFolder(path, s)
		if err == nil && rounding.Changed > 0 {
			fmt.Fprintf(s.note, "%s: rounding to float32 changed %s weights, by at most %.3g\n", path, thousands(rounding.Changed), rounding.MaxAbs)
		}
		return c, path, err
	}
	if isFolder(path) {
		return loadNewest(path, s, load)
	}
	path, err := resolve(path, s)
	if err == nil {
		err = expectCheckpoint(path)
	}
	if err != nil {
		return nil, "", err
	}
	c, err := load(path)
	if err != nil {
		return nil, "", err
	}
	if c.Seal == nil {
		fmt.Fprintf(s.note, "%s has no seal: weights only, and nothing tells whether they are what was saved\n", path)
	}
	return c, path, nil
}

// loadNewest reads the newest checkpoint of a run that is whole, as its
// checksums tell. The run may be going on, and prune what was just found.
func loadNewest(dir string, s streams, load loader) (c *model.Checkpoint, path string, err error) {
	path, broken, err := store.Newest(dir, func(path string, r io.ReaderAt, size int64) (float64, error, error) {
		score, broken, err := model.CheckSeal(path, r, size)
		if broken != nil || err != nil {
			return score, broken, err
		}
		c, err = load(path)
		if damaged(err) {
			return score, err, nil
		}
		return score, nil, err
	})
	if err != nil {
		return nil, "", explained(dir, err)
	}
	for _, b := range broken {
		fmt.Fprintf(s.err, "attnx: passed over, not whole: %s\n", oneLine(b.Reason.Error()))
	}
	fmt.Fprintf(s.detail, "%s is %s\n", dir, path)
	return c, path, nil
}

// damaged reports whether an error is about the bytes of a file.
func damaged(err error) bool {
	var bad *format.FormatError
	var seal *format.SealError
	return errors.As(err, &bad) || errors.As(err, &seal)
}

// again calls do until it finds what it opens: the checkpoint of a run that is
// going on may be pruned between the look into its folder and the opening.
func again(path string, do func() error) error {
	var err error
	for range 10 {
		if err = do(); !isFolder(path) || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkpointsOf returns the files that arguments mean, those of a run oldest
// first; last, if it is not 0, takes so many of the newest of each run.
func checkpointsOf(args []string, last int) ([]string, error) {
	var paths []string
	runs := 0
	for _, arg := range args {
		if !isFolder(arg) || huggingface.IsFolder(arg) {
			paths = append(paths, arg)
			continue
		}
		saved, _, err := store.List(arg, model.CheckSeal)
		if err != nil {
			return nil, err
		}
		if len(saved) == 0 {
			return nil, noCheckpoint(arg)
		}
		if runs++; last > 0 && last < len(saved) {
			saved = slices.Delete(saved, 0, len(saved)-last)
		}
		for _, c := range saved {
			paths = append(paths, c.Path)
		}
	}
	if last > 0 && runs == 0 {
		return nil, fmt.Errorf("--last belongs to a run's folder, and none is named")
	}
	return paths, nil
}
