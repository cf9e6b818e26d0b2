package sharedlib

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/runtime"
)

// Machine holds the places where libraries are searched.
type Machine struct {
	Getenv  func(string) string
	Folders []string // of the system
}

// ThisMachine returns the places of this machine.
func ThisMachine() Machine { return Machine{os.Getenv, systemFolders()} }

// Search configures Find.
type Search struct {
	Explicit string  // path of the library or of its folder; may be empty
	Builds   []Build // that the cache may contain, the preferred one first
	// Runtime and Remedy, if not empty, replace the kind's in an error that nothing
	// was found.
	Runtime, Remedy string
}

// Find returns the library, without opening it. It searches in this order: the
// explicit path, the environment variables, the user's cache, the system's
// folders.
//
// A path from the caller or a variable is used or refused, never skipped. It
// may be the library or its folder. Find refuses a library in the cache that
// has changed since its installation, and a file that is incomplete according
// to its own headers. Errors are *runtime.UnavailableError.
//
// Find does not consider which library the process has loaded. named means that
// the result is about a path that the user chose: installing another library
// cannot fix its error.
func (k *Kind) Find(m Machine, s Search) (lib Library, named bool, err error) {
	choices := []Library{{s.Explicit, Named}}
	for _, variable := range k.Variables {
		choices = append(choices, Library{m.Getenv(variable), variable})
	}
	for _, choice := range choices {
		if choice.Path == "" {
			continue
		}
		path, err := k.resolve(choice.Path)
		if err == nil {
			err = k.checkLibrary(path)
		}
		if err != nil {
			return Library{}, true, k.Unavailable(
				fmt.Sprintf("%s names %s: %v", choice.Source, choice.Path, err),
				"give the path of "+k.Names[0]+", or leave it out and "+k.Command)
		}
		return Library{path, choice.Source}, true, nil
	}

	for _, b := range s.Builds {
		dir, err := k.CacheFolder(b)
		if err != nil {
			break // there is no cache
		}
		err = k.Check(b, dir, false)
		if err == nil {
			return Library{filepath.Join(dir, k.Names[0]), "cache"}, false, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Library{}, false, k.damaged(b, err)
		}
	}

	var passed string // the last skipped library, and why
	for _, dir := range m.Folders {
		if dir == "" { // an empty entry of a search path means the current folder, which is never intended
			continue
		}
		for _, path := range k.candidates(dir) {
			if k.tooOld(path) {
				passed = path + " is older than " + k.Oldest
				continue
			}
			if err := k.checkLibrary(path); err != nil {
				passed = path + ": " + err.Error()
				continue
			}
			return Library{path, "system"}, false, nil
		}
	}
	reason := "no " + k.Title + " library found"
	if passed != "" {
		reason += " (" + passed + ")"
	}
	return Library{}, false, &runtime.UnavailableError{Runtime: cmp.Or(s.Runtime, k.Runtime), Reason: reason, Remedy: cmp.Or(s.Remedy, k.Remedy())}
}

// resolve returns the absolute path of a library, given its path or its folder.
func (k *Kind) resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	var perr *fs.PathError
	switch {
	case errors.As(err, &perr):
		return "", perr.Err
	case err != nil:
		return "", err
	case info.Mode().IsRegular():
		return path, nil
	case !info.IsDir():
		return "", errors.New("not a regular file")
	}
	if found := k.candidates(path); len(found) > 0 {
		return found[0], nil
	}
	return "", errors.New("the folder holds no " + k.Names[0])
}

// candidates returns the libraries in a folder: first the usual names, then
// names with a full version, newest first.
func (k *Kind) candidates(dir string) []string {
	var found []string
	for _, name := range k.Names {
		if path := filepath.Join(dir, name); IsFile(path) {
			found = append(found, path)
		}
	}
	if k.Pattern == "" {
		return found
	}
	versioned, err := filepath.Glob(filepath.Join(dir, k.Pattern))
	if err != nil { // dir itself contains an invalid pattern; its usual names were tried
		return found
	}
	slices.SortFunc(versioned, func(a, b string) int { return slices.Compare(versionIn(b), versionIn(a)) })
	return append(found, slices.DeleteFunc(versioned, func(p string) bool { return !IsFile(p) || slices.Contains(found, p) })...)
}

// tooOld reports whether the name of the file behind path shows a version older
// than the oldest that works. A name without a version shows nothing.
func (k *Kind) tooOld(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	v := versionIn(path)
	return len(v) >= len(k.Numbers) && slices.Compare(v, k.Numbers) < 0
}

// versionIn returns the version numbers in a library's file name: 1, 21, 0 for
// libonnxruntime.so.1.21.0.
func versionIn(path string) []int {
	_, version, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".dylib"), ".")
	return versionNumbers(strings.TrimPrefix(version, "so."))
}

func versionNumbers(s string) []int {
	var v []int
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		v = append(v, n)
	}
	return v
}

// systemFolders lists the folders of libraries on this system, the user's
// search path first.
func systemFolders() []string {
	switch goruntime.GOOS {
	case "windows":
		// Windows ships an old onnxruntime.dll for its own use in its system folder, so
		// that folder is left out.
		var dirs []string
		root := strings.ToLower(os.Getenv("SystemRoot"))
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if dir != "" && (root == "" || !strings.HasPrefix(strings.ToLower(dir), root)) {
				dirs = append(dirs, dir)
			}
		}
		return dirs
	case "darwin", "ios":
		return append(filepath.SplitList(os.Getenv("DYLD_LIBRARY_PATH")),
			"/opt/homebrew/lib", "/usr/local/lib", "/usr/lib")
	default:
		return append(filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")),
			"/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", Multiarch())
	}
}

// Multiarch is Debian's folder of libraries for this processor.
func Multiarch() string {
	cpu := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}[goruntime.GOARCH]
	if cpu == "" {
		cpu = goruntime.GOARCH
	}
	return "/usr/lib/" + cpu + "-linux-gnu"
}

// CacheRoot is the folder in the user's cache that contains every installed
// version.
func (k *Kind) CacheRoot() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache folder is unknown: %w", err)
	}
	return filepath.Join(dir, "attnx", k.Folder), nil
}

// CacheFolder is the folder into which Install puts a build for this system.
// The platform is part of it, because machines of different kinds may share a
// home folder.
func (k *Kind) CacheFolder(b Build) (string, error) {
	root, err := k.CacheRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, k.Version, goruntime.GOOS+"-"+goruntime.GOARCH+b.Suffix), nil
}

// IsFile reports whether path is a regular file.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Real follows links, so that two names of one file compare equal.
func Real(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}
