//go:build !linux && !darwin

package store

// freeSpace reports that the free space is unknown.
func freeSpace(string) (bytes int64, known bool) { return 0, false }
