//go:build cgo

package ort

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime/ort/library"
)

// drops holds every way to make something that must be closed and to drop
// it, by what the report calls it.
var drops = map[string]func(t *testing.T){
	"session of model": func(t *testing.T) {
		_, err := OpenBytes(embedModel().bytes(), Options{})
		ok(t, err)
	},
	"session of " + droppedFile: func(t *testing.T) {
		s, err := Open(droppedFile, Options{})
		ok(t, err)
		out, err := s.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{2})})
		ok(t, err)
		afterwards = append(afterwards, out["rows"])
	},
	"session of model: refused a run": func(t *testing.T) {
		s, err := OpenBytes(embedModel().bytes(), Options{})
		ok(t, err)
		if _, err := s.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{3})}); err == nil {
			t.Error("an id out of range passed")
		}
		if _, err := s.Run(nil); err == nil {
			t.Error("no inputs passed")
		}
	},
	"session of model: its memory allocated by ONNX Runtime": func(t *testing.T) {
		m := embedModel()
		m.outputs[0].dims = []string{"?", "?", "?"}
		s, err := OpenBytes(m.bytes(), Options{})
		ok(t, err)
		_, err = s.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{2})})
		ok(t, err)
	},
	"bound to the ONNX Runtime session": func(t *testing.T) {
		s, err := OpenBytes(identity(protoFloat).bytes(), Options{})
		ok(t, err)
		x := format.FromFloat32s("x", []int{4}, make([]float32, 4))
		y := format.FromFloat32s("y", []int{4}, make([]float32, 4))
		run, _, err := s.Bind([]format.Tensor{x}, []format.Tensor{y})
		ok(t, err, run())
		if _, _, err := s.Bind([]format.Tensor{x}, []format.Tensor{x}); err == nil {
			t.Error("another output passed")
		}
	},
	"bound to the ONNX Runtime session: and the session closed": func(t *testing.T) {
		s, err := OpenBytes(identity(protoFloat).bytes(), Options{})
		ok(t, err)
		x := format.FromFloat32s("x", []int{4}, make([]float32, 4))
		y := format.FromFloat32s("y", []int{4}, make([]float32, 4))
		_, _, err = s.Bind([]format.Tensor{x}, []format.Tensor{y})
		ok(t, err, s.Close())
	},
	"device of model": func(t *testing.T) {
		_, err := OpenDeviceBytes(cacheModel().bytes(), Options{})
		ok(t, err)
	},
	"device of " + droppedFile: func(t *testing.T) {
		d, err := OpenDevice(droppedFile, Options{})
		ok(t, err)
		m := alloc(t, d, 64)
		ok(t, d.Write(m, 0, make([]byte, 8)), d.BindInput(0, m, 0, []int{1, 1}), d.BindOutput(0, m, 8, []int{1, 1, 2}), d.Run(0))
		afterwards = append(afterwards, format.Tensor{DType: format.Uint8, Shape: []int{64}, Data: m.Bytes()})
	},
	"device of model: with a thread of its own": func(t *testing.T) {
		d, err := OpenDeviceBytes(identity(protoFloat).bytes(), Options{})
		ok(t, err)
		d.c.graphs, d.replays, d.thread = 1, map[int]uint64{}, newThread(d.run)
		m := alloc(t, d, 64)
		ok(t, d.BindInput(0, m, 0, []int{4}), d.BindOutput(0, m, 32, []int{4}), d.Run(1))
	},
	"": func(t *testing.T) { // what fails half way leaves nothing to report
		unknown := identity(protoFloat)
		unknown.nodes[0].op = "Nonesuch"
		_, err := OpenBytes(unknown.bytes(), Options{})
		_, err2 := OpenDeviceBytes(unknown.bytes(), Options{})
		if err == nil || err2 == nil {
			t.Error("an unknown operator passed")
		}
	},
}

const droppedFile = "dropped.onnx"

// afterwards is what callers keep of a session or a device that they drop.
var afterwards []format.Tensor

// TestDropped drops everything in a process of its own, which a leaking Pinner
// would end, and reads what the process says.
func TestDropped(t *testing.T) {
	lib := needLibrary(t)
	if os.Getenv("ATTNX_TEST_DROPS") != "" {
		dropAll(t)
		return
	}
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, droppedFile), embedModel().bytes(), 0o644))
	for _, debug := range []string{"", "1"} {
		cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestDropped$", "-test.count=1")

		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ATTNX_TEST_DROPS=1", "ATTNX_DEBUG="+debug, library.EnvLibrary+"="+lib.Path)
		stop, err := cmd.StdinPipe()
		ok(t, err)
		reports, err := cmd.StderrPipe()
		ok(t, err, cmd.Start())
		// A session is dropped with the second of those bound to it, and nothing
		// with what failed half way.
		wanted := rounds * len(drops)
		if debug != "1" {
			wanted = 0
		}
		var said []string
		lines := bufio.NewScanner(reports)
		for len(said) < wanted && lines.Scan() {
			said = append(said, lines.Text())
		}
		ok(t, stop.Close())
		for lines.Scan() {
			said = append(said, lines.Text())
		}
		if err := cmd.Wait(); err != nil || len(said) != wanted {
			t.Errorf("ATTNX_DEBUG=%s: %v, %d lines, want %d:\n%s", debug, err, len(said), wanted, strings.Join(said, "\n"))
		}
		for what := range drops {
			what, _, _ = strings.Cut(what, ": ")
			if debug == "1" && !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, what) && strings.Contains(s, "dropped_test.go:") }) {
				t.Errorf("no report of %q from this file:\n%s", what, strings.Join(said, "\n"))
			}
		}
	}
}

const rounds = 2

func dropAll(t *testing.T) {
	for range rounds {
		for _, drop := range drops {
			drop(t)
		}
		goruntime.GC()
	}
	stopped := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		stopped <- err
	}()
	for i, done := 0, false; i < 20 || !done && i < 5000; i++ { // until whoever reads has seen enough
		goruntime.GC()
		select {
		case err := <-stopped:
			ok(t, err)
			done = true
		default:
		}
	}
	for _, x := range afterwards {
		if x.DType == format.Float32 && !slices.Equal(float32s(t, x), []float32{20, 21}) {
			t.Errorf("a result that was kept is %v", float32s(t, x))
		}
		for i := range x.Data { // what was kept is still memory
			x.Data[i]++
		}
	}
}
