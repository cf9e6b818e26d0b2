//go:build cgo

package ort

import (
	"os"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// InUse returns the library that this process has loaded, and its version. Both
// are zero before a library is loaded.
func InUse() (library.Library, string) {
	lib := library.InUse()
	if lib.Path == "" {
		return lib, ""
	}
	return lib, ort.GetVersion()
}

// load opens the library, once per process, and returns it with its version.
// Without an explicit path it returns the open library, if there is one, and
// otherwise the one that library.Find finds for the device.
func load(explicit, device string) (lib library.Library, version string, err error) {
	lib, err = library.Use(explicit, device, initialize)
	if err != nil {
		return library.Library{}, "", err
	}
	return lib, ort.GetVersion(), nil
}

// initialize loads a library and creates the binding's environment, which all
// sessions share.
func initialize(lib library.Library) error {
	if ort.IsInitialized() { // the program has initialized the binding itself
		return nil
	}
	refuseTelemetry()
	ort.SetSharedLibraryPath(lib.Path)
	// ONNX Runtime logs every error that it also returns. The returned error is
	// enough.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return &runtime.UnavailableError{
			Runtime: "ort-cpu",
			Reason:  loadFailure(lib.Path, oneLine(err)),
			Remedy:  library.InstallRemedy,
		}
	}
	if os.Getenv(envTelemetry) == "1" {
		_ = ort.DisableTelemetry() // for Windows, which does not read the variable
	}
	return nil
}

// loadFailure returns why a library does not load, given the binding's error
// text.
func loadFailure(path, text string) string {
	if strings.Contains(text, "Error setting ORT API base: 2") {
		return path + " is older than ONNX Runtime " + library.MinVersion
	}
	if strings.Contains(text, "OrtGetApiBase") {
		return path + " is a shared library, but not ONNX Runtime"
	}
	// The binding's sentence ends with the loader's message, which starts with the
	// path.
	if _, reason, ok := strings.Cut(text, `": `); ok {
		text = strings.TrimPrefix(reason, path+": ")
	}
	return path + " does not load: " + text
}
