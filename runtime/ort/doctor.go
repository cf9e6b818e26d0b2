package ort

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
type Status string

// The outcomes: it is there and works; it is not there; it is there, or would
// be, but cannot be used.
const (
	OK          Status = "ok"
	NotFound    Status = "missing"
	Unavailable Status = "unavailable"
)

// Check is one line of a diagnosis.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`           // what was found, or what is wrong; one line
	Remedy string `json:"remedy,omitempty"` // empty when the status is ok
}

// Diagnose looks at everything that running models with ONNX Runtime needs:
// cgo, the library and its version, the CPU and CUDA, the cache, and the
// clients that Install uses; where the library is a GPU build also each library
// of CUDA's that it needs, NVIDIA's driver and the device. explicit is as for
// Find with device "auto". It loads the library into this process, and changes
// nothing else.
func Diagnose(explicit string) []Check {
	var checks []Check
	add := func(name string, status Status, detail, remedy string) {
		checks = append(checks, Check{name, status, detail, remedy})
	}
	fail := func(name string, status Status, err error) {
		var u *runtime.UnavailableError
		if errors.As(err, &u) {
			add(name, status, u.Reason, u.Remedy)
			return
		}
		add(name, status, err.Error(), installRemedy)
	}

	if err := cgoMissing(); err != nil {
		fail("cgo", NotFound, err)
	} else {
		add("cgo", OK, "this program was built with it", "")
	}
	lib, err := Find(explicit, "auto")
	if err == nil && lib.Source == "cache" {
		err = installed() // a library with a wrong byte in it must not be loaded
	}
	var used Library
	var version string
	if err != nil {
		fail("onnxruntime library", NotFound, err)
		lib = Library{}
	} else {
		add("onnxruntime library", OK, lib.Path+" (from "+lib.Source+")", "")
		used, version, err = load(explicit, "auto")
	}
	if err != nil {
		fail("cpu", Unavailable, err)
		fail("cuda", Unavailable, err)
	} else {
		lib = used
		add("cpu", OK, "ONNX Runtime "+version+"; "+MinVersion+" or newer serves", "")
		if names, build, err := providers(explicit); err != nil {
			fail("providers", Unavailable, err)
		} else {
			add("providers", OK, strings.Join(names, ", ")+" ("+build+")", "")
		}
		noProvider := "its provider's library is not beside " + lib.Path + ", as in the CPU packages"
		switch err := tryCUDA(); {
		case err == nil:
			add("cuda", OK, "a model ran on it", "")
		case beside(lib.Path, cudaProvider) != "":
			fail("cuda", Unavailable, err)
		case len(gpuBuild().bundles) == 0:
			add("cuda", NotFound, noProvider, "there is no official GPU build for "+goruntime.GOOS+"/"+goruntime.GOARCH+": use the CPU")
		default:
			add("cuda", NotFound, noProvider, remedyBuild)
		}
	}
	if lib.Path != "" {
		checks = append(checks, diagnoseCUDA(lib, thisLoader, findDriver)...)
	}
	checks = append(checks, checkCache(), checkClients())
	return checks
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
		return Check{name, Unavailable, err.Error(), installRemedy}
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
