package store

import (
	"errors"
	"io"
	"os"
	"syscall"
)

var errLocked = errors.New("locked")

const errorSharingViolation = syscall.Errno(32)

// lockFile opens the file at path exclusively until it is closed or the
// process ends.
func lockFile(path string) (io.Closer, error) {
	return openFor(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, syscall.OPEN_ALWAYS)
}

// shareLock opens an existing file for sharing. It excludes lockFile.
func shareLock(path string) (io.Closer, error) {
	return openFor(path, syscall.GENERIC_READ, syscall.FILE_SHARE_READ|syscall.FILE_SHARE_DELETE, syscall.OPEN_EXISTING)
}

func openFor(path string, access, share, create uint32) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, access, share, nil, create, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
