package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func stepName(step int) string { return fmt.Sprintf("step-%08d.safetensors", step) }

var stepPattern = regexp.MustCompile(`^step-([0-9]{8,18})\.safetensors$`)

// stepOf returns the step in the name of a checkpoint.
func stepOf(name string) (int, bool) {
	m := stepPattern.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	step, err := strconv.Atoi(m[1])
	return step, err == nil && stepName(step) == name
}

func stepsOf(names []string) []int {
	var steps []int
	for _, name := range names {
		if step, ok := stepOf(name); ok {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	return steps
}

// readPointer returns the step that a pointer names.
func readPointer(d files, path string) (int, error) {
	info, err := d.lstat(path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() || info.Size() > 100 {
		return 0, fmt.Errorf("%s: it does not name a checkpoint", path)
	}
	r, err := d.open(path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	b := make([]byte, info.Size())
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return 0, err
	}
	step, ok := stepOf(strings.TrimSuffix(string(b), "\n"))
	if !ok {
		return 0, fmt.Errorf("%s: it does not name a checkpoint", path)
	}
	return step, nil
}

// point updates the pointers and removes one that has no checkpoint.
func (f *Folder) point() error {
	latest := -1
	if len(f.steps) > 0 {
		latest = f.steps[len(f.steps)-1]
	}
	for _, p := range []struct {
		name string
		step int
	}{{LatestName, latest}, {BestName, f.best}} {
		path := filepath.Join(f.dir, p.name)
		old, err := readPointer(f.disk, path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && p.step < 0, err == nil && old == p.step:
			continue
		case p.step < 0 && err == nil:
			err = f.disk.remove(path)
		case p.step < 0: // not one of our pointers
			err = nil
		default:
			err = save(f.disk, path, 0, func(w io.Writer) error {
				_, err := io.WriteString(w, stepName(p.step)+"\n")
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
