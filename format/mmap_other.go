//go:build !unix

package format

import (
	"errors"
	"os"
)

// mapFile says that this system has no mmap in Go's syscall package.
func mapFile(f *os.File, _ int64) ([]byte, error) {
	return nil, &os.PathError{Op: "mmap", Path: f.Name(), Err: errors.ErrUnsupported}
}

func unmapFile([]byte) error { return nil }
