package ort

import (
	"strings"

	"github.com/attnx/attnx/runtime/ort/library"
)

// Diagnose checks everything that running models with ONNX Runtime needs: cgo,
// the library and its version, the CPU and CUDA, the cache, and the clients
// that library.Install uses. For a GPU build it also checks each CUDA library
// that the build needs, NVIDIA's driver and the device. explicit is as in
// library.Find with device "auto". Diagnose loads the library into this process
// and changes nothing else.
func Diagnose(explicit string) []library.Check {
	lib, checks, err := library.Diagnose(explicit)
	var used library.Library
	var version string
	if err == nil {
		used, version, err = load(explicit, "auto")
	}
	if err != nil {
		checks = append(checks, library.Failed("cpu", library.Unavailable, err), library.Failed("cuda", library.Unavailable, err))
	} else {
		lib = used
		ok := func(name, detail string) {
			checks = append(checks, library.Check{Name: name, Status: library.OK, Detail: detail})
		}
		ok("cpu", "ONNX Runtime "+version+"; "+library.MinVersion+" or newer serves")
		if names, build, err := providers(explicit); err != nil {
			checks = append(checks, library.Failed("providers", library.Unavailable, err))
		} else {
			ok("providers", strings.Join(names, ", ")+" ("+build+")")
		}
		if err := tryCUDA(); err != nil {
			checks = append(checks, library.FailedCUDA(lib, err))
		} else {
			ok("cuda", "a model ran on it")
		}
	}
	return append(checks, library.DiagnoseMachine(lib)...)
}
