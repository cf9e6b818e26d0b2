//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format/store"
)

// A run that Ctrl-C or SIGTERM stopped and that was taken up again, by the
// command it printed, ends with the bytes of one that was left alone.
func TestInterrupt(t *testing.T) {
	for engine, signal := range map[string]os.Signal{"auto": os.Interrupt, "gorgonia": syscall.SIGTERM} {
		t.Run(engine, func(t *testing.T) {
			steps := 60
			if fixtures.Exhaustive() {
				steps = 3000
			}
			// On a busy machine a run may end before the signal comes: the next is longer.
			for range 5 {
				if testInterrupt(t, engine, signal, steps) {
					return
				}
				steps *= 3
			}
			t.Error("five runs ended before their signal")
		})
	}
}

// testInterrupt reports whether the signal came before the run's end.
func testInterrupt(t *testing.T, engine string, signal os.Signal, steps int) bool {
	folder := t.TempDir()
	data := filepath.Join(folder, "it's text.txt")
	if err := os.WriteFile(data, bytes.Repeat([]byte("we do not like rain\n"), 50), 0o666); err != nil {
		t.Fatal(err)
	}
	train := func(out string) *exec.Cmd {
		cmd := exec.Command("attnx", "train", "--data", data, "--batch", "2", "--context", "8", "--steps", strconv.Itoa(steps), "--engine", engine, "--out", out)
		cmd.Dir = folder
		return cmd
	}
	cmd := train("halved")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForSteps(t, filepath.Join(folder, "halved", store.MetricsName), 3)
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if err == nil {
		return false
	}
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != exitStopped {
		t.Fatalf("after the signal: %v, want exit code %d\n%s", err, exitStopped, &stderr)
	}
	for _, name := range []string{"latest", store.MetricsName, store.LossPlotName} {
		if _, err := os.Stat(filepath.Join(folder, "halved", name)); err != nil {
			t.Error(err)
		}
	}
	again := regexp.MustCompile(`(?m)^stopped; to continue: (attnx train --resume halved)$`).FindSubmatch(stderr.Bytes())
	if again == nil {
		t.Fatalf("it does not say how to continue:\n%s", &stderr)
	}
	resume := exec.Command("sh", "-c", string(again[1]))
	resume.Dir = folder
	if out, err := resume.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", again[1], err, out)
	}

	if out, err := train("whole").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read := func(parts ...string) []byte {
		b, err := os.ReadFile(filepath.Join(append([]string{folder}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if last := fmt.Sprintf("step-%08d.safetensors", steps); !bytes.Equal(read("whole", last), read("halved", last)) {
		t.Error("the resumed run ended with another checkpoint")
	}
	speed := regexp.MustCompile(`"tokens_per_second":.*`) // is not the same twice
	if !bytes.Equal(speed.ReplaceAll(read("whole", store.MetricsName), nil), speed.ReplaceAll(read("halved", store.MetricsName), nil)) {
		t.Error("the resumed run has other metrics")
	}
	return true
}

// The second Ctrl-C does not wait for the step.
func TestInterruptTwice(t *testing.T) {
	mustArrive(t, os.Interrupt)
	engines := []string{"gorgonia"}
	if _, err := onnxRuntime(t); err == nil {
		engines = append(engines, "ort")
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			// What is stopped before its step has begun ends at once: the next is
			// given longer to begin.
			wait := 50 * time.Millisecond
			for range 8 {
				if interruptedTwice(t, engine, wait) {
					return
				}
				wait *= 2
			}
			t.Error("eight runs ended by themselves")
		})
	}
}

// interruptedTwice reports whether a run ended within its step, which takes an
// hour. The signals begin so long after the run.
func interruptedTwice(t *testing.T, engine string, wait time.Duration) bool {
	folder := t.TempDir()
	data := filepath.Join(folder, "text.txt")
	if err := os.WriteFile(data, bytes.Repeat([]byte("we do not like rain\n"), 1000), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(folder, "run")
	cmd := exec.Command("attnx", "train", "--data", data, "--batch", "64", "--accumulate", "1000000", "--engine", engine, "--out", out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killAtLast(t, cmd)
	waitForSteps(t, filepath.Join(out, store.MetricsName), 0)
	time.Sleep(wait)
	done := make(chan struct{})
	go func() { // until it ends: the system merges signals that come together
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				_ = cmd.Process.Signal(os.Interrupt) // it may have ended already
			}
		}
	}()
	err := cmd.Wait()
	close(done)
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) {
		t.Fatalf("it ended with %v", err)
	}
	if exit.ExitCode() == exitStopped {
		return false
	}
	if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != os.Interrupt {
		t.Errorf("it ended with %v, want the signal", err)
	}
	if saved, err := filepath.Glob(filepath.Join(out, "step-*")); err != nil || len(saved) != 1 {
		t.Errorf("%v: it saved before it ended: %q", err, saved)
	}
	return true
}

// killAtLast kills a program that hangs, before the tests' own time is over.
func killAtLast(t *testing.T, cmd *exec.Cmd) {
	if end, limited := t.Deadline(); limited {
		timer := time.AfterFunc(time.Until(end)*9/10, func() { _ = cmd.Process.Kill() })
		t.Cleanup(func() { timer.Stop() })
	}
}

// waitForSteps returns when a run has written so many lines of metrics.
func waitForSteps(t *testing.T, path string, n int) {
	t.Helper()
	for {
		b, err := os.ReadFile(path)
		if err == nil && bytes.Count(b, []byte("\n")) >= n {
			return
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}
