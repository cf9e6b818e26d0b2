package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is a file of a folder that SaveFolder makes.
type File struct {
	Name  string // in the folder, with slashes: "onnx/model.onnx" lies in a folder of its own
	Write func(io.Writer) error
	Link  string // instead of Write: the Name of a file before it, which gets this one too
}

// SaveFolder makes the folder at path with the given files and nothing else.
// They are written in their order and synced in a new folder ".attnx-*.tmp"
// beside it, which is then renamed to path, and the parent folder is synced:
// the folder is there whole or not at all. A second name is a hard link, or a
// copy where the file system has none. After an error nothing new is left
// behind. A path at which anything is but an empty folder is refused before
// anything is written. Errors name path.
func SaveFolder(path string, files []File) error {
	path = trimSeparators(path)
	empty, err := vacant(path)
	if err != nil {
		return err
	}
	in, err := filepath.EvalSymlinks(parent(path))
	if err != nil {
		return notMade(path, parent(path), err)
	}
	temp := tempIn(in)
	if err := os.Mkdir(temp, 0o777); err != nil {
		return notMade(path, in, err)
	}
	renamed := false
	defer func() { // also when a file's Write panics
		if !renamed {
			os.RemoveAll(temp)
		}
	}()
	folders := []string{temp}
	for _, f := range files {
		if folders, err = putInto(temp, f, folders); err != nil {
			return fmt.Errorf("%s: not written: %w", filepath.Join(path, f.Name), err)
		}
	}
	for _, f := range slices.Backward(folders) { // the inner ones first
		if err := syncFolder(f); err != nil {
			return fmt.Errorf("%s: not written: syncing it: %w", path, cause(err))
		}
	}
	if err := rename(temp, path, empty); err != nil {
		return fmt.Errorf("%s: not made: %w", path, cause(err))
	}
	renamed = true
	if err := syncFolder(in); err != nil {
		return fmt.Errorf("%s: written, but a power cut may still undo it: syncing %s: %w", path, in, cause(err))
	}
	return nil
}

// vacant reports whether a folder may be put at path; empty is the empty
// folder that is there, nil when there is none.
func vacant(path string) (empty fs.FileInfo, err error) {
	if base := filepath.Base(path); base == "." || base == ".." || base == string(filepath.Separator) {
		return nil, fmt.Errorf("%s: a folder cannot be put in the place of this one: name a new folder", path)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w: choose another name", path, cause(err))
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%s: it is a symbolic link, which is not followed: name the folder itself", path)
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

// putInto puts a file into the folder temp. It returns the folders that there
// are, those that the file's name brought with it appended.
func putInto(temp string, f File, folders []string) ([]string, error) {
	at := temp
	parts := strings.Split(f.Name, "/")
	for _, part := range parts[:len(parts)-1] {
		if at = filepath.Join(at, part); slices.Contains(folders, at) {
			continue
		}
		if err := os.Mkdir(at, 0o777); err != nil {
			return folders, cause(err)
		}
		folders = append(folders, at)
	}
	to := filepath.Join(temp, filepath.FromSlash(f.Name))
	if f.Link == "" {
		return folders, saveNew(to, f.Write)
	}
	return folders, name(filepath.Join(temp, filepath.FromSlash(f.Link)), to, os.Link)
}

// name gives a file a second name, by link or, where that fails, as a copy.
func name(from, to string, link func(from, to string) error) error {
	if link(from, to) == nil {
		return nil
	}
	return saveNew(to, func(w io.Writer) error {
		r, err := os.Open(from)
		if err != nil {
			return cause(err)
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return cause(err)
	})
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
