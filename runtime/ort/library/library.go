package library

import (
	goruntime "runtime"
	"slices"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
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
const Named = sharedlib.Named

// InstallRemedy is the remedy of an error that another library would fix.
const InstallRemedy = runtime.InstallLibrary + ", or " + runtime.NameLibrary + EnvLibrary

const installCUDARemedy = runtime.OrNameGPU + EnvLibrary

// kind is ONNX Runtime's library.
var kind = newKind()

func newKind() *sharedlib.Kind {
	k := &sharedlib.Kind{
		Title: "ONNX Runtime", Runtime: "ort-cpu", Folder: "onnxruntime", Version: Version, Symbol: "OrtGetApiBase",
		Oldest: MinVersion, Numbers: []int{1, 24}, Variables: []string{EnvLibrary, EnvStandard}, Command: runtime.InstallLibrary, Naming: runtime.NameLibrary + EnvLibrary,
	}
	k.Names, k.Pattern = sharedlib.NamesOn("onnxruntime")
	switch goruntime.GOOS {
	case "windows":
	case "darwin", "ios":
		k.Names, k.Pattern = slices.Insert(k.Names, 0, "libonnxruntime.1.dylib"), "libonnxruntime.1.*.dylib"
	default:
		k.Names, k.Pattern = slices.Insert(k.Names, 0, "libonnxruntime.so.1"), "libonnxruntime.so.1.*"
	}
	return k
}

// CgoMissing returns an error if this program was built without cgo and so
// cannot use the library.
func CgoMissing() error { return kind.CgoMissing() }

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
	if held := kind.InUse(); !named && held.Path != "" {
		return Library(held), nil
	}
	return lib, err
}

// machine holds the places where libraries are searched.
type machine struct {
	sharedlib.Machine
	cpu, gpu sharedlib.Build // the builds that the cache may contain
}

func thisMachine() machine { return machine{sharedlib.ThisMachine(), cpuBuild(), gpuBuild()} }

// find is Find on a given machine, whatever this process has loaded. named
// means that the result is about a path that the user chose: installing another
// library cannot fix its error.
func find(explicit, device string, m machine) (lib Library, named bool, err error) {
	s := sharedlib.Search{Explicit: explicit, Builds: []sharedlib.Build{m.cpu, m.gpu}}
	if device == "cuda" || device == "auto" {
		slices.Reverse(s.Builds)
	}
	if device == "cuda" {
		s.Runtime, s.Remedy = "ort-cuda", installCUDARemedy
	}
	found, named, err := kind.Find(m.Machine, s)
	return Library(found), named, err
}

// Use returns the library of this process. The first call finds it, as Find
// does, and loads it with load. A library that fails to load does not prevent a
// later attempt. Later calls return the loaded library, and refuse a path to
// another one.
func Use(explicit, device string, load func(Library) error) (Library, error) {
	lib, err := kind.Use(explicit,
		func() (sharedlib.Library, error) {
			lib, _, err := find(explicit, device, thisMachine())
			return sharedlib.Library(lib), err
		},
		func(lib sharedlib.Library) error { return load(Library(lib)) })
	return Library(lib), err
}

// InUse returns the library that this process has loaded, or none.
func InUse() Library {
	on := func(device string) func() (sharedlib.Library, error) {
		return func() (sharedlib.Library, error) {
			lib, _, err := find("", device, thisMachine())
			return sharedlib.Library(lib), err
		}
	}
	return Library(kind.InUse(on("cpu"), on("cuda")))
}
