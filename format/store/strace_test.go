//go:build linux

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// saveIn names the folder in which this process is to make one save, and be
// killed over it.
const saveIn = "ATTNX_TEST_SAVE_IN"

// The save is made on the first thread: strace counts the calls of each.
func init() {
	if os.Getenv(saveIn) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(saveIn); dir != "" {
		if err := saveSecond(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// saveSecond saves step 2 after step 1.
func saveSecond(dir string) error {
	f, err := OpenFolder(dir, Options{Keep: 1, Check: whole})
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "second"))
	if err != nil {
		return err
	}
	return f.Save(2, int64(len(b)), 1, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// TestEverySystemCall makes one save on a real file system again and again,
// under strace, which kills the process at each system call in turn, or lets
// the call fail. Whatever the moment, the next process finds the old checkpoint
// or the new one. By default it samples: the first of each kind of call, and
// every fourth after it.
func TestEverySystemCall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NO STRACE: no process is killed over a save. Install strace to have it done")
	}
	if out, err := exec.Command(strace, "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("STRACE MAY NOT TRACE HERE: %v: %s", err, out)
	}
	dir := t.TempDir()
	contents := map[int][]byte{1: checkpoint(t, 1, 2), 2: checkpoint(t, 2, 1)}
	if err := os.WriteFile(filepath.Join(dir, "second"), contents[2], 0o600); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	// The calls that touch files; strace counts each for itself.
	calls := []string{"openat", "read", "pread64", "write", "fsync", "close", "renameat", "unlinkat", "newfstatat", "fstat", "statfs", "flock", "getdents64", "fcntl"}
	for _, inject := range []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"} {
		found, hits := map[int]int{}, map[string]int{}
		total := 0
		for call, n := 0, 1; call < len(calls); n += fixtures.Stride(9) {
			what := fmt.Sprintf("%s at %s number %d", inject, calls[call], n)
			if err := os.RemoveAll(run); err != nil {
				t.Fatal(err)
			}
			f, err := OpenFolder(run, Options{Keep: 1, Check: whole})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Save(1, 1, 2, func(w io.Writer) error { _, err := w.Write(contents[1]); return err }); err != nil {
				t.Fatal(err)
			}
			f.Close()

			log := filepath.Join(dir, "strace.log")
			cmd := exec.Command(strace, "-f", "-o", log, "-e", "trace="+calls[call], "-e", fmt.Sprintf("inject=%s:%s:when=%d", calls[call], inject, n), os.Args[0])
			cmd.Env = append(os.Environ(), saveIn+"="+run, "GOMAXPROCS=1")
			said, err := cmd.CombinedOutput()
			trace, readErr := os.ReadFile(log)
			if readErr != nil {
				t.Fatalf("%v: %s", readErr, said)
			}
			hit := bytes.Contains(trace, []byte("(INJECTED)")) || bytes.Contains(trace, []byte("killed by SIGKILL"))

			g, openErr := OpenFolder(run, Options{Keep: 1, Check: whole})
			if openErr != nil {
				t.Fatalf("%s: the folder cannot be opened again: %v", what, openErr)
			}
			path, ok := g.Latest()
			if !ok {
				t.Fatalf("%s: no checkpoint is left", what)
			}
			step := mustStep(t, path)
			found[step]++
			b, readErr := os.ReadFile(path)
			if readErr != nil || !bytes.Equal(b, contents[step]) {
				t.Errorf("%s: %v, or step %d is not what was saved", what, readErr, step)
			}
			if err == nil && step != 2 {
				t.Errorf("%s: the save said it was done, and the newest is step %d", what, step)
			}
			left, readErr := os.ReadDir(run)
			if readErr != nil {
				t.Fatal(readErr)
			}
			for _, e := range left {
				name := e.Name()
				_, checkpoint := stepOf(name)
				if !checkpoint && name != LatestName && name != BestName && name != LockName || strings.HasPrefix(name, tempPrefix) {
					t.Errorf("%s: %s is left", what, name)
				}
			}
			g.Close()
			if !hit {
				if err != nil {
					t.Fatalf("%s: it was not reached, and yet: %v: %s", what, err, said)
				}
				call, n = call+1, 1-fixtures.Stride(9) // all of these were tried
				continue
			}
			total, hits[calls[call]] = total+1, hits[calls[call]]+1
			if err == nil && inject != "signal=SIGKILL" && slices.Contains([]string{"fsync", "renameat", "write"}, calls[call]) {
				t.Errorf("%s: the save did not say that it failed", what)
			}
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
		}
		t.Logf("%s at each of %d system calls: the old checkpoint was found %d times, the new one %d times", inject, total, found[1], found[2])
		for _, call := range calls {
			if hits[call] == 0 {
				t.Errorf("%s: a save makes no call %s: take it off the list", inject, call)
			}
		}
		if found[1] == 0 || found[2] == 0 {
			t.Errorf("%s: only one of the two was ever found: the save was not interrupted", inject)
		}
	}
}
