package sharedlib

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// damageError reports that a file of an installed build has changed.
type damageError struct{ path, how string }

func (e *damageError) Error() string { return e.path + " is damaged: " + e.how }

// checkedName is the file in a build's folder that records which files had the
// right SHA-256, with their sizes and times at that moment.
const checkedName = "checked"

// Check reports whether dir contains the build's files with the pinned sizes
// and digests. It returns nil, an error that matches fs.ErrNotExist if a file
// is missing, or a *damageError. It computes digests if whole is set, and for
// files whose size or time has changed since the last computation. A build
// without an official package has no digests.
func (k *Kind) Check(b Build, dir string, whole bool) error {
	before := checked(filepath.Join(dir, checkedName))
	var now strings.Builder
	for i, name := range k.files(b) {
		path := filepath.Join(dir, name)
		info, err := statLibrary(path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		now.WriteString(line)
		if err := k.checkFile(b, i, path, info.Size(), whole || !strings.Contains(before, line)); err != nil {
			os.Remove(filepath.Join(dir, checkedName)) // its record is wrong
			return err
		}
	}
	if now.String() != before {
		remember(dir, now.String())
	}
	return nil
}

// checked returns the record written by remember, "" if there is none.
func checked(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<16 {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// checkFile compares file i of the build, at path, with the pinned one. digest
// means that its bytes are read.
func (k *Kind) checkFile(b Build, i int, path string, size int64, digest bool) error {
	var sizes []string
	var pinned []string
	for _, from := range b.Bundles {
		if f := from.Files[i]; f.Size == size {
			pinned = append(pinned, f.SHA256)
		} else {
			sizes = append(sizes, fmt.Sprint(f.Size))
		}
	}
	switch {
	case len(b.Bundles) == 0:
		return k.checkLibrary(path)
	case len(pinned) == 0:
		return &damageError{path, fmt.Sprintf("it has %d bytes, expected %s", size, strings.Join(sizes, " or "))}
	case !digest:
		return nil
	}
	got, err := digestOf(path)
	if err != nil {
		return &damageError{path, err.Error()}
	}
	for _, want := range pinned {
		if got == want {
			return nil
		}
	}
	return &damageError{path, "its SHA-256 is " + got + ", not the pinned one"}
}

// statLibrary stats the regular file at path. A missing file is fs.ErrNotExist;
// anything other than a regular file is a *damageError.
func statLibrary(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if _, here := os.Lstat(path); errors.Is(here, fs.ErrNotExist) {
		return nil, here
	}
	var perr *fs.PathError
	switch {
	case errors.As(err, &perr):
		return nil, &damageError{path, perr.Err.Error()}
	case err != nil:
		return nil, &damageError{path, err.Error()}
	case !info.Mode().IsRegular():
		return nil, &damageError{path, "it is not a regular file"}
	}
	return info, nil
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// remember records which files have the right digest. If writing fails, the
// digests are computed again the next time.
func remember(dir, text string) {
	f, err := os.CreateTemp(dir, checkedName+"-*")
	if err != nil {
		return
	}
	_, err = f.WriteString(text)
	if errors.Join(err, f.Close()) != nil || os.Rename(f.Name(), filepath.Join(dir, checkedName)) != nil {
		os.Remove(f.Name())
	}
}

// Matches returns an error unless the file at path has the pinned size and SHA-256.
func Matches(path string, want Packed) error {
	info, err := statLibrary(path)
	if err != nil {
		return err
	}
	if info.Size() != want.Size {
		return &damageError{path, fmt.Sprintf("it has %d bytes, expected %d", info.Size(), want.Size)}
	}
	got, err := digestOf(path)
	if err == nil && got != want.SHA256 {
		err = &damageError{path, "its SHA-256 is " + got + ", not the pinned one"}
	}
	return err
}
