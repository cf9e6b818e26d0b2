//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format/store"
)

// sample writes a text and returns its path and that of a run beside it.
func sample(t *testing.T) (data, run string) {
	t.Helper()
	folder := t.TempDir()
	data = filepath.Join(folder, "text.txt")
	if err := os.WriteFile(data, bytes.Repeat([]byte("we do not like rain\n"), 50), 0o666); err != nil {
		t.Fatal(err)
	}
	return data, filepath.Join(folder, "run")
}

// block puts folders where the checkpoints of steps would go, which makes
// saving them fail.
func block(t *testing.T, run string, from, to int) {
	t.Helper()
	for step := from; step <= to; step++ {
		if err := os.MkdirAll(filepath.Join(run, fmt.Sprintf("step-%08d.safetensors", step)), 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

// A run that is stopped and cannot be saved says so, and does not end as if it
// could go on.
func TestStoppedAndNotSaved(t *testing.T) {
	data, run := sample(t)
	block(t, run, 1, 1000)
	cmd := exec.Command("attnx", "train", "--data", data, "--batch", "32", "--steps", "1000", "--save-every", "1000", "--out", run)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForSteps(t, filepath.Join(run, store.MetricsName), 3)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("it ended with %v, want exit code %d", err, exitUsage)
	}
	if !strings.Contains(stderr.String(), "never overwritten") || strings.Contains(stderr.String(), "to continue") {
		t.Errorf("it said\n%s", &stderr)
	}
}

// A save in the background that failed ends the run, and what was reached until
// then is saved.
func TestFailedSaveIsTold(t *testing.T) {
	data, run := sample(t)
	block(t, run, 4, 4)
	out, err := exec.Command("attnx", "train", "--data", data, "--batch", "2", "--context", "8", "--steps", "400", "--save-every", "4", "--out", run).CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !bytes.Contains(out, []byte("never overwritten")) {
		t.Errorf("%v: %s", err, out)
	}
	saved, err := filepath.Glob(filepath.Join(run, "step-*"))
	if err != nil || len(saved) != 3 { // steps 0, 4 and the one that was reached
		t.Errorf("%v: there are %q", err, saved)
	}
	if out, err := exec.Command("attnx", "verify-seal", saved[len(saved)-1]).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// A run that began in a folder between the look into it and the lock keeps its
// files.
func TestMeanwhileTaken(t *testing.T) {
	data, run := sample(t)
	var before []os.DirEntry
	meanwhile := func() {
		out, err := exec.Command("attnx", "train", "--data", data, "--context", "8", "--steps", "4", "--batch", "2", "--out", run).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if before, err = os.ReadDir(run); err != nil {
			t.Fatal(err)
		}
	}
	_, err := attnx.Train(t.Context(), attnx.TrainOptions{Out: run, Data: attnx.Corpus{Files: []string{data}}, Engine: "gorgonia", Events: attnx.TrainEvents{Open: meanwhile}})
	if err == nil || !strings.Contains(err.Error(), "meanwhile it holds a run's step-") {
		t.Errorf("got %v", err)
	}
	after, err := os.ReadDir(run)
	if err != nil || len(after) != len(before) {
		t.Errorf("%v: before %v, after %v", err, before, after)
	}
}

// Readers of a run that is going on, and that keeps one checkpoint only, always
// find one.
func TestReadersOfARun(t *testing.T) {
	data, run := sample(t)
	cmd := exec.Command("attnx", "train", "--data", data, "--context", "8", "--steps", "100000", "--batch", "2", "--engine", anyEngine(), "--keep", "1", "--save-every", "1", "--out", run)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	waitForSteps(t, filepath.Join(run, store.MetricsName), 3)
	rounds := 3
	if fixtures.Exhaustive() {
		rounds = 15
	}
	for range rounds {
		for _, args := range [][]string{{"inspect", run}, {"checkpoints", run}, {"verify-seal", run}, {"export", run, "-o", filepath.Join(filepath.Dir(run), "x.onnx")}, {"diff", run, run}} {
			out, err := exec.Command("attnx", args...).CombinedOutput()
			if exit := new(exec.ExitError); err != nil && !(args[0] == "diff" && errors.As(err, &exit) && exit.ExitCode() == exitMismatch) {
				t.Errorf("attnx %s: %v: %s", args[0], err, out)
			}
			if bytes.Contains(out, []byte("broken")) || bytes.Contains(out, []byte("unreadable")) {
				t.Errorf("attnx %s: %s", args[0], out)
			}
		}
	}
}
