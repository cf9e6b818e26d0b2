package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// recoverFolder does the work of OpenFolder, under the lock.
func recoverFolder(d files, dir string, o Options) (*Folder, error) {
	f := &Folder{disk: d, dir: dir, options: o, best: -1, score: math.NaN()}
	names, err := regular(d, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix) {
			if err := d.remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("%s: the rest of an interrupted save cannot be removed: %w", dir, err)
			}
		}
	}
	// Check every checkpoint: training resumes from the newest, keeps the
	// best, and counts only whole ones.
	for _, step := range slices.Backward(stepsOf(names)) {
		score, broken, err := look(d, f.Path(step), o.Check)
		switch {
		case err != nil && len(f.steps) == 0:
			return nil, err // an unreadable newest checkpoint is not necessarily broken
		case err != nil: // an older one: leave it alone
			f.steps = slices.Insert(f.steps, 0, step)
		case broken != nil:
			if err := f.setAside(step, broken); err != nil {
				return nil, err
			}
		default:
			f.steps = slices.Insert(f.steps, 0, step)
			f.rank(step, score)
		}
	}
	return f, f.point()
}

// setAside renames a broken checkpoint so that nothing reads it as a
// checkpoint. It is not removed: it may be all that is left of a week of
// training.
func (f *Folder) setAside(step int, broken error) error {
	from := f.Path(step)
	to := from + corruptSuffix
	for i := 2; ; i++ {
		if _, err := f.disk.lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", to, cause(err))
		}
		to = from + corruptSuffix + "." + strconv.Itoa(i)
	}
	if err := f.disk.rename(from, to); err != nil {
		return fmt.Errorf("%w; it is not whole and cannot be set aside: %w", broken, cause(err))
	}
	if err := f.disk.syncFolder(f.dir); err != nil {
		return fmt.Errorf("%s: %w", f.dir, cause(err))
	}
	f.aside = append(f.aside, Broken{to, broken})
	return nil
}

// look checks the file at path.
func look(d files, path string, check Check) (score float64, broken, err error) {
	r, err := d.open(path)
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	size, err := r.size()
	if err != nil {
		return 0, nil, err
	}
	return check(path, r, size)
}

// regular returns the names of the regular files in a folder.
func regular(d files, dir string) ([]string, error) {
	entries, err := d.readDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
