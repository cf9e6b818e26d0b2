package sharedlib

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/runtime"
)

// Finding returns the line of a diagnosis for an error.
func (k *Kind) Finding(name string, status runtime.Health, err error) runtime.Finding {
	var u *runtime.UnavailableError
	if errors.As(err, &u) {
		return runtime.Finding{Name: name, Status: status, Detail: u.Reason, Remedy: u.Remedy}
	}
	return runtime.Finding{Name: name, Status: status, Detail: err.Error(), Remedy: k.Remedy()}
}

// Intact reads every byte of builds in the user's cache. A damaged one is an
// error; a missing one is not.
func (k *Kind) Intact(builds ...Build) error {
	for _, b := range builds {
		dir, err := k.CacheFolder(b)
		if err != nil {
			return nil // there is no cache
		}
		if err := k.Check(b, dir, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k.damaged(b, err)
		}
	}
	return nil
}

// DiagnoseCache returns the line of a diagnosis about the user's cache, after
// reading every byte of the builds in it.
func (k *Kind) DiagnoseCache(builds ...Build) runtime.Finding {
	name := k.Folder + " cache"
	root, err := k.CacheRoot()
	if err != nil {
		return runtime.Finding{Name: name, Status: runtime.Unusable, Detail: err.Error(), Remedy: "set HOME"}
	}
	if err := k.Intact(builds...); err != nil {
		return k.Finding(name, runtime.Unusable, err)
	}
	held, err := filepath.Glob(filepath.Join(root, "*", "*", k.Names[0]))
	if err != nil || len(held) == 0 {
		return runtime.Finding{Name: name, Status: runtime.Absent, Detail: root + " holds no library", Remedy: k.Command}
	}
	var what []string
	for _, path := range held {
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			continue
		}
		what = append(what, fmt.Sprintf("%s (%.1f MB)", filepath.ToSlash(rel), float64(FolderSize(filepath.Dir(path)))/1e6))
	}
	return runtime.Finding{Name: name, Status: runtime.Healthy, Detail: root + ": " + strings.Join(what, ", ")}
}
