//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/format/store"
)

// endless is a run that goes on until it is stopped.
func endless(t *testing.T) (cmd *exec.Cmd, run string) {
	t.Helper()
	data, run := sample(t)
	return exec.Command("attnx", "train", "--data", data, "--batch", "2", "--context", "8", "--engine", "gorgonia", "--steps", "10000000", "--save-every", "10000000", "--eval-every", "10000000", "--out", run), run
}

// mustArrive skips a test where a signal is ignored, as under nohup or in the background of a script: the programs
// that it starts would ignore it too.
func mustArrive(t *testing.T, s os.Signal) {
	t.Helper()
	if signal.Ignored(s) {
		t.Skipf("%v is ignored here", s)
	}
}

// exitCode returns how a program ended.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

// saved returns the newest step that a run has saved.
func savedStep(t *testing.T, run string) (step int) {
	t.Helper()
	name, err := os.ReadFile(filepath.Join(run, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(name), "step-%d.safetensors", &step); err != nil {
		t.Fatal(err)
	}
	return step
}

// Every signal that commonly ends a program saves the run. A terminal that
// closes sends SIGHUP more than once.
func TestSignalsSave(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGXCPU} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			mustArrive(t, signal)
			cmd, run := endless(t)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitForSteps(t, filepath.Join(run, store.MetricsName), 3)
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			err := waitOr(ended, func() {
				if signal != syscall.SIGTERM { // of which the second means what it does
					_ = cmd.Process.Signal(signal) // it may have ended meanwhile
				}
			})
			if code := exitCode(t, err); code != exitStopped {
				t.Errorf("exit code %d, want %d\n%s", code, exitStopped, &stderr)
			}
			if !strings.Contains(stderr.String(), "stopped; to continue: attnx train --resume "+run+"\n") {
				t.Errorf("it does not say how to continue:\n%s", &stderr)
			}
			if step := savedStep(t, run); step < 3 {
				t.Errorf("it saved step %d of 3 or more", step)
			}
		})
	}
}

// waitOr returns what comes from ended, and calls meanwhile until then.
func waitOr(ended <-chan error, meanwhile func()) error {
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Millisecond):
			meanwhile()
		}
	}
}

// nohup is for what is to survive the end of its terminal.
func TestIgnoredHangup(t *testing.T) {
	cmd, run := endless(t)
	ignoring := exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh"}, cmd.Args...)...)
	if err := ignoring.Start(); err != nil {
		t.Fatal(err)
	}
	metrics := filepath.Join(run, store.MetricsName)
	waitForSteps(t, metrics, 3)
	if err := ignoring.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	reached, err := attnx.ReadMetrics(metrics)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ignoring.Wait() }()
	stop := sync.OnceFunc(func() { _ = ignoring.Process.Signal(syscall.SIGTERM) })
	wentOn := false
	err = waitOr(ended, func() {
		if now, err := attnx.ReadMetrics(metrics); err == nil && len(now) > len(reached)+20 {
			wentOn = true
			stop()
		}
	})
	if !wentOn {
		t.Error("it stopped")
	}
	if code := exitCode(t, err); code != exitStopped {
		t.Errorf("exit code %d, want %d", code, exitStopped)
	}
}

// Training does not need its terminal: pipes that nobody reads, full disks and
// streams that are not there stop nothing.
func TestClosedOutputs(t *testing.T) {
	for name, where := range map[string]string{
		"head reads a line": "2>&1 | head -n 1",
		"nobody reads":      "2>&1 | true",
		"full disk":         ">/dev/full 2>&1",
		"no streams":        ">&- 2>&-",
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(where, "/dev/full") {
				if _, err := os.Stat("/dev/full"); err != nil {
					t.Skip(err)
				}
			}
			data, run := sample(t)
			code := run + ".code"
			// Enough steps that all but the first come after the pipe was closed.
			train := exec.Command("sh", "-c", `(attnx train --data "$1" --batch 2 --context 8 --engine gorgonia --steps 300 --out "$2"; echo $? > "$3") `+where, "sh", data, run, code)
			if out, err := train.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got, err := os.ReadFile(code); err != nil || string(got) != "0\n" {
				t.Errorf("exit code %q, %v", got, err)
			}
			if step := savedStep(t, run); step != 300 {
				t.Errorf("it saved step %d of 300", step)
			}
		})
	}
}

// A result that nobody reads to its end is not an error to report; one that a
// full disk did not take is.
func TestUnreadResults(t *testing.T) {
	data, run := sample(t)
	if out, err := exec.Command("attnx", "train", "--data", data, "--batch", "2", "--context", "8", "--engine", "gorgonia", "--steps", "2", "--out", run).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, command := range []string{
		`generate "$1" --prompt "we do" --max-tokens 1000000 --sliding`,
		`inspect "$1"`,
		`inspect "$1" --json`,
		`checkpoints "$1"`,
		`verify-seal "$1"`,
	} {
		closed := exec.Command("sh", "-c", `{ attnx `+command+`; echo $? >&3; } 3>"$2" 2>"$3" | true`, "sh", run, run+".code", run+".err")
		if out, err := closed.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		code, err := os.ReadFile(run + ".code")
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := os.ReadFile(run + ".err")
		if err != nil {
			t.Fatal(err)
		}
		// A short result may be written before the reader is gone.
		if got := string(code); got != "141\n" && got != "0\n" || strings.Contains(string(stderr), "attnx: ") {
			t.Errorf("attnx %s: exit code %s%s", command, code, stderr)
		}
		if _, err := os.Stat("/dev/full"); err != nil {
			continue
		}
		full := exec.Command("sh", "-c", `attnx `+command+` >/dev/full`, "sh", run)
		out, err := full.CombinedOutput()
		if code := exitCode(t, err); code != exitUsage || !bytes.Contains(out, []byte("no space left on device")) {
			t.Errorf("attnx %s on a full disk: exit code %d: %s", command, code, out)
		}
	}
}

// A command that hangs is left behind; one that has something to save is waited
// for, however long that takes.
func TestUntilStopped(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	never := make(chan struct{})
	if err := ending.UntilStopped(stopped, time.Millisecond, func(context.Context) error { <-never; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a command that hangs: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	saved := errors.New("saved")
	err := ending.UntilStopped(ctx, time.Millisecond, func(ctx context.Context) error {
		ending.FinishFirst(ctx)
		stop()
		time.Sleep(50 * time.Millisecond) // longer than the grace
		return saved
	})
	if err != saved {
		t.Errorf("a command that saves: %v", err)
	}
}

// What waits for a pipe that nobody writes ends when it is asked to.
func TestStoppedWhileWaiting(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			mustArrive(t, signal)
			_, run := sample(t)
			pipe := run + ".pipe"
			if err := syscall.Mkfifo(pipe, 0o666); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("attnx", "train", "--data", pipe, "--data", "-", "--out", run)
			never, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer never.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until attnx reads
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if code := exitCode(t, cmd.Wait()); code != exitStopped {
				t.Errorf("exit code %d, want %d", code, exitStopped)
			}
			if _, err := os.Stat(filepath.Join(run, "latest")); err == nil {
				t.Error("it left a run")
			}
		})
	}
}
