package library

import (
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

// MinVersion is the oldest ONNX Runtime with C API version 24, which the
// binding requests.
const MinVersion = "1.24"

// The environment variables that name a library, in the order in which they are
// read.
const (
	EnvLibrary  = "ATTNX_ORT_LIB"
	EnvStandard = "ONNXRUNTIME_SHARED_LIBRARY_PATH"
)

// Library is an ONNX Runtime shared library on this machine.
type Library struct {
	Path   string // absolute
	Source string // Named, an environment variable's name, "cache" or "system"
}

// Named is the Source of a library whose path the caller gave.
const Named = "the caller"

// InstallRemedy is the remedy of an error that another library would fix.
const InstallRemedy = "run `attnx runtime install`, or name a library with " + EnvLibrary

const installCUDARemedy = "install the GPU build, or name one with " + EnvLibrary

// Find returns the ONNX Runtime library for a device ("cpu", or empty; "cuda";
// "auto"), without opening it. It searches in this order: explicit (a path,
// which may be empty), the environment variables ATTNX_ORT_LIB and
// ONNXRUNTIME_SHARED_LIBRARY_PATH, the user's cache, the system's folders. From
// the cache it takes the GPU build for "cuda" and "auto", and the CPU build for
// "cpu". If only the other build is installed, it takes that one, though the
// CPU build does not support CUDA. A process that has loaded a library gets
// that one, unless another path is given.
//
// A path from the caller or a variable is used or refused, never skipped. It
// may be the library or its folder. Find refuses a library in the cache that
// has changed since its installation, and a file that is incomplete according
// to its own headers. Errors are *runtime.UnavailableError.
func Find(explicit, device string) (Library, error) {
	lib, named, err := find(explicit, device, thisMachine())
	if held := inUse(); !named && held.Path != "" {
		return held, nil
	}
	return lib, err
}

// machine holds the places where libraries are searched.
type machine struct {
	getenv   func(string) string
	folders  []string // of the system
	cpu, gpu build    // the builds that the cache may contain
}

func thisMachine() machine { return machine{os.Getenv, systemFolders(), cpuBuild(), gpuBuild()} }

// find is Find on a given machine, whatever this process has loaded. named
// means that the result is about a path that the user chose: installing another
// library cannot fix its error.
func find(explicit, device string, m machine) (lib Library, named bool, err error) {
	for _, choice := range []Library{
		{explicit, Named},
		{m.getenv(EnvLibrary), EnvLibrary},
		{m.getenv(EnvStandard), EnvStandard},
	} {
		if choice.Path == "" {
			continue
		}
		path, err := resolve(choice.Path)
		if err == nil {
			err = checkLibrary(path)
		}
		if err != nil {
			return Library{}, true, unavailable(
				fmt.Sprintf("%s names %s: %v", choice.Source, choice.Path, err),
				"give the path of "+libraryNames()[0]+", or leave it out and run `attnx runtime install`")
		}
		return Library{path, choice.Source}, true, nil
	}

	builds := []build{m.cpu, m.gpu}
	if device == "cuda" || device == "auto" {
		slices.Reverse(builds)
	}
	for _, b := range builds {
		dir, err := cacheFolder(b)
		if err != nil {
			break // there is no cache
		}
		err = b.check(dir, false)
		if err == nil {
			return Library{filepath.Join(dir, libraryNames()[0]), "cache"}, false, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Library{}, false, b.damaged(err)
		}
	}

	var passed string // the last skipped library, and why
	for _, dir := range m.folders {
		if dir == "" { // an empty entry of a search path means the current folder, which is never intended
			continue
		}
		for _, path := range candidates(dir) {
			if tooOld(path) {
				passed = path + " is older than " + MinVersion
				continue
			}
			if err := checkLibrary(path); err != nil {
				passed = path + ": " + err.Error()
				continue
			}
			return Library{path, "system"}, false, nil
		}
	}
	reason := "no ONNX Runtime library found"
	if passed != "" {
		reason += " (" + passed + ")"
	}
	if device == "cuda" {
		return Library{}, false, &runtime.UnavailableError{Runtime: "ort-cuda", Reason: reason, Remedy: installCUDARemedy}
	}
	return Library{}, false, unavailable(reason, InstallRemedy)
}

func unavailable(reason, remedy string) error {
	return &runtime.UnavailableError{Runtime: "ort-cpu", Reason: reason, Remedy: remedy}
}

// resolve returns the absolute path of a library, given its path or its folder.
func resolve(path string) (string, error) {
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
	if found := candidates(path); len(found) > 0 {
		return found[0], nil
	}
	return "", errors.New("the folder holds no " + libraryNames()[0])
}

// libraryNames returns the library's file names on this system. The first one
// is the name that Install uses.
func libraryNames() []string {
	switch goruntime.GOOS {
	case "windows":
		return []string{"onnxruntime.dll"}
	case "darwin", "ios":
		return []string{"libonnxruntime.1.dylib", "libonnxruntime.dylib"}
	default:
		return []string{"libonnxruntime.so.1", "libonnxruntime.so"}
	}
}

// candidates returns the libraries in a folder: first the usual names, then
// names with a full version, newest first.
func candidates(dir string) []string {
	var found []string
	for _, name := range libraryNames() {
		if path := filepath.Join(dir, name); isFile(path) {
			found = append(found, path)
		}
	}
	var pattern string
	switch goruntime.GOOS {
	case "windows":
		return found
	case "darwin", "ios":
		pattern = "libonnxruntime.1.*.dylib"
	default:
		pattern = "libonnxruntime.so.1.*"
	}
	versioned, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil { // dir itself contains an invalid pattern; its usual names were tried
		return found
	}
	slices.SortFunc(versioned, func(a, b string) int { return slices.Compare(versionIn(b), versionIn(a)) })
	return append(found, slices.DeleteFunc(versioned, func(p string) bool { return !isFile(p) })...)
}

// tooOld reports whether the name of the file behind path shows a version older
// than MinVersion. A name without a version shows nothing.
func tooOld(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	v := versionIn(path)
	return len(v) >= 2 && slices.Compare(v, versionNumbers(MinVersion)) < 0
}

// versionIn returns the version numbers in a library's file name: 1, 21, 0 for
// libonnxruntime.so.1.21.0.
func versionIn(path string) []int {
	name := filepath.Base(path)
	name = strings.TrimSuffix(name, ".dylib")
	name = strings.TrimPrefix(name, "libonnxruntime.")
	return versionNumbers(strings.TrimPrefix(name, "so."))
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
			"/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", multiarch())
	}
}

// multiarch is Debian's folder of libraries for this processor.
func multiarch() string {
	cpu := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}[goruntime.GOARCH]
	if cpu == "" {
		cpu = goruntime.GOARCH
	}
	return "/usr/lib/" + cpu + "-linux-gnu"
}

// cacheRoot is the folder in the user's cache that contains every installed
// version.
func cacheRoot() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache folder is unknown: %w", err)
	}
	return filepath.Join(dir, "attnx", "onnxruntime"), nil
}

// cacheFolder is the folder into which Install puts a build for this system.
// The platform is part of it, because machines of different kinds may share a
// home folder.
func cacheFolder(b build) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, Version, goruntime.GOOS+"-"+goruntime.GOARCH+b.suffix), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// real follows links, so that two names of one file compare equal.
func real(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}
