//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"io"
	"os"
	"syscall"
)

var errLocked = errors.New("locked")

// lockFile locks the file at path until it is closed or the process ends in
// any way.
func lockFile(path string) (io.Closer, error) {
	return flock(path, os.O_RDWR|os.O_CREATE, syscall.LOCK_EX)
}

// shareLock takes a shared lock on an existing file. It excludes lockFile.
func shareLock(path string) (io.Closer, error) {
	return flock(path, os.O_RDONLY, syscall.LOCK_SH)
}

func flock(path string, open, how int) (io.Closer, error) {
	for {
		f, err := os.OpenFile(path, open|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o666)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, err
		}
		// An abandoned run removes its lock file. The locked file must still
		// be the one that the next process will open.
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if there, err := os.Lstat(path); err == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
	}
}
