//go:build unix

package store

import (
	"errors"
	"os"
	"syscall"
)

// syncFolder makes a rename in the folder survive a power cut. It ignores the
// error of network file systems that cannot sync a folder.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
