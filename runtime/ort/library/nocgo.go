//go:build !cgo

package library

import "github.com/attnx/attnx/runtime"

// CgoMissing returns an error: this build cannot use the library.
func CgoMissing() error {
	return &runtime.UnavailableError{
		Runtime: "ort-cpu",
		Reason:  "this program was built without cgo",
		Remedy:  "install a C compiler and build with CGO_ENABLED=1",
	}
}
