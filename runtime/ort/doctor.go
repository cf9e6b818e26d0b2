package ort

import (
	"strings"

	"github.com/attnx/attnx/runtime/ort/library"
)

// Diagnose looks at everything that running models with ONNX Runtime needs:
// cgo, the library and its version, the CPU and CUDA, the cache, and the
// clients that library.Install uses; where the library is a GPU build also each
// library of CUDA's that it needs, NVIDIA's driver and the device. explicit is
// as for library.Find with device "auto". It loads the library into this
// process, and changes nothing else.
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
