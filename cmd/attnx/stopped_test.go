//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format/store"
)

// fullPipe returns the end of a pipe that takes not one byte more, and that nobody
// reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	_, w := pipeOf(t)
	return w
}

// pipeOf returns both ends of a pipe that takes not one byte more until it is read.
func pipeOf(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) { // without waiting
		for size := 1 << 16; size > 0; size /= 2 { // a pipe may refuse what does not fit whole
			for err == nil {
				_, err = syscall.Write(int(fd), make([]byte, size))
			}
			if err != syscall.EAGAIN {
				t.Error(err)
			}
			err = nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// A reader that hangs, such as a pager nobody scrolls, keeps no run from ending
// when it is asked to.
func TestStoppedWhileNobodyReads(t *testing.T) {
	mustArrive(t, syscall.SIGHUP)
	cmd, run := endless(t)
	cmd.Stderr = fullPipe(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killAtLast(t, cmd)
	waitForSteps(t, filepath.Join(run, store.MetricsName), 0)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// A terminal that closes sends SIGHUP more than once, and never kills.
	err := waitOr(ended, func() { _ = cmd.Process.Signal(syscall.SIGHUP) })
	if code := exitCode(t, err); code != exitStopped {
		t.Errorf("exit code %d, want %d", code, exitStopped)
	}
}

// A write that hangs is left behind once the program is asked to stop, and those
// after it are not begun.
func TestStreamLeftBehind(t *testing.T) {
	asked := make(chan struct{})
	o := ending.NewStream(fullPipe(t), asked, time.Millisecond)
	close(asked)
	for range 2 {
		if n, err := o.Write([]byte("x")); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if err := ending.Lost(o); !errors.Is(err, context.Canceled) {
		t.Errorf("what is lost: %v", err)
	}
}

// oneOperator writes a file that applies an operator.
func oneOperator(t *testing.T, op string) string {
	t.Helper()
	square := []onnx.Dim{{Value: 2}, {Value: 2}}
	return written(t, op+".onnx", &onnx.Graph{
		Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: square}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, Dims: square}},
		Nodes: []*onnx.Node{{Op: op, Inputs: []string{"x"}, Outputs: []string{"y"}}},
	})
}

func written(t *testing.T, name string, g *onnx.Graph) string {
	t.Helper()
	g.Name = "g"
	var b bytes.Buffer
	path := filepath.Join(t.TempDir(), name)
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}
	if err := errors.Join(m.Encode(&b), os.WriteFile(path, b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
	return path
}

// A command that computes for many minutes, and looks at nothing else, ends all the same.
func TestStoppedWhileComputing(t *testing.T) {
	mustArrive(t, os.Interrupt)
	side := &onnx.Tensor{Name: "side", DataType: onnx.Int64, Dims: []int64{2}, Raw: []byte{0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0}} // 2048
	g := &onnx.Graph{
		Initializers: []*onnx.Tensor{side},
		Inputs:       []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Value: 1}, {Value: 1}}}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
		Nodes: []*onnx.Node{{Op: "Expand", Inputs: []string{"x", "side"}, Outputs: []string{"v0"}}},
	}
	const products = 1000 // of 17 billion operations
	for i := range products {
		g.Nodes = append(g.Nodes, &onnx.Node{Op: "MatMul", Inputs: []string{fmt.Sprintf("v%d", i), "v0"}, Outputs: []string{fmt.Sprintf("v%d", i+1)}})
	}
	g.Nodes = append(g.Nodes, &onnx.Node{Op: "ReduceSum", Inputs: []string{fmt.Sprintf("v%d", products)}, Outputs: []string{"y"}})
	path := written(t, "long.onnx", g)
	for wait := 50 * time.Millisecond; ; wait *= 2 { // until the signal comes after the program has begun
		cmd := exec.Command("attnx", "run", path, "--runtime", "oracle")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killAtLast(t, cmd)
		time.Sleep(wait)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		code := exitCode(t, cmd.Wait())
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == os.Interrupt {
			continue
		}
		if code != exitStopped || stderr.String() != "attnx: stopped\n" {
			t.Errorf("exit code %d, want %d\n%s", code, exitStopped, &stderr)
		}
		return
	}
}

// A reader that is slow when the program is asked to stop, but no slower than a terminal may
// be, still gets the last lines.
func TestStoppedWhileSlowlyRead(t *testing.T) {
	mustArrive(t, syscall.SIGTERM)
	said := ""
	for range 5 { // on a busy machine it may take longer than is allowed
		cmd, run := endless(t)
		r, w := pipeOf(t)
		cmd.Stderr = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killAtLast(t, cmd)
		waitForSteps(t, filepath.Join(run, store.MetricsName), 0)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ending.Grace + 500*time.Millisecond)
		w.Close()
		all, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, cmd.Wait()); code != exitStopped {
			t.Errorf("exit code %d, want %d", code, exitStopped)
		}
		said = string(bytes.Trim(all, "\x00"))
		if strings.Contains(said, "stopped; to continue: attnx train --resume "+run+"\n") {
			return
		}
	}
	t.Errorf("it does not say how to continue:\n%s", said)
}
