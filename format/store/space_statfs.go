//go:build linux || darwin

package store

import (
	"math"
	"syscall"
)

// freeSpace returns the bytes that this user may still write in a folder;
// known is false if the file system does not report them.
func freeSpace(path string) (bytes int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil || s.Blocks == 0 {
		return 0, false
	}
	block := uint64(s.Bsize)
	if block == 0 || s.Bavail > math.MaxInt64/block {
		return math.MaxInt64, true
	}
	return int64(s.Bavail * block), true
}
