package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Target is a place that a program is about to write to. Claim decides whether
// it may, before any work is done.
type Target struct {
	Path string
	Kind TargetKind

	// Inputs returns the files and folders that the program reads; it is asked
	// only where anything is at Path. Refuse returns what else speaks against the
	// place: real is Path with the links in it followed, there is nil if nothing
	// is there. Both may be nil.
	Inputs func() []string
	Refuse func(real string, there fs.FileInfo) error
}

// TargetKind is what a program writes at a path.
type TargetKind int

const (
	NewFile   TargetKind = iota // a file, by Save
	SameFile                    // a file of the program's input, rewritten in its place by Save
	NewFolder                   // a folder, by SaveFolder
	RunFolder                   // the folder of a run, by OpenFolder
)

// Claim is the right to write to a place. Until it is closed no process takes
// up a run whose folder the place is in.
type Claim struct {
	Path  string // with the links in it followed
	locks []io.Closer
}

// Close gives the place free.
func (c *Claim) Close() error {
	var errs []error
	for _, l := range c.locks {
		errs = append(errs, l.Close())
	}
	c.locks = nil
	return errors.Join(errs...)
}

// Claim refuses a place that cannot be written to, is one of the inputs under
// any name, bears a name that a run keeps in its folder, or lies below the
// folder of a run that another process writes (a *LockedError). Nothing is
// changed. Errors name Path.
func (t Target) Claim() (*Claim, error) {
	info, err := t.free()
	if err != nil {
		return nil, err
	}
	real, err := t.real()
	if err != nil {
		return nil, err
	}
	folder, name := filepath.Dir(real), filepath.Base(real)
	if t.Kind != SameFile && runKeeps(folder, name) {
		return nil, fmt.Errorf("%s: the run in that folder keeps a file of this name: choose another name", t.Path)
	}
	if err := t.notInput(info); err != nil {
		return nil, err
	}
	c := &Claim{Path: real}
	if err := c.lockAbove(folder); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if t.Kind == RunFolder {
		err = idle(t.Path)
	}
	if err == nil && t.Refuse != nil {
		err = t.Refuse(c.Path, info)
	}
	if err == nil {
		err = t.writable(folder, info)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// free looks at what is at the path. It refuses what its kind cannot replace.
func (t Target) free() (there fs.FileInfo, err error) {
	if t.Path == "" {
		return nil, errors.New("the path is empty: name a place to write to")
	}
	switch t.Kind {
	case NewFolder:
		_, err = vacant(trimSeparators(t.Path))
	case RunFolder:
		if _, err := os.Stat(t.Path); err == nil && !isDir(t.Path) {
			return nil, fmt.Errorf("%s: it is a file: choose another name for the folder", t.Path)
		}
	default:
		_, err = replaceable(disk{}, t.Path)
	}
	if err != nil {
		return nil, err
	}
	there, err = os.Lstat(t.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return there, err
}

// real returns the absolute path, the links in it followed. Where a run's folder
// brings its parents with it, that is of the first one that is to be made.
func (t Target) real() (string, error) {
	if t.Kind == NewFolder || t.Kind == RunFolder { // one that is there may be called "." or be a link
		if real, err := filepath.EvalSymlinks(t.Path); err == nil {
			return filepath.Abs(real)
		}
	}
	path := trimSeparators(t.Path)
	for at := parent(path); ; path, at = at, parent(at) {
		real, err := filepath.EvalSymlinks(at)
		if errors.Is(err, fs.ErrNotExist) {
			if t.Kind == RunFolder && at != parent(at) {
				continue
			}
			return "", fmt.Errorf("%s: the folder %s does not exist: create it first", t.Path, at)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w: choose another place", t.Path, cause(err))
		}
		if !isDir(real) {
			return "", fmt.Errorf("%s: %s is not a folder: choose another place", t.Path, at)
		}
		return filepath.Abs(filepath.Join(real, filepath.Base(path)))
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// notInput refuses a file that is read too.
func (t Target) notInput(there fs.FileInfo) error {
	if t.Kind == SameFile || there == nil || t.Inputs == nil {
		return nil
	}
	for _, input := range t.Inputs() {
		info, err := os.Stat(input)
		switch {
		case err != nil || !os.SameFile(there, info): // whoever reads it says what is wrong with it
		case filepath.Clean(input) == filepath.Clean(t.Path):
			return fmt.Errorf("%s: it is an input: choose another name", t.Path)
		default:
			return fmt.Errorf("%s: it is the input %s under another name: choose another name", t.Path, input)
		}
	}
	return nil
}

// writable refuses a folder in which no file can be made, and a file that is
// protected from writing.
func (t Target) writable(folder string, there fs.FileInfo) error {
	if there != nil {
		if there.Mode().IsRegular() && there.Mode().Perm()&0o222 == 0 {
			return fmt.Errorf("%s: it is protected from writing: choose another name, or make it writable", t.Path)
		}
		if t.Kind == RunFolder {
			folder = t.Path
		}
	}
	temp := tempIn(folder)
	f, err := disk{}.create(temp, 0)
	if err != nil {
		return notMade(t.Path, folder, err)
	}
	return errors.Join(f.Close(), os.Remove(temp))
}

// lockAbove shares the lock of every run whose folder is dir or above it.
func (c *Claim) lockAbove(dir string) error {
	for {
		lock, err := shareRun(dir)
		if err != nil {
			return err
		}
		if lock != nil {
			c.locks = append(c.locks, lock)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// idle refuses the folder of a run that another process writes.
func idle(dir string) error {
	lock, err := shareRun(dir)
	if lock == nil || err != nil {
		return err
	}
	return lock.Close()
}

// shareRun keeps other processes from taking up the run of a folder. It returns
// nil for a folder without a lock: no process has a run there.
func shareRun(dir string) (io.Closer, error) {
	lock, err := shareLock(filepath.Join(dir, LockName))
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, errLocked):
		return nil, &LockedError{Folder: dir}
	}
	return nil, nil // no lock is there, or none of ours
}
