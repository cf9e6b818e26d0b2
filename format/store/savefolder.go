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

// File is a file of a folder that SaveFolder creates.
type File struct {
	Name  string // within the folder, with slashes, such as "onnx/model.onnx"
	Write func(io.Writer) error
	Link  string // instead of Write: the Name of an earlier file, which gets this name too
}

// SaveFolder creates the folder at path with the given files, atomically. It
// writes and syncs them in order in a new folder ".attnx-*.tmp" next to path,
// renames that to path and syncs the parent. A Link becomes a hard link, or a
// copy if the file system has none. After an error nothing new remains.
// SaveFolder rejects an existing path, except an empty folder, before it
// writes anything. Errors name path.
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
	for _, f := range slices.Backward(folders) { // inner ones first
		if err := syncFolder(f); err != nil {
			return fmt.Errorf("%s: not written: syncing it: %w", path, cause(err))
		}
	}
	if err := rename(temp, path, empty); err != nil {
		return fmt.Errorf("%s: not created: %w", path, cause(err))
	}
	renamed = true
	if err := syncFolder(in); err != nil {
		return fmt.Errorf("%s: written, but a power cut may still undo it: syncing %s: %w", path, in, cause(err))
	}
	return nil
}

// vacant checks that a folder may be created at path; empty is the existing
// empty folder, or nil.
func vacant(path string) (empty fs.FileInfo, err error) {
	if base := filepath.Base(path); base == "." || base == ".." || base == string(filepath.Separator) {
		return nil, fmt.Errorf("%s: this folder cannot be replaced: name a new folder", path)
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

// rename moves the folder temp to path. Package os cannot rename a folder onto
// another, so rename removes an empty one first, and restores it if the
// renaming fails.
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

// putInto writes a file into the folder temp. It returns folders with those
// that the file's name needed appended.
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

// name gives a file a second name: a link, or a copy if linking fails.
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
	defer f.Close() // already closed unless an error occurred
	return fill(f, write)
}
