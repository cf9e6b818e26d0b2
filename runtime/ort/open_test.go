//go:build cgo

package ort

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

func TestOpenRefuses(t *testing.T) {
	needLibrary(t)
	dir := t.TempDir()
	good := filepath.Join(dir, "good.onnx")
	if err := os.WriteFile(good, embedModel().bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(good, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()

	future := embedModel()
	future.opset = 999
	loop := embedModel()
	loop.nodes = []testNode{{op: "Add", in: []string{"rows", "rows"}, out: []string{"rows"}}}
	in, y := addModel(protoFloat, "N").inputs, []testValue{{"y", protoFloat, []string{"N"}}}
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"text.onnx", []byte("hello, this is a text and not a model\n"), "not a valid ONNX model: byte 2"},
		{"empty.onnx", nil, "0 outputs: a model needs one"},
		{"cut.onnx", embedModel().bytes()[:60], "not a valid ONNX model: byte 14: field 7 claims"},
		{"unknown.onnx", testModel{nodes: []testNode{{op: "Nonesuch", in: []string{"a"}, out: []string{"y"}}}, inputs: in, outputs: y}.bytes(), "Nonesuch"},
		{"dangling.onnx", testModel{nodes: []testNode{{op: "Add", in: []string{"a", "nowhere"}, out: []string{"y"}}}, inputs: in, outputs: y}.bytes(), "nowhere"},
		{"future.onnx", future.bytes(), "onnxruntime: ONNX Runtime only *guarantees* support"},
		{"cycle.onnx", loop.bytes(), "onnxruntime: This is an invalid model. Error: the graph is not acyclic"},
		{"noinput.onnx", testModel{outputs: embedModel().outputs}.bytes(), "onnxruntime: This is an invalid model. Graph output (rows) does not exist"},
		{"strings.onnx", testModel{inputs: []testValue{{"x", 8, []string{"N"}}}, outputs: y}.bytes(), `"x" is not a tensor of numbers`},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, c.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v\nwant %s", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		path string
		o    Options
		want string
	}{
		{filepath.Join(dir, "nothing.onnx"), Options{}, "no such file"},
		{dir, Options{}, "not a regular file"},
		{good, Options{Device: "tpu"}, `device "tpu": it must be cpu, cuda or auto`},
		{good, Options{Threads: -1}, "negative"},
		{good, Options{Optimization: 9}, "there is no level 9"},
	} {
		if _, err := Open(c.path, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: got %v, want %s", c.path, c.o, err, c.want)
		}
	}
}

func TestOneLibraryAProcess(t *testing.T) {
	session(t, embedModel(), Options{})
	dir := t.TempDir()
	loaded, _ := InUse()
	link := filepath.Join(dir, "libonnxruntime.so.1")
	if err := os.Symlink(loaded.Path, link); err != nil {
		t.Skip(err)
	}
	s, err := OpenBytes(embedModel().bytes(), Options{Library: link}) // another name of the same file
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	other := copyOf(t, loaded.Path, dir)
	_, err = OpenBytes(embedModel().bytes(), Options{Library: other})
	if err == nil || !strings.Contains(err.Error(), "cannot be loaded beside it") || !strings.Contains(err.Error(), other) {
		t.Errorf("a second library: %v", err)
	}
	_, err = OpenBytes(embedModel().bytes(), Options{Library: filepath.Join(dir, "none.so")})
	if !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("a missing library: %v", err)
	}
}
