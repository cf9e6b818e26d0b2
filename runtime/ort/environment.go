//go:build cgo

package ort

import (
	"fmt"
	"os"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/runtime"
)

// cgoMissing returns nil: this build can use the library.
func cgoMissing() error { return nil }

// loaded is the library this process holds. The binding has one environment
// for all sessions. It is never unloaded: ONNX Runtime's threads outlive its
// sessions, and a library that is unmapped under a thread crashes the process.
var loaded struct {
	sync.Mutex
	Library
}

// inUse returns the library that this process has loaded, or none.
func inUse() Library {
	loaded.Lock()
	defer loaded.Unlock()
	return loaded.Library
}

// InUse returns the library that this process has loaded, and its version;
// nothing before one is loaded.
func InUse() (Library, string) {
	lib := inUse()
	if lib.Path == "" {
		return lib, ""
	}
	// Whoever opens what Find found names its path, as if somebody had chosen it.
	for _, device := range []string{"cpu", "cuda"} {
		if found, _, err := find("", device, thisMachine()); err == nil && real(found.Path) == real(lib.Path) {
			lib = found
			break
		}
	}
	return lib, ort.GetVersion()
}

// load opens the library, once for the process, and returns which it is and
// its version. Without an explicit path it returns the one that is open, if
// there is one, else the one that Find finds for the device.
func load(explicit, device string) (lib Library, version string, err error) {
	loaded.Lock()
	defer loaded.Unlock()
	if ort.IsInitialized() && explicit == "" {
		return loaded.Library, ort.GetVersion(), nil
	}
	lib, _, err = find(explicit, device, thisMachine())
	if err != nil {
		return Library{}, "", err
	}
	if ort.IsInitialized() {
		if real(lib.Path) != real(loaded.Path) {
			return Library{}, "", fmt.Errorf("this process has loaded ONNX Runtime from %s; %s cannot be loaded beside it: use one library, or start another process",
				loaded.Path, lib.Path)
		}
		return loaded.Library, ort.GetVersion(), nil
	}
	refuseTelemetry()
	ort.SetSharedLibraryPath(lib.Path)
	// ONNX Runtime prints every error that it also returns. Returned is enough.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return Library{}, "", &runtime.UnavailableError{
			Runtime: "ort-cpu",
			Reason:  loadFailure(lib.Path, oneLine(err)),
			Remedy:  installRemedy,
		}
	}
	loaded.Library = lib
	if os.Getenv(envTelemetry) == "1" {
		_ = ort.DisableTelemetry() // what is left of it on Windows, which has no such variable
	}
	return lib, ort.GetVersion(), nil
}

// loadFailure says why a library does not load, given what the binding said.
func loadFailure(path, text string) string {
	if strings.Contains(text, "Error setting ORT API base: 2") {
		return path + " is older than ONNX Runtime " + MinVersion
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
