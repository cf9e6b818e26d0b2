package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Names in a run's folder.
const (
	LatestName    = "latest"
	BestName      = "best"
	LockName      = "LOCK"
	corruptSuffix = ".corrupt"
)

// Check checks the checkpoint at path, of size bytes, open as r. It returns
// its score: lower is better, NaN means none. broken is the reason why it is
// not whole. err means that the file could not be read or understood; store
// then leaves it alone. Both errors name the path.
type Check func(path string, r io.ReaderAt, size int64) (score float64, broken, err error)

// Options control how a run keeps its checkpoints.
type Options struct {
	Keep  int   // newest checkpoints to keep, 1 or more; the best is kept too
	Check Check // checks the whole file
}

// Folder is a run's folder that this process writes. It is not safe for
// concurrent use.
type Folder struct {
	disk    files
	dir     string
	options Options
	lock    io.Closer
	steps   []int // whole checkpoints, in increasing order
	own     []int // the subset that this process saved
	best    int   // -1 if none has a score
	score   float64
	aside   []Broken
}

// Broken is a checkpoint that is not whole.
type Broken struct {
	Path   string // where it is now
	Reason error
}

// SpaceError reports that a disk has no room for a checkpoint. Nothing was
// written.
type SpaceError struct {
	Folder     string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: a checkpoint takes %d bytes, the disk has %d left: make room, or keep fewer", e.Folder, e.Need, e.Free)
}

// LockedError reports that another process writes to a run's folder.
type LockedError struct{ Folder string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: another process is writing to this run: wait until it ends, or choose another place", e.Folder)
}

// OpenFolder opens or creates the folder dir of a run and repairs it: it
// removes files of an interrupted save, sets broken checkpoints aside and
// corrects the pointers. If another process has the run, the error is a
// *LockedError.
func OpenFolder(dir string, o Options) (*Folder, error) {
	if o.Keep < 1 {
		return nil, fmt.Errorf("%s: %d checkpoints to keep, expects 1 or more", dir, o.Keep)
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, LockName))
	if errors.Is(err, errLocked) {
		return nil, &LockedError{Folder: dir}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: it cannot be locked, so nothing can be written to it: %w", dir, cause(err))
	}
	f, err := recoverFolder(disk{}, dir, o)
	if err != nil {
		lock.Close()
		return nil, err
	}
	f.lock = lock
	return f, nil
}

// makeFolder creates a folder whose name survives a power cut.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s: it is a file: choose another name for the folder", dir)
		}
		return nil
	}
	var parents []string // of the folders to create
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("%s: the folder cannot be created: %w", dir, cause(err))
	}
	for _, parent := range parents {
		if err := syncFolder(parent); err != nil {
			return fmt.Errorf("%s: created, but a power cut may still undo it: %w", dir, cause(err))
		}
	}
	return nil
}

// rank makes step the best if its score is lower than the best one. Of two
// equal scores the earlier step is the best.
func (f *Folder) rank(step int, score float64) {
	if score < f.score || score == f.score && step < f.best || f.best < 0 && !math.IsNaN(score) {
		f.best, f.score = step, score
	}
}

// Close releases the folder. It may be called again.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	lock := f.lock
	f.lock = nil
	return lock.Close()
}

// Keep changes the number of newest checkpoints to keep.
func (f *Folder) Keep(newest int) { f.options.Keep = max(1, newest) }

// Abandon removes this process's checkpoints, removes the folder if it is then
// empty, and releases the lock. It removes the lock file before it releases
// the lock; if the system does not allow that, the file stays.
func (f *Folder) Abandon() error {
	var names []string
	if len(f.own) == len(f.steps) {
		names = []string{LatestName, BestName, LockName}
	}
	for _, step := range f.own {
		names = append(names, stepName(step))
	}
	for _, name := range names {
		if err := f.disk.remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) && name != LockName {
			return fmt.Errorf("%s: the run was abandoned, but its files cannot be removed: %w", f.dir, err)
		}
	}
	err := f.Close()
	if len(f.own) == len(f.steps) {
		_ = f.disk.remove(f.dir) // only if it is empty
	}
	return err
}

// SetAside returns the checkpoints that OpenFolder found broken.
func (f *Folder) SetAside() []Broken { return f.aside }

// Latest returns the newest checkpoint; ok is false if there is none.
func (f *Folder) Latest() (path string, ok bool) {
	if len(f.steps) == 0 {
		return "", false
	}
	return f.Path(f.steps[len(f.steps)-1]), true
}

// Path returns the path of the checkpoint of a step.
func (f *Folder) Path(step int) string { return filepath.Join(f.dir, stepName(step)) }

// Save writes the checkpoint of a new step, of size bytes. When it returns
// nil, the checkpoint survives a power cut, the pointers are current, and
// surplus checkpoints are gone. After an error every earlier checkpoint still
// exists; the new one may exist, and is whole if it does.
func (f *Folder) Save(step int, size int64, score float64, write func(io.Writer) error) error {
	path := f.Path(step)
	if _, err := f.disk.lstat(path); err == nil {
		return fmt.Errorf("%s: it exists already, and a checkpoint is never overwritten", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, cause(err))
	}
	if free, known := f.disk.free(f.dir); known && free < size+spaceForPointers {
		return &SpaceError{Folder: f.dir, Need: size + spaceForPointers, Free: free}
	}
	if err := save(f.disk, path, 0, write); err != nil {
		return err
	}
	f.own = append(f.own, step)
	f.steps = append(f.steps, step)
	slices.Sort(f.steps)
	f.rank(step, score)
	if err := f.point(); err != nil {
		return err
	}
	return f.prune()
}

// spaceForPointers is the space for "latest", "best" and the growth of the
// folder itself.
const spaceForPointers = 64 << 10

// prune removes surplus checkpoints, oldest first.
func (f *Folder) prune() error {
	kept := kept(f.steps, f.options.Keep, f.best)
	for _, step := range slices.Clone(f.steps) {
		if slices.Contains(kept, step) {
			continue
		}
		if err := f.disk.remove(f.Path(step)); err != nil {
			return fmt.Errorf("%s: saved, but an old checkpoint cannot be removed: %w", f.dir, err)
		}
		gone := func(s int) bool { return s == step }
		f.steps, f.own = slices.DeleteFunc(f.steps, gone), slices.DeleteFunc(f.own, gone)
	}
	return nil
}

// kept returns the steps to keep: the newest, and the best.
func kept(steps []int, newest, best int) []int {
	return slices.DeleteFunc(slices.Clone(steps), func(s int) bool {
		return s != best && slices.Index(steps, s) < len(steps)-newest
	})
}
