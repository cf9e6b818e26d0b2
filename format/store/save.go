package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Save writes the output of write to the file at path, atomically. It writes a
// new file in the same folder, syncs it, renames it to path and syncs the
// folder. Until the rename the old file stays unchanged; after an earlier
// error no new file remains. The new file gets the permissions of an existing
// one. Save rejects an existing path that is not a regular file. Errors name
// path.
func Save(path string, write func(io.Writer) error) error {
	mode, err := replaceable(disk{}, path)
	if err != nil {
		return err
	}
	return save(disk{}, path, mode, write)
}

// save is Save without the check of the path.
func save(d files, path string, mode fs.FileMode, write func(io.Writer) error) error {
	folder := parent(path)
	temp := tempIn(folder)
	f, err := d.create(temp, mode)
	if err != nil {
		return notMade(path, folder, err)
	}
	renamed := false
	defer func() { // also when write panics
		if !renamed {
			f.Close() // may be closed already
			d.remove(temp)
		}
	}()
	if err := fill(f, write); err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	if err := d.rename(temp, path); err != nil {
		return fmt.Errorf("%s: not replaced: %w", path, cause(err))
	}
	renamed = true
	if err := d.syncFolder(folder); err != nil {
		return fmt.Errorf("%s: written, but a power cut may still undo it: syncing %s: %w", path, folder, cause(err))
	}
	return nil
}

// notMade explains why nothing can be created in the folder of a path.
func notMade(path, folder string, err error) error {
	if _, missing := os.Stat(folder); errors.Is(missing, fs.ErrNotExist) {
		return fmt.Errorf("%s: the folder %s does not exist: create it first", path, folder)
	}
	return fmt.Errorf("%s: nothing can be written in %s (%w): choose another place", path, folder, cause(err))
}

// Prefix and suffix of a temporary file, which nothing reads.
const (
	tempPrefix = ".attnx-"
	tempSuffix = ".tmp"
)

// replaceable checks that a file may be written at path. It returns the
// permissions of an existing file, or 0.
func replaceable(d files, path string) (fs.FileMode, error) {
	if path == "" || os.IsPathSeparator(path[len(path)-1]) {
		return 0, fmt.Errorf("%.80q does not name a file", path)
	}
	info, err := d.lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("%s: %w: choose another name", path, cause(err))
	case info.IsDir():
		return 0, fmt.Errorf("%s: it is a folder: name a file in it", path)
	case info.Mode()&fs.ModeSymlink != 0:
		// Writing through the link and replacing it would each surprise
		// someone.
		return 0, fmt.Errorf("%s: it is a symbolic link, which is not followed: name the file itself", path)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s: it is %s: name a regular file", path, special(info.Mode()))
	}
	return info.Mode().Perm(), nil
}

// special describes what is neither a file, a folder nor a link.
func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a regular file"
}

// fill writes, syncs and closes f. It does not retry a failed sync: the kernel
// may have dropped the pages, and a second sync would succeed without them.
func fill(f file, write func(io.Writer) error) error {
	w := bufio.NewWriter(unnamed{f}) // larger writes bypass its buffer
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return cause(err)
	}
	return cause(f.Close())
}

// unnamed is a file whose errors omit its name.
type unnamed struct{ f file }

func (u unnamed) Write(b []byte) (int, error) {
	n, err := u.f.Write(b)
	return n, cause(err)
}

// cause drops operation and path from an error of package os, because they
// name the temporary file, which the user does not know.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
