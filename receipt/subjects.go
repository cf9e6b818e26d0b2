package receipt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Files returns the files of a folder and below, by name, with their SHA-256.
// Links lead to files only. The file except, which may be "", is left out: a receipt may lie beside the
// model.
func Files(ctx context.Context, folder, except string) ([]Descriptor, error) {
	left, _ := os.Stat(except)
	folder, err := filepath.EvalSymlinks(folder) // WalkDir does not follow them
	if err != nil {
		return nil, err
	}
	var paths []string
	err = filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return &SubjectError{p, "it is neither a file nor a link to one, so a receipt cannot hold its bytes: remove it from the folder"}
		case left != nil && os.SameFile(left, info):
			return nil
		}
		if paths = append(paths, p); len(paths) > maxSubjects {
			return &SubjectError{folder, fmt.Sprintf("it has more than %d files: name the folder of the model", maxSubjects)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return Hashed(ctx, folder, paths)
}

// Hashed returns files in a folder or below it, under their names relative to it.
func Hashed(ctx context.Context, folder string, paths []string) ([]Descriptor, error) {
	var files []Descriptor
	for _, p := range paths {
		name, err := filepath.Rel(folder, p)
		if err != nil {
			return nil, err
		}
		sum, err := hashFile(ctx, p)
		if err != nil {
			return nil, err
		}
		files = append(files, Descriptor{filepath.ToSlash(name), Digest{sum}})
	}
	return sorted(files), nil
}

func sorted(files []Descriptor) []Descriptor {
	slices.SortFunc(files, func(a, b Descriptor) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// Below returns files as those of a folder of the given name.
func Below(folder string, files []Descriptor) []Descriptor {
	all := slices.Clone(files)
	for i := range all {
		all[i].Name = path.Join(folder, all[i].Name)
	}
	return all
}

// hashFile returns the SHA-256 of a file. A device or a pipe, which may have no end, is a
// *SubjectError.
func hashFile(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &SubjectError{path, "it is neither a file nor a link to one, so a receipt cannot hold its bytes: name a file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buffer := make([]byte, 32<<10)
	for {
		if err := context.Cause(ctx); err != nil {
			return "", fmt.Errorf("%s: stopped: %w", path, err)
		}
		n, err := f.Read(buffer)
		h.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// State is how a file agrees with a receipt.
type State string

// The states.
const (
	Same    State = "same"
	Changed State = "changed"
	Missing State = "missing" // the receipt names it, and it is not there
	Extra   State = "extra"   // it is there, and the receipt does not name it
)

// FileState is a file and its state.
type FileState struct {
	Name  string `json:"name"`
	State State  `json:"state"`
}

// Compare returns the state of each file that a receipt names or that is there, by
// name.
func Compare(named, there []Descriptor) []FileState {
	digests := map[string]Digest{}
	for _, f := range there {
		digests[f.Name] = f.Digest
	}
	var all []FileState
	for _, f := range named {
		state := Same
		switch digest, ok := digests[f.Name]; {
		case !ok:
			state = Missing
		case digest != f.Digest:
			state = Changed
		}
		delete(digests, f.Name)
		all = append(all, FileState{f.Name, state})
	}
	for name := range digests {
		all = append(all, FileState{name, Extra})
	}
	slices.SortFunc(all, func(a, b FileState) int { return strings.Compare(a.Name, b.Name) })
	return all
}
