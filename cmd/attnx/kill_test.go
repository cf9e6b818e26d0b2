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

	"github.com/attnx/attnx/format"
)

// A run that is killed after each of its steps in turn, and resumed, ends with
// the file of one that was never interrupted: the same root hash, which stands
// for every byte, on both engines.
func TestEveryResume(t *testing.T) {
	const steps = 40
	if testing.Short() {
		t.Skip("160 runs")
	}
	engines := []string{"gorgonia"}
	if _, err := library(t); err == nil {
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
				return exec.Command("attnx", append([]string{"train", "--out", out, "--batch", "64", "--save-every", "3", "--steps", fmt.Sprint(steps)}, flags...)...)
			}
			whole := filepath.Join(folder, "whole")
			if out, err := start(whole).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := root(t, whole)
			killed, exact := 0, 0 // in all, and after the very step
			for step := 1; step < steps; step++ {
				run := filepath.Join(folder, fmt.Sprint("killed-", step))
				cmd := start(run)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				waitForSteps(t, filepath.Join(run, metricsFile), step)
				if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
				_ = cmd.Wait() // killed; a run that was faster than the signal is whole
				if reached, err := readMetrics(filepath.Join(run, metricsFile)); err == nil && len(reached) == step {
					exact++
				}
				if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
					resume := exec.Command("attnx", append([]string{"train", "--resume", run}, flags...)...)
					if out, err := resume.CombinedOutput(); err != nil {
						t.Fatalf("killed after step %d: %v: %s", step, err, out)
					}
					killed++
				}
				if got := root(t, run); got != want {
					t.Errorf("killed after step %d: the root hash is %s, of the run that was left alone %s", step, got, want)
				}
				if left, err := filepath.Glob(filepath.Join(run, ".attnx-*")); err != nil || len(left) > 0 {
					t.Errorf("killed after step %d: left are %q, %v", step, left, err)
				}
				os.RemoveAll(run)
			}
			t.Logf("killed %d times, %d of them before the step after the one waited for was done", killed, exact)
			if killed < steps*3/4 {
				t.Errorf("%d of %d runs ended before they were killed", steps-1-killed, steps-1)
			}
		})
	}
}

// root returns the root hash of a run's last checkpoint, which is read whole.
func root(t *testing.T, run string) format.Digest {
	t.Helper()
	f, err := format.Open(filepath.Join(run, "step-00000040.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		t.Fatal(err)
	}
	return f.Seal().Root
}
