//go:build !cgo

package ort

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

func cgoMissing() error { return library.CgoMissing() }

// InUse returns nothing: no library is loaded.
func InUse() (library.Library, string) { return library.Library{}, "" }

func load(string, string) (library.Library, string, error) {
	return library.Library{}, "", cgoMissing()
}

func tryCUDA() error { return cgoMissing() }

// Try returns a *runtime.UnavailableError.
func Try(Options) error { return cgoMissing() }

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

func providers(string) (names []string, build string, err error) { return nil, "", cgoMissing() }

// Device cannot be opened in a program built without cgo.
type Device struct{}

var _ runtime.Device = (*Device)(nil)

// OpenDevice returns a *runtime.UnavailableError: this program was built
// without cgo.
func OpenDevice(string, Options) (*Device, error) { return nil, cgoMissing() }

// OpenDeviceBytes returns a *runtime.UnavailableError: this program was built
// without cgo.
func OpenDeviceBytes([]byte, Options) (*Device, error) { return nil, cgoMissing() }

// OpenDeviceLent returns a *runtime.UnavailableError: this program was built
// without cgo.
func OpenDeviceLent([]byte, []format.Tensor, Options) (*Device, error) { return nil, cgoMissing() }

// Inputs returns nil.
func (*Device) Inputs() []runtime.Value { return nil }

// Outputs returns nil.
func (*Device) Outputs() []runtime.Value { return nil }

// Metadata returns false.
func (*Device) Metadata(string) (string, bool) { return "", false }

// Device returns "".
func (*Device) Device() string { return "" }

// NoCUDA returns a *runtime.UnavailableError.
func (*Device) NoCUDA() error { return cgoMissing() }

// Version returns "".
func (*Device) Version() string { return "" }

// Assignments returns a *runtime.UnavailableError.
func (*Device) Assignments() ([]Assignment, error) { return nil, cgoMissing() }

// Alloc returns a *runtime.UnavailableError.
func (*Device) Alloc(int) (runtime.Memory, error) { return nil, cgoMissing() }

// BindInput returns a *runtime.UnavailableError.
func (*Device) BindInput(int, runtime.Memory, int, []int) error { return cgoMissing() }

// BindOutput returns a *runtime.UnavailableError.
func (*Device) BindOutput(int, runtime.Memory, int, []int) error { return cgoMissing() }

// Run returns a *runtime.UnavailableError.
func (*Device) Run(int) error { return cgoMissing() }

// Write returns a *runtime.UnavailableError.
func (*Device) Write(runtime.Memory, int, []byte) error { return cgoMissing() }

// Read returns a *runtime.UnavailableError.
func (*Device) Read(runtime.Memory, int, []byte) error { return cgoMissing() }

// Close does nothing.
func (*Device) Close() error { return nil }

// Data cannot be opened in a program built without cgo.
type Data struct{}

var _ runtime.DataSession = (*Data)(nil)

// OpenData returns a *runtime.UnavailableError: this program was built without cgo.
func OpenData(string, Options) (*Data, error) { return nil, cgoMissing() }

// RunData returns a *runtime.UnavailableError.
func (*Data) RunData(map[string]runtime.Datum) (map[string]runtime.Datum, error) {
	return nil, cgoMissing()
}

// Stop does nothing.
func (*Data) Stop() {}

// Close does nothing.
func (*Data) Close() error { return nil }
