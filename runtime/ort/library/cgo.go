//go:build cgo

package library

// CgoMissing returns nil: this build can use the library.
func CgoMissing() error { return nil }
