//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package store

import (
	"errors"
	"io"
	"os"
)

var errLocked = errors.New("locked")

// lockFile locks nothing: this system has no lock that ends with its process,
// and a lock file left by a crash would block the next run. Two trainers in
// one folder are then kept apart only by the rule that a checkpoint is never
// overwritten.
func lockFile(path string) (io.Closer, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}

// shareLock opens an existing file.
func shareLock(path string) (io.Closer, error) { return os.Open(path) }
