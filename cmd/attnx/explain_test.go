//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What the system says of a path comes with the place and a remedy.
func TestExplain(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOENT:       "--data: a: there is no such file: check the path",
		syscall.EACCES:       "--data: a: permission denied: check the permissions of the file and of its folder",
		syscall.ENAMETOOLONG: "--data: a: file name too long: check the path",
		syscall.ENOSPC:       "--data: open a: no space left on device",
	} {
		if got := explain(fmt.Errorf("--data: %w", &fs.PathError{Op: "open", Path: "a", Err: cause})); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A link that leads nowhere is there, and what it leads to is not.
func TestExplainBrokenLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Skip(err)
	}
	_, err := os.Stat(link)
	if got := explain(err); got != link+": it is a link to nowhere, which is not there: restore that file, or remove the link" {
		t.Error(got)
	}
}
