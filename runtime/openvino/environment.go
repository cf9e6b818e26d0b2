//go:build cgo

package openvino

// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"regexp"
	"strings"
	"unsafe"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/internal/signals"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

// version is that of the loaded library.
var version string

// InUse returns the library that this process has loaded, and its version. Both
// are zero before a library is loaded.
func InUse() (sharedlib.Library, string) {
	lib := kind.InUse(func() (sharedlib.Library, error) { return searched("") })
	if lib.Path == "" {
		return lib, ""
	}
	return lib, version
}

// load opens the library, once per process, and returns it with its version.
func load(explicit string) (sharedlib.Library, string, error) {
	lib, err := kind.Use(explicit, func() (sharedlib.Library, error) { return searched(explicit) }, initialize)
	return lib, version, err
}

func searched(explicit string) (sharedlib.Library, error) {
	lib, _, err := search(explicit)
	return lib, err
}

func initialize(lib sharedlib.Library) error {
	path := C.CString(lib.Path)
	defer C.free(unsafe.Pointer(path))
	_, err := signals.Keep(func() error { return message(C.attnx_ov_load(path)) })
	if err != nil {
		return &runtime.UnavailableError{Runtime: name, Reason: lib.Path + " does not load: " + strings.TrimPrefix(err.Error(), lib.Path+": "), Remedy: kind.Remedy()}
	}
	text := C.attnx_ov_version()
	if text != nil {
		version, _, _ = strings.Cut(C.GoString(text), "-") // "2026.4.1-22982-0a1b2c3d-releases/2026/4"
		C.free(unsafe.Pointer(text))
	}
	return nil
}

// apiError is an error that OpenVINO reports.
type apiError string

func (e apiError) Error() string { return string(e) }

// message converts a message of the API to an error on one line, and frees it.
func message(text *C.char) error {
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	return apiError(oneLine(C.GoString(text)))
}

// sourcePlace matches what OpenVINO's messages have of its C++ sources: where an
// exception was passed on, and which check failed where.
var sourcePlace = regexp.MustCompile(`Exception from src/\S+: *|Check '[^']*' failed at src/\S+: *|FrontEnd API failed with \w+: *`)

// oneLine returns a message of OpenVINO on one line, without the places in its
// sources.
func oneLine(text string) string {
	text = sourcePlace.ReplaceAllString(quote.Line(text, 10_000), "")
	text, _, _ = strings.Cut(text, " To facilitate the conversion of unsupported operations") // advice for its own API
	text = strings.Replace(text, "Model wasn't fully converted. Summary: -- No conversion rule found for operations: ", "it has no operator ", 1)
	return quote.Line(strings.TrimPrefix(text, "general error: "), 1000)
}
