package library

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"github.com/attnx/attnx/runtime"
)

// Status is the outcome of a check.
type Status = runtime.Health

// The outcomes: it is there and works; it is not there; it is there, or would
// be, but cannot be used.
const (
	OK          = runtime.Healthy
	NotFound    = runtime.Absent
	Unavailable = runtime.Unusable
)

// Check is one line of a diagnosis.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`           // what was found, or what is wrong; one line
	Remedy string `json:"remedy,omitempty"` // empty when the status is ok
}

// Failed returns the check that err has decided.
func Failed(name string, status Status, err error) Check {
	var u *runtime.UnavailableError
	if errors.As(err, &u) {
		return Check{name, status, u.Reason, u.Remedy}
	}
	return Check{name, status, err.Error(), InstallRemedy}
}

// Diagnose looks at what a process needs before it loads the library: cgo, and
// the library itself. explicit is as for Find with device "auto". The error, if
// any, says why the library must not be loaded. Nothing is changed.
func Diagnose(explicit string) (Library, []Check, error) {
	var checks []Check
	if err := CgoMissing(); err != nil {
		checks = append(checks, Failed("cgo", NotFound, err))
	} else {
		checks = append(checks, Check{"cgo", OK, "this program was built with it", ""})
	}
	lib, err := Find(explicit, "auto")
	if err == nil && lib.Source == "cache" {
		err = installed() // a library with a wrong byte in it must not be loaded
	}
	if err != nil {
		return Library{}, append(checks, Failed("onnxruntime library", NotFound, err)), err
	}
	return lib, append(checks, Check{"onnxruntime library", OK, lib.Path + " (from " + lib.Source + ")", ""}), nil
}

// DiagnoseMachine looks at what lies around the library, which may be none: the
// cache, and the clients that Install uses; where the library is a GPU build
// also each library of CUDA's that it needs, NVIDIA's driver and the device.
// Nothing is changed.
func DiagnoseMachine(lib Library) []Check {
	var checks []Check
	if lib.Path != "" {
		checks = diagnoseCUDA(lib, thisLoader, findDriver)
	}
	return append(checks, checkCache(), checkClients())
}

// FailedCUDA returns the check that err has decided, which running a model on
// CUDA with the library gave.
func FailedCUDA(lib Library, err error) Check {
	const name = "cuda"
	noProvider := "its provider's library is not beside " + lib.Path + ", as in the CPU packages"
	switch {
	case beside(lib.Path, cudaProvider) != "":
		return Failed(name, Unavailable, err)
	case len(gpuBuild().bundles) == 0:
		return Check{name, NotFound, noProvider, "there is no official GPU build for " + goruntime.GOOS + "/" + goruntime.GOARCH + ": use the CPU"}
	}
	return Check{name, NotFound, noProvider, remedyBuild}
}

// beside returns the path of a library in the folder of another, "" if it is not there.
func beside(library, name string) string {
	file := map[string]string{"windows": name + ".dll", "darwin": "lib" + name + ".dylib"}[goruntime.GOOS]
	if file == "" {
		file = "lib" + name + ".so"
	}
	// The loader looks beside the file that a link leads to.
	if target, err := filepath.EvalSymlinks(library); err == nil {
		library = target
	}
	if path := filepath.Join(filepath.Dir(library), file); isFile(path) {
		return path
	}
	return ""
}

// installed reads every byte of the builds that Install has put into the user's
// cache; a damaged one is an error.
func installed() error {
	for _, b := range []build{cpuBuild(), gpuBuild()} {
		dir, err := cacheFolder(b)
		if err != nil {
			return nil // there is no cache
		}
		if err := b.check(dir, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return b.damaged(err)
		}
	}
	return nil
}

func checkCache() Check {
	const name = "onnxruntime cache"
	root, err := cacheRoot()
	if err != nil {
		return Check{name, Unavailable, err.Error(), "set HOME"}
	}
	if err := installed(); err != nil {
		var u *runtime.UnavailableError
		if errors.As(err, &u) {
			return Check{name, Unavailable, u.Reason, u.Remedy}
		}
		return Check{name, Unavailable, err.Error(), InstallRemedy}
	}
	held, err := filepath.Glob(filepath.Join(root, "*", "*", libraryNames()[0]))
	if err != nil || len(held) == 0 {
		return Check{name, NotFound, root + " holds no library", "run `attnx runtime install`"}
	}
	var what []string
	for _, path := range held {
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			continue
		}
		what = append(what, fmt.Sprintf("%s (%.1f MB)", filepath.ToSlash(rel), float64(folderSize(filepath.Dir(path)))/1e6))
	}
	return Check{Name: name, Status: OK, Detail: root + ": " + strings.Join(what, ", ")}
}

func checkClients() Check {
	var have []string
	for _, client := range []string{"npm", "pip"} {
		if command := clientCommand(client); command != nil {
			have = append(have, strings.Join(command, " "))
		}
	}
	if len(have) == 0 {
		return Check{"package client", NotFound, "neither npm nor pip is installed",
			"install one of them, or name a library with " + EnvLibrary}
	}
	return Check{Name: "package client", Status: OK, Detail: strings.Join(have, ", ")}
}
