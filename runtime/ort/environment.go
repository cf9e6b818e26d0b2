//go:build cgo

package ort

import (
	"os"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// InUse returns the library that this process has loaded, and its version;
// nothing before one is loaded.
func InUse() (library.Library, string) {
	lib := library.InUse()
	if lib.Path == "" {
		return lib, ""
	}
	return lib, ort.GetVersion()
}

// load opens the library, once for the process, and returns which it is and
// its version. Without an explicit path it returns the one that is open, if
// there is one, else the one that library.Find finds for the device.
func load(explicit, device string) (lib library.Library, version string, err error) {
	lib, err = library.Use(explicit, device, initialize)
	if err != nil {
		return library.Library{}, "", err
	}
	return lib, ort.GetVersion(), nil
}

// initialize loads a library and makes the binding's environment, of which
// there is one for all sessions.
func initialize(lib library.Library) error {
	if ort.IsInitialized() { // by the program itself, through the binding
		return nil
	}
	refuseTelemetry()
	ort.SetSharedLibraryPath(lib.Path)
	// ONNX Runtime prints every error that it also returns. Returned is enough.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return &runtime.UnavailableError{
			Runtime: "ort-cpu",
			Reason:  loadFailure(lib.Path, oneLine(err)),
			Remedy:  library.InstallRemedy,
		}
	}
	if os.Getenv(envTelemetry) == "1" {
		_ = ort.DisableTelemetry() // what is left of it on Windows, which has no such variable
	}
	return nil
}

// loadFailure says why a library does not load, given what the binding said.
func loadFailure(path, text string) string {
	if strings.Contains(text, "Error setting ORT API base: 2") {
		return path + " is older than ONNX Runtime " + library.MinVersion
	}
	if strings.Contains(text, "OrtGetApiBase") {
		return path + " is a shared library, but not ONNX Runtime"
	}
	// The loader's own words end the binding's sentence and start with the path.
	if _, reason, ok := strings.Cut(text, `": `); ok {
		text = strings.TrimPrefix(reason, path+": ")
	}
	return path + " does not load: " + text
}
