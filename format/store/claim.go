package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Target is a path that a program is about to write. Claim checks it before
// the program does any work.
type Target struct {
	Path string
	Kind TargetKind

	// Inputs returns the files and folders that the program reads. Claim calls
	// it only if Path exists. Refuse returns any other reason against the
	// path: real is Path with its links resolved, there is nil if nothing
	// exists. Both may be nil.
	Inputs func() []string
	Refuse func(real string, there fs.FileInfo) error
}

// TargetKind is the kind of output at a path.
type TargetKind int

const (
	NewFile   TargetKind = iota // a file, by Save
	SameFile                    // an input file, rewritten in place by Save
	NewFolder                   // a folder, by SaveFolder
	RunFolder                   // the folder of a run, by OpenFolder
)

// Claim is permission to write to a path. Until it is closed, no process can
// open a run whose folder contains the path.
type Claim struct {
	Path  string // with links resolved
	locks []io.Closer
}

// Close releases the path.
func (c *Claim) Close() error {
	var errs []error
	for _, l := range c.locks {
		errs = append(errs, l.Close())
	}
	c.locks = nil
	return errors.Join(errs...)
}

// Claim rejects a path that is not writable, that is one of the inputs under
// any name, that has a name reserved by a run in its folder, or that lies
// below the folder of a run that another process writes (a *LockedError). It
// changes nothing on disk. Errors name Path.
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

// free returns what exists at the path, and rejects what its kind cannot
// replace.
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

// real returns the absolute path with its links resolved. For a run's folder
// whose parents do not exist yet, it resolves the first that exists.
func (t Target) real() (string, error) {
	if t.Kind == NewFolder || t.Kind == RunFolder { // an existing one may be "." or a link
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

// notInput rejects a file that is also an input.
func (t Target) notInput(there fs.FileInfo) error {
	if t.Kind == SameFile || there == nil || t.Inputs == nil {
		return nil
	}
	for _, input := range t.Inputs() {
		info, err := os.Stat(input)
		switch {
		case err != nil || !os.SameFile(there, info): // the code that reads it reports the error
		case filepath.Clean(input) == filepath.Clean(t.Path):
			return fmt.Errorf("%s: it is an input: choose another name", t.Path)
		default:
			return fmt.Errorf("%s: it is the input %s under another name: choose another name", t.Path, input)
		}
	}
	return nil
}

// writable rejects a folder in which no file can be created, and a
// write-protected file.
func (t Target) writable(folder string, there fs.FileInfo) error {
	if there != nil {
		if there.Mode().IsRegular() && there.Mode().Perm()&0o222 == 0 {
			return fmt.Errorf("%s: it is write-protected: choose another name, or make it writable", t.Path)
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

// lockAbove takes a shared lock on every run whose folder is dir or above it.
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

// idle rejects the folder of a run that another process writes.
func idle(dir string) error {
	lock, err := shareRun(dir)
	if lock == nil || err != nil {
		return err
	}
	return lock.Close()
}

// shareRun keeps other processes from opening the run in a folder. It returns
// nil for a folder without a lock: no process has a run there.
func shareRun(dir string) (io.Closer, error) {
	lock, err := shareLock(filepath.Join(dir, LockName))
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, errLocked):
		return nil, &LockedError{Folder: dir}
	}
	return nil, nil // no lock, or not one of ours
}
