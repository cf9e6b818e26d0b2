//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/train"
)

// A run that is killed after each of its steps in turn, and resumed, ends with
// the file of one that was never interrupted: the same root hash, which covers
// every byte, on both engines.
func TestEveryResume(t *testing.T) {
	steps, batch, kills := 16, "4", []int{4} // after a save, and before the next
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
			whole := filepath.Join(folder, "whole")
			out, err := exec.Command("attnx", "train", "--data", data, "--out", whole, "--engine", engine, "--batch", batch, "--steps", fmt.Sprint(steps), "--save-every", "3").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := root(t, whole, steps)
			for _, step := range kills {
				run := filepath.Join(folder, fmt.Sprint("killed-", step))
				killedAfter(t, data, run, engine, batch, steps, step)
				if out, err := exec.Command("attnx", "train", "--resume", run).CombinedOutput(); err != nil {
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
		})
	}
}

// killing is a program that trains as attnx does, and kills itself after a step.
// Its arguments are the text, the run, the engine, the batch, the steps and the
// step.
const killing = "attnx-killing"

func init() { programs[killing] = trainAndKill }

func trainAndKill() {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitUsage)
		}
	}
	number := func(arg string) int {
		n, err := strconv.Atoi(arg)
		check(err)
		return n
	}
	text, run, engine, after := os.Args[1], os.Args[2], os.Args[3], number(os.Args[6])
	settings := train.DefaultOptions(number(os.Args[5]))
	settings.Batch, settings.SaveEvery, settings.Seed = number(os.Args[4]), 3, 1
	kill := func() { check(syscall.Kill(os.Getpid(), syscall.SIGKILL)) }
	_, err := attnx.Train(context.Background(), attnx.TrainOptions{
		Out: run, Data: attnx.Corpus{Files: []string{text}, Glob: "*"}, Settings: settings, Engine: engine,
		Events: attnx.TrainEvents{Step: func(m attnx.Metric) {
			switch {
			case m.Step != after:
			case after%2 == 0:
				kill()
			default: // somewhere in the steps behind it
				time.AfterFunc(time.Duration(after%7)*time.Millisecond, kill)
			}
		}},
	})
	check(err)
	select {}
}

// killedAfter runs a command of killing, which must end so.
func killedAfter(t *testing.T, args ...any) {
	t.Helper()
	cmd := exec.Command(killing)
	for _, arg := range args {
		cmd.Args = append(cmd.Args, fmt.Sprint(arg))
	}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%q: %v: %s", cmd.Args, err, out)
	}
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
