//go:build cgo

package sharedlib

// CgoMissing returns nil: this build can use the library.
func (k *Kind) CgoMissing() error { return nil }
