package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The names in a run's folder.
const (
	LatestName    = "latest"
	BestName      = "best"
	lockName      = "LOCK"
	corruptSuffix = ".corrupt"
)

// Check looks at the checkpoint at path, of size bytes, which is open as r. It
// returns its score, lower is better, NaN if it has none; broken says why it is
// not whole. err is for one that could not be looked at, or not understood:
// such a file is left alone. Both name the path.
type Check func(path string, r io.ReaderAt, size int64) (score float64, broken, err error)

// Options say how a run's checkpoints are kept.
type Options struct {
	Keep  int   // the newest checkpoints that stay, 1 or more; the best stays too
	Check Check // of everything in the file
}

// Folder is a run's folder that this process writes. Its methods are for one
// goroutine at a time.
type Folder struct {
	disk    files
	dir     string
	options Options
	lock    io.Closer
	steps   []int // that are there, whole, rising
	own     []int // of them: that this process saved
	best    int   // -1 if none has a score
	score   float64
	aside   []Broken
}

// Broken is a checkpoint that is not whole.
type Broken struct {
	Path   string // where it lies now
	Reason error
}

// SpaceError says that a disk has no room for a checkpoint. Nothing was
// written.
type SpaceError struct {
	Folder     string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: a checkpoint takes %d bytes, the disk has %d left: make room, or keep fewer", e.Folder, e.Need, e.Free)
}

// LockedError says that another process writes to a run's folder.
type LockedError struct{ Folder string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: another process trains into this folder: wait for its end, or choose another", e.Folder)
}

// OpenFolder makes dir the folder of this process's run, making it if it is not
// there, and puts it in order: it removes what a save that did not come to its
// end left, sets checkpoints aside that are not whole, and mends the pointers. A
// folder that another process has gives a *LockedError.
func OpenFolder(dir string, o Options) (*Folder, error) {
	if o.Keep < 1 {
		return nil, fmt.Errorf("%s: %d checkpoints to keep, wants 1 or more", dir, o.Keep)
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if errors.Is(err, errLocked) {
		return nil, &LockedError{Folder: dir}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: it cannot be locked, and so not be written to: %w", dir, cause(err))
	}
	f, err := recoverFolder(disk{}, dir, o)
	if err != nil {
		lock.Close()
		return nil, err
	}
	f.lock = lock
	return f, nil
}

// makeFolder makes a folder whose name survives a power cut.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s: it is a file: choose another name for the folder", dir)
		}
		return nil
	}
	var parents []string // of the folders that are to be made
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("%s: no folder can be made: %w", dir, cause(err))
	}
	for _, parent := range parents {
		if err := syncFolder(parent); err != nil {
			return fmt.Errorf("%s: made, but a power cut may still undo it: %w", dir, cause(err))
		}
	}
	return nil
}

// recoverFolder is what OpenFolder does under the lock.
func recoverFolder(d files, dir string, o Options) (*Folder, error) {
	f := &Folder{disk: d, dir: dir, options: o, best: -1, score: math.NaN()}
	names, err := regular(d, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix) {
			if err := d.remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("%s: the rest of a save that was cut off cannot be removed: %w", dir, err)
			}
		}
	}
	// Every checkpoint is read: the newest must be whole to go on from it, the best
	// to be kept, and the others to count among those that are.
	for _, step := range slices.Backward(stepsOf(names)) {
		score, broken, err := look(d, f.Path(step), o.Check)
		switch {
		case err != nil && len(f.steps) == 0:
			return nil, err // the newest cannot be read, which does not make it broken
		case err != nil: // an older one: it is left alone
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

// setAside gives a checkpoint that is not whole a name under which nothing
// takes it for one. It is not removed: it may be all that is left of a week.
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

// rank takes a step for the best if its score is lower than the best's.
func (f *Folder) rank(step int, score float64) {
	if score < f.score || f.best < 0 && !math.IsNaN(score) {
		f.best, f.score = step, score
	}
}

// Close gives the folder free. Closing again does nothing.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	lock := f.lock
	f.lock = nil
	return lock.Close()
}

// Keep changes how many of the newest checkpoints stay.
func (f *Folder) Keep(newest int) { f.options.Keep = max(1, newest) }

// Abandon removes what this process saved in a run that has come to nothing,
// and the folder if it is empty then, and gives it free.
func (f *Folder) Abandon() error {
	var names []string
	if len(f.own) == len(f.steps) {
		names = []string{LatestName, BestName, lockName}
	}
	for _, step := range f.own {
		names = append(names, stepName(step))
	}
	for _, name := range names {
		if err := f.disk.remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) && name != lockName {
			return fmt.Errorf("%s: the run came to nothing, and what it wrote cannot be removed: %w", f.dir, err)
		}
	}
	err := f.Close()
	if len(f.own) == len(f.steps) {
		_ = f.disk.remove(f.dir) // only if it is empty
	}
	return err
}

// SetAside tells which checkpoints OpenFolder found broken.
func (f *Folder) SetAside() []Broken { return f.aside }

// Latest returns the newest checkpoint; ok is false if there is none.
func (f *Folder) Latest() (path string, ok bool) {
	if len(f.steps) == 0 {
		return "", false
	}
	return f.Path(f.steps[len(f.steps)-1]), true
}

// Path returns where the checkpoint of a step lies.
func (f *Folder) Path(step int) string { return filepath.Join(f.dir, stepName(step)) }

// Save writes the checkpoint of a step that has none yet, of size bytes. When
// it returns nil the checkpoint survives a power cut, the pointers tell of it,
// and what is not to be kept is gone. After an error every earlier checkpoint
// is still there; the new one may be, and is whole then.
func (f *Folder) Save(step int, size int64, score float64, write func(io.Writer) error) error {
	path := f.Path(step)
	if _, err := f.disk.lstat(path); err == nil {
		return fmt.Errorf("%s: it is there already, and a checkpoint is never written twice", path)
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

// spaceForPointers is what "latest" and "best" take beside a checkpoint, with
// room for the folder's own growth.
const spaceForPointers = 64 << 10

// point makes the pointers say what is so. One that would name nothing is
// removed.
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
		case p.step < 0: // it is no pointer of ours
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

// prune removes what is not to be kept, oldest first.
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

// kept returns which of the steps stay: the newest, and the best.
func kept(steps []int, newest, best int) []int {
	return slices.DeleteFunc(slices.Clone(steps), func(s int) bool {
		return s != best && slices.Index(steps, s) < len(steps)-newest
	})
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

func stepName(step int) string { return fmt.Sprintf("step-%08d.safetensors", step) }

var stepPattern = regexp.MustCompile(`^step-([0-9]{8,18})\.safetensors$`)

// stepOf returns the step of a checkpoint's name.
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
