//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
)

// A run that is killed after each of its steps in turn, and resumed, ends with
// the file of one that was never interrupted: the same root hash, which stands
// for every byte, on both engines.
func TestEveryResume(t *testing.T) {
	steps, batch, kills := 16, "16", []int{4} // after a save, and before the next
	if fixtures.Exhaustive() {
		steps, batch, kills = 40, "64", nil
		for step := 1; step < steps; step++ {
			kills = append(kills, step)
		}
	}
	engines := []string{"gorgonia"}
	if _, err := onnxRuntime(t); err == nil {
		engines = append(engines, "ort")
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			data := filepath.Join(folder, "text.txt")
			if err := os.WriteFile(data, bytes.Repeat([]byte("we do not like rain\n"), 50), 0o666); err != nil {
				t.Fatal(err)
			}
			flags := []string{"--data", data, "--engine", engine}
			start := func(out string) *exec.Cmd {
				return exec.Command("attnx", append([]string{"train", "--out", out, "--batch", batch, "--save-every", "3", "--steps", fmt.Sprint(steps)}, flags...)...)
			}
			whole := filepath.Join(folder, "whole")
			if out, err := start(whole).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := root(t, whole, steps)
			killed := 0
			for _, step := range kills {
				run := filepath.Join(folder, fmt.Sprint("killed-", step))
				// On a busy machine a run may end before the signal comes: it gets
				// more chances.
				for try := 0; try < 5 && !killedAfter(t, start(run), run, step); try++ {
					if got := root(t, run, steps); got != want {
						t.Errorf("another run: the root hash is %s, of the first %s", got, want)
					}
					os.RemoveAll(run)
				}
				if _, err := os.Stat(run); err != nil {
					continue
				}
				killed++
				resume := exec.Command("attnx", append([]string{"train", "--resume", run}, flags...)...)
				if out, err := resume.CombinedOutput(); err != nil {
					t.Fatalf("killed after step %d: %v: %s", step, err, out)
				}
				if got := root(t, run, steps); got != want {
					t.Errorf("killed after step %d: the root hash is %s, of the run that was left alone %s", step, got, want)
				}
				if left, err := filepath.Glob(filepath.Join(run, ".attnx-*")); err != nil || len(left) > 0 {
					t.Errorf("killed after step %d: left are %q, %v", step, left, err)
				}
				os.RemoveAll(run)
			}
			t.Logf("killed %d times", killed)
			if killed < len(kills)*3/4 {
				t.Errorf("%d of %d runs ended before they could be killed", len(kills)-killed, len(kills))
			}
		})
	}
}

// killedAfter starts a run and kills it once it has done so many steps. It
// reports whether the signal came before the run's end.
func killedAfter(t *testing.T, cmd *exec.Cmd, run string, step int) bool {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForSteps(t, filepath.Join(run, store.MetricsName), step)
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, most likely
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
}

// root returns the root hash of the checkpoint that a run ends with, which is
// read whole.
func root(t *testing.T, run string, steps int) format.Digest {
	t.Helper()
	f, err := format.Open(filepath.Join(run, fmt.Sprintf("step-%08d.safetensors", steps)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		t.Fatal(err)
	}
	return f.Seal().Root
}
