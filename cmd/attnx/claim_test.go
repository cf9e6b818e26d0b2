package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/attnx/attnx/format/store"
)

// clash WORD...: the command ends with exit code 2 and one line, and everything
// in the script's folder is what it was: names, modes, links, bytes.
func clash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: clash command...")
	}
	before := treeOf(ts)
	code(ts, false, append([]string{"2"}, args...))
	if after := treeOf(ts); after != before {
		ts.Fatalf("what was there has changed, from\n%s\nto\n%s", before, after)
	}
}

// treeOf describes everything below the script's folder.
func treeOf(ts *testscript.TestScript) string {
	var sb strings.Builder
	root := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&sb, "%s %v", path, info.Mode())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			fmt.Fprintf(&sb, " -> %s %v", to, err)
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&sb, " %x", sha256.Sum256(b))
		}
		sb.WriteByte('\n')
		return nil
	}))
	return sb.String()
}

// hold RUN: until the script ends another process, this one, writes the run.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold run")
	}
	whole := func(string, io.ReaderAt, int64) (float64, error, error) { return math.NaN(), nil, nil }
	run, err := store.OpenFolder(ts.MkAbs(args[0]), store.Options{Keep: 9, Check: whole})
	ts.Check(err)
	ts.Defer(func() { run.Close() })
}
