//go:build !cgo

package openvino

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

// InUse returns nothing: no library is loaded.
func InUse() (sharedlib.Library, string) { return sharedlib.Library{}, "" }

func load(string) (sharedlib.Library, string, error) {
	return sharedlib.Library{}, "", kind.CgoMissing()
}

// Session cannot be opened in a program built without cgo.
type Session struct{}

var _ runtime.Session = (*Session)(nil)

// Open returns a *runtime.UnavailableError: this program was built without cgo.
func Open(runtime.File, Options) (*Session, error) { return nil, kind.CgoMissing() }

// Run returns a *runtime.UnavailableError.
func (*Session) Run(map[string]format.Tensor) (map[string]format.Tensor, error) {
	return nil, kind.CgoMissing()
}

// Close does nothing.
func (*Session) Close() error { return nil }
