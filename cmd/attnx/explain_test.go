//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// What the system says of a path comes with the place and a remedy.
func TestExplain(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOENT:       "--data: a: there is no such file: check the path",
		syscall.EACCES:       "--data: a: permission denied: check its permissions and those of its folder",
		syscall.ENAMETOOLONG: "--data: a: file name too long: check the path",
		syscall.ENOSPC:       "--data: open a: no space left on device",
	} {
		if got := explain(fmt.Errorf("--data: %w", &fs.PathError{Op: "open", Path: "a", Err: cause})); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
