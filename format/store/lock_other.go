//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package store

import (
	"errors"
	"io"
	"os"
)

var errLocked = errors.New("locked")

// lockFile locks nothing: this system has no lock that ends with its process,
// and a file that outlives it would keep the next run out. Two trainers on one
// folder are kept apart only by this: a checkpoint is never written twice.
func lockFile(path string) (io.Closer, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}

// shareLock opens a file that is there.
func shareLock(path string) (io.Closer, error) { return os.Open(path) }
