package library

import (
	"path/filepath"
	goruntime "runtime"
	"strings"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

// Status is the outcome of a check.
type Status = runtime.Health

// The outcomes: present and working; missing; present, or would be, but
// unusable.
const (
	OK          = runtime.Healthy
	NotFound    = runtime.Absent
	Unavailable = runtime.Unusable
)

// Check is one line of a diagnosis.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`           // what was found, or the fault; one line
	Remedy string `json:"remedy,omitempty"` // empty if the status is ok
}

// Failed returns the check for an error.
func Failed(name string, status Status, err error) Check {
	return Check(kind.Finding(name, status, err))
}

// Diagnose checks what a process needs before it loads the library: cgo, and
// the library itself. explicit is as in Find with device "auto". A non-nil
// error is the reason not to load the library. Diagnose changes nothing.
func Diagnose(explicit string) (Library, []Check, error) {
	var checks []Check
	if err := CgoMissing(); err != nil {
		checks = append(checks, Failed("cgo", NotFound, err))
	} else {
		checks = append(checks, Check{"cgo", OK, "this program was built with it", ""})
	}
	lib, err := Find(explicit, "auto")
	if err == nil && lib.Source == "cache" {
		err = kind.Intact(cpuBuild(), gpuBuild()) // a damaged library must not be loaded
	}
	if err != nil {
		return Library{}, append(checks, Failed("onnxruntime library", NotFound, err)), err
	}
	return lib, append(checks, Check{"onnxruntime library", OK, lib.Path + " (from " + lib.Source + ")", ""}), nil
}

// DiagnoseMachine checks the surroundings of the library, which may be missing:
// the cache, and the clients that Install uses. For a GPU build it also checks
// each CUDA library that the build needs, NVIDIA's driver and the device. It
// changes nothing.
func DiagnoseMachine(lib Library) []Check {
	var checks []Check
	if lib.Path != "" {
		checks = diagnoseCUDA(lib, thisLoader, findDriver)
	}
	return append(checks, Check(kind.DiagnoseCache(cpuBuild(), gpuBuild())), checkClients())
}

// FailedCUDA returns the check for an error from running a model on CUDA with
// the library.
func FailedCUDA(lib Library, err error) Check {
	const name = "cuda"
	noProvider := "its provider's library is not beside " + lib.Path + ", as in the CPU packages"
	switch {
	case beside(lib.Path, cudaProvider) != "":
		return Failed(name, Unavailable, err)
	case len(gpuBuild().Bundles) == 0:
		return Check{name, NotFound, noProvider, "there is no official GPU build for " + goruntime.GOOS + "/" + goruntime.GOARCH + ": " + runtime.UseCPU}
	}
	return Check{name, NotFound, noProvider, remedyBuild}
}

// beside returns the path of a library in the folder of another, "" if it is missing.
func beside(library, name string) string {
	file := map[string]string{"windows": name + ".dll", "darwin": "lib" + name + ".dylib"}[goruntime.GOOS]
	if file == "" {
		file = "lib" + name + ".so"
	}
	// The loader searches the folder of the file that a link points to.
	if target, err := filepath.EvalSymlinks(library); err == nil {
		library = target
	}
	if path := filepath.Join(filepath.Dir(library), file); sharedlib.IsFile(path) {
		return path
	}
	return ""
}

func checkClients() Check {
	var have []string
	for _, client := range []string{"npm", "pip"} {
		if command := sharedlib.ClientCommand(client); command != nil {
			have = append(have, strings.Join(command, " "))
		}
	}
	if len(have) == 0 {
		return Check{"package client", NotFound, "neither npm nor pip is installed",
			"install one of them, or " + runtime.NameLibrary + EnvLibrary}
	}
	return Check{Name: "package client", Status: OK, Detail: strings.Join(have, ", ")}
}
