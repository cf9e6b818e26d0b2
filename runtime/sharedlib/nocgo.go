//go:build !cgo

package sharedlib

// CgoMissing returns an error: this build cannot use the library.
func (k *Kind) CgoMissing() error {
	return k.Unavailable("this program was built without cgo", "install a C compiler and build with CGO_ENABLED=1")
}
