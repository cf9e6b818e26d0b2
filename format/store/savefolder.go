package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is a file of a folder that SaveFolder makes.
type File struct {
	Name  string // in the folder
	Write func(io.Writer) error
}

// SaveFolder makes the folder at path with the given files and nothing else.
// They are written and synced in a new folder ".attnx-*.tmp" beside it, which
// is then renamed to path, and the parent folder is synced: the folder is
// there whole or not at all. After an error nothing new is left behind. A path
// at which anything is but an empty folder is refused before anything is
// written. Errors name path.
func SaveFolder(path string, files []File) error {
	path = filepath.Clean(path)
	if base := filepath.Base(path); base == "." || base == ".." || base == string(filepath.Separator) {
		return fmt.Errorf("%s: a folder cannot be put in the place of this one: name a new folder", path)
	}
	empty, err := vacant(path)
	if err != nil {
		return err
	}
	parent := filepath.Dir(path)
	temp := filepath.Join(parent, tempPrefix+strings.ToLower(rand.Text())+tempSuffix)
	err = os.Mkdir(temp, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the folder %s does not exist: create it first", path, parent)
	}
	if err != nil {
		return fmt.Errorf("%s: no folder can be made in %s: %w", path, parent, cause(err))
	}
	renamed := false
	defer func() { // also when a file's Write panics
		if !renamed {
			os.RemoveAll(temp)
		}
	}()
	for _, f := range files {
		if err := saveNew(filepath.Join(temp, f.Name), f.Write); err != nil {
			return fmt.Errorf("%s: not written: %w", filepath.Join(path, f.Name), err)
		}
	}
	if err := syncFolder(temp); err != nil {
		return fmt.Errorf("%s: not written: syncing it: %w", path, cause(err))
	}
	if err := rename(temp, path, empty); err != nil {
		return fmt.Errorf("%s: not made: %w", path, cause(err))
	}
	renamed = true
	if err := syncFolder(parent); err != nil {
		return fmt.Errorf("%s: written, but a power cut may still undo it: syncing %s: %w", path, parent, cause(err))
	}
	return nil
}

// vacant reports whether a folder may be put at path; empty is the empty
// folder that is there, nil when there is none.
func vacant(path string) (empty fs.FileInfo, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%s: it is a symbolic link: name the folder it points to, or remove it", path)
	case !info.IsDir():
		return nil, fmt.Errorf("%s: it exists and is not a folder: choose another name", path)
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	defer d.Close()
	switch _, err := d.Readdirnames(1); {
	case err == nil:
		return nil, fmt.Errorf("%s: the folder is not empty: name a new folder, or empty it", path)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	return info, nil
}

// rename puts the folder temp in the place of an empty one, or of none. Package
// os renames no folder onto another, so that an empty one goes first; it is
// removed only while it is empty, and comes back if the renaming fails.
func rename(temp, path string, empty fs.FileInfo) error {
	if empty != nil {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	err := os.Rename(temp, path)
	if err != nil && empty != nil {
		return errors.Join(err, os.Mkdir(path, empty.Mode().Perm()))
	}
	return err
}

// saveNew writes, syncs and closes a new file.
func saveNew(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return cause(err)
	}
	defer f.Close() // it is closed already unless something failed
	return fill(f, write)
}
