package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Saved is a checkpoint in a run's folder.
type Saved struct {
	Step         int
	Path         string
	Bytes        int64
	Score        float64 // NaN if it has none
	Broken       error   // nil if it is whole
	Err          error   // why its state is unknown
	Latest, Best bool    // whether the pointers name it
}

// List checks the checkpoints of a run, oldest first, and changes nothing.
// Another process may be writing the run. aside lists the files set aside.
func List(dir string, check Check) (saved []Saved, aside []string, err error) {
	for range tries {
		var listed int
		saved, aside, listed, err = list(dir, check)
		if err != nil || len(saved) > 0 || listed == 0 {
			break // otherwise all of them were pruned in the meantime
		}
	}
	return saved, aside, err
}

func list(dir string, check Check) (saved []Saved, aside []string, listed int, err error) {
	names, err := settled(disk{}, dir)
	if err != nil {
		return nil, nil, 0, err
	}
	pointed := func(name string) int {
		step, err := readPointer(disk{}, filepath.Join(dir, name))
		if err != nil {
			return -1
		}
		return step
	}
	latest, best := pointed(LatestName), pointed(BestName)
	steps := stepsOf(names)
	for _, step := range steps {
		s := Saved{Step: step, Path: filepath.Join(dir, stepName(step)), Latest: step == latest, Best: step == best}
		info, err := os.Lstat(s.Path)
		if errors.Is(err, os.ErrNotExist) {
			continue // pruned in the meantime
		}
		if err != nil {
			return nil, nil, 0, err
		}
		s.Bytes = info.Size()
		s.Score, s.Broken, s.Err = look(disk{}, s.Path, check)
		if errors.Is(s.Err, os.ErrNotExist) {
			continue
		}
		saved = append(saved, s)
	}
	for _, name := range names {
		if strings.Contains(name, corruptSuffix) {
			aside = append(aside, filepath.Join(dir, name))
		}
	}
	return saved, aside, len(steps), nil
}

// tries bounds how often a folder is listed that another process writes at the
// same time.
const tries = 100

// settled is regular for a run that another process may be writing. While a
// folder is read, its only checkpoint can be replaced by a newer one, and the
// listing can miss both. The lock and the pointer say that the folder is a run's.
func settled(d files, dir string) (names []string, err error) {
	isRun := func(name string) bool {
		_, err := d.lstat(filepath.Join(dir, name))
		return err == nil
	}
	for range tries {
		names, err = regular(d, dir)
		if err != nil || len(stepsOf(names)) > 0 || !isRun(LockName) && !isRun(LatestName) {
			break
		}
	}
	return names, err
}

// ErrNone reports that a folder has no checkpoint, whole or broken.
var ErrNone = errors.New("the folder holds no checkpoint")

// Newest returns the newest whole checkpoint of a run, and the newer ones that
// are broken. It changes nothing. Another process may be writing the run and
// prune the result before it is opened.
func Newest(dir string, check Check) (path string, broken []Broken, err error) {
	return newest(disk{}, dir, check)
}

func newest(d files, dir string, check Check) (path string, broken []Broken, err error) {
	names, err := settled(d, dir)
	if err != nil {
		return "", nil, err
	}
	for _, step := range slices.Backward(stepsOf(names)) {
		path := filepath.Join(dir, stepName(step))
		_, bad, err := look(d, path, check)
		if errors.Is(err, os.ErrNotExist) {
			return newest(d, dir, check) // pruned in the meantime: a newer one exists
		}
		if err != nil {
			return "", nil, err
		}
		if bad == nil {
			return path, broken, nil
		}
		broken = append(broken, Broken{path, bad})
	}
	if len(broken) > 0 {
		return "", broken, fmt.Errorf("%s: none of its checkpoints is whole, %d are broken: %w", dir, len(broken), broken[0].Reason)
	}
	return "", nil, fmt.Errorf("%s: %w", dir, ErrNone)
}

// Follow returns the checkpoint that the pointer file "latest" or "best" of a
// run names.
func Follow(path string) (string, error) {
	step, err := readPointer(disk{}, path)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(path), stepName(step)), nil
}
