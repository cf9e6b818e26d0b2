//go:build !cgo

package ort

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// cgoMissing says that this build cannot use the library.
func cgoMissing() error {
	return &runtime.UnavailableError{
		Runtime: "ort-cpu",
		Reason:  "this program was built without cgo",
		Remedy:  "install a C compiler and build with CGO_ENABLED=1",
	}
}

func inUse() Library { return Library{} }

func load(string, string) (Library, string, error) { return Library{}, "", cgoMissing() }

func tryCUDA() error { return cgoMissing() }

// Session cannot be opened in a program built without cgo.
type Session struct{}

var _ runtime.Session = (*Session)(nil)

// Open returns a *runtime.UnavailableError: this program was built without cgo.
func Open(string, Options) (*Session, error) { return nil, cgoMissing() }

// OpenBytes returns a *runtime.UnavailableError: this program was built without cgo.
func OpenBytes([]byte, Options) (*Session, error) { return nil, cgoMissing() }

// Run returns a *runtime.UnavailableError.
func (*Session) Run(map[string]format.Tensor) (map[string]format.Tensor, error) {
	return nil, cgoMissing()
}

// RunThen returns a *runtime.UnavailableError.
func (*Session) RunThen(map[string]format.Tensor, func(map[string]format.Tensor) error) error {
	return cgoMissing()
}

// Bind returns a *runtime.UnavailableError.
func (*Session) Bind(_, _ []format.Tensor) (run func() error, release func(), err error) {
	return nil, nil, cgoMissing()
}

// Inputs returns nil.
func (*Session) Inputs() []runtime.Value { return nil }

// Outputs returns nil.
func (*Session) Outputs() []runtime.Value { return nil }

// Metadata returns false.
func (*Session) Metadata(string) (string, bool) { return "", false }

// Device returns "".
func (*Session) Device() string { return "" }

// NoCUDA returns a *runtime.UnavailableError.
func (*Session) NoCUDA() error { return cgoMissing() }

// Version returns "".
func (*Session) Version() string { return "" }

// Close does nothing.
func (*Session) Close() error { return nil }
