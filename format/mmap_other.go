//go:build !unix

package format

import (
	"errors"
	"os"
)

// mapFile reports that Go's syscall package has no mmap on this system.
func mapFile(f *os.File, _ int64) ([]byte, error) {
	return nil, &os.PathError{Op: "mmap", Path: f.Name(), Err: errors.ErrUnsupported}
}

func unmapFile([]byte) error { return nil }
