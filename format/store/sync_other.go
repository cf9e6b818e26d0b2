//go:build !unix

package store

// syncFolder does nothing: this system has no way to sync a folder.
func syncFolder(string) error { return nil }
