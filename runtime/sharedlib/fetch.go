package sharedlib

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ClientCommand returns the command of a package client on this machine, nil if
// it is missing. pip has several names.
func ClientCommand(client string) []string {
	names := [][]string{{client}}
	if client == "pip" {
		names = [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}, {"python", "-m", "pip"}}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name[0]); err == nil {
			return append([]string{path}, name[1:]...)
		}
	}
	return nil
}

// fetch makes the client put the bundle's file into dir, an empty folder.
func (b Bundle) fetch(ctx context.Context, command []string, dir string, progress func(done, total int64)) error {
	args := append(command[1:len(command):len(command)], b.Args...)
	if b.Client == "npm" {
		// npm downloads into its cache and copies from there. With the cache inside dir
		// the progress of the download is visible.
		args = append(args, "--cache", filepath.Join(dir, "cache"))
	}
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Dir = dir
	// pip downloads into the system's temporary folder and moves the file.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "TMP="+dir, "TEMP="+dir)
	cmd.WaitDelay = 5 * time.Second // children of a killed client may keep the pipes open
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output

	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(dir, b.Size, progress, done)
	}()
	err := cmd.Run()
	close(done)
	<-watched

	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %s", b.Client, complaint(output.String(), err))
	}
	if !IsFile(filepath.Join(dir, b.File)) {
		return fmt.Errorf("%s left no %s", b.Client, b.File)
	}
	if progress != nil {
		progress(b.Size, b.Size)
	}
	return nil
}

// watch reports the number of bytes under dir until done is closed. The client
// reports no usable progress, but the total size is known.
func watch(dir string, total int64, progress func(done, total int64), done <-chan struct{}) {
	if progress == nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := int64(-1)
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			// The count must neither go back (files move) nor pass the total (npm's cache
			// contains a second copy).
			if n := min(FolderSize(dir), total); n > last {
				last = n
				progress(n, total)
			}
		}
	}
}

// FolderSize returns the bytes of the files under dir.
func FolderSize(dir string) int64 {
	var n int64
	// Files may disappear during the count: errors are ignored.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// complaint returns the line of a client's output that gives the cause: pip's
// last line, or npm's first line that is neither an error code nor a pointer to
// its log.
func complaint(output string, exit error) string {
	var last, npm string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		for _, prefix := range []string{"npm error ", "npm ERR! "} {
			rest, ok := strings.CutPrefix(line, prefix)
			word, _, _ := strings.Cut(rest, " ")
			if ok && npm == "" && word != "code" && word != "errno" && word != "syscall" {
				npm = rest
			}
		}
	}
	switch {
	case npm != "":
		return npm
	case last != "":
		return strings.TrimPrefix(last, "ERROR: ")
	}
	return exit.Error()
}
