package library

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

// clientCommand returns the command of a package client on this machine, nil
// when it is not there. pip goes by several names.
func clientCommand(client string) []string {
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

// fetch has the client put the bundle's file into dir, an empty folder.
func (b bundle) fetch(ctx context.Context, command []string, dir string, progress func(done, total int64)) error {
	args := append(command[1:len(command):len(command)], b.args...)
	if b.client == "npm" {
		// npm downloads into its cache and copies from there. A cache inside
		// dir is what makes the download visible while it runs.
		args = append(args, "--cache", filepath.Join(dir, "cache"))
	}
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Dir = dir
	// pip downloads into the system's temporary folder and moves.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "TMP="+dir, "TEMP="+dir)
	cmd.WaitDelay = 5 * time.Second // a killed client's children may hold the pipes
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output

	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(dir, b.size, progress, done)
	}()
	err := cmd.Run()
	close(done)
	<-watched

	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %s", b.client, complaint(output.String(), err))
	}
	if !isFile(filepath.Join(dir, b.file)) {
		return fmt.Errorf("%s left no %s", b.client, b.file)
	}
	if progress != nil {
		progress(b.size, b.size)
	}
	return nil
}

// watch reports the bytes that lie under dir until done is closed. The client
// says nothing useful itself; what it has written is known, and so is the
// size it will come to.
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
			// Never backwards (files move), never past the end (npm's copy
			// lies beside its cache).
			if n := min(folderSize(dir), total); n > last {
				last = n
				progress(n, total)
			}
		}
	}
}

func folderSize(dir string) int64 {
	var n int64
	// A file that goes away while it is counted is none of our business.
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

// complaint returns the one line of a client's output that says why it
// failed: pip's last line, npm's first that is not a code and not a pointer
// to its log.
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
