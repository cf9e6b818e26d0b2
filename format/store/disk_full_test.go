//go:build linux

package store

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestDiskFull writes to Linux's device that is always full. The error does not
// name the file, which in Save is the temporary one.
func TestDiskFull(t *testing.T) {
	for _, size := range []int{1, 1_000_000} { // seen by the flush, seen by write
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		err = fill(f, func(w io.Writer) error {
			_, err := w.Write(make([]byte, size))
			return err
		})
		f.Close()
		if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "/dev/full") {
			t.Errorf("%d bytes: got %v", size, err)
		}
	}
}

// TestNotSynced checks that a failed sync is an error: a pipe cannot be synced.
func TestNotSynced(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := fill(w, func(io.Writer) error { return nil }); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("got %v, want EINVAL", err)
	}
}
