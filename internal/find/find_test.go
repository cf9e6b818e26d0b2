package find

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

func put(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file is what its first bytes show, whatever its name; only a file whose bytes
// show nothing is what its name says.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	zip := func(name string) string {
		return "PK\x03\x04" + strings.Repeat("\x00", 22) + string([]byte{byte(len(name)), 0}) + "\x00\x00" + name
	}
	for text, want := range map[string]Kind{
		"":                                   emptyFile,
		"GGUF\x03\x00\x00\x00":               GGUF,
		"\x10\x00\x00\x00\x00\x00\x00\x00{}": Safetensors,
		"\x89PNG\r\n\x1a\n":                  imageFile,
		"\x7fELF\x02":                        programFile,
		"\x80\x04\x95\x00":                   pickleFile,
		zip("a/data.pkl"):                    torchFile,
		zip("a.npy"):                         numpyFile,
		zip("a.txt"):                         archiveFile,
		"PK\x03\x04":                         archiveFile,
		"\x93NUMPY\x01\x00":                  numpyFile,
		"<!DOCTYPE html><html>":              htmlFile,
		`{"model_type": "gpt2"}`:             configFile,
		`{"weight_map": {}}`:                 indexFile,
		`{"added_tokens": []}`:               tokenizerFile,
		`{"a": 1}`:                           jsonFile,
		"to be or not to be\n":               plainTextFile,
		"{ is how a set begins":              plainTextFile,
		strings.Repeat("ä", 3000):            plainTextFile, // the head ends within a character
		"\x00\x01\x02\x03":                   unknownFile,
	} {
		path := put(t, filepath.Join(dir, "file"), []byte(text))
		if got, err := kindOf(path); got != want || err != nil {
			t.Errorf("%.20q: kind %d, %v, want %d", text, got, err, want)
		}
	}
	for name, want := range map[string]Kind{"a.safetensors": Safetensors, "a.onnx": ONNX, "a.pb": tensorFlowFile, "a.bin": unknownFile} {
		if got, err := kindOf(put(t, filepath.Join(dir, name), []byte{0, 1, 2, 3})); got != want || err != nil {
			t.Errorf("%s: kind %d, %v, want %d", name, got, err, want)
		}
	}
	put(t, filepath.Join(dir, "run", "step-00000001.safetensors"), nil)
	put(t, filepath.Join(dir, "other", "step-1.txt"), nil)
	for name, want := range map[string]Kind{"run": RunFolder, "other": OtherFolder} {
		if got, err := kindOf(filepath.Join(dir, name)); got != want || err != nil {
			t.Errorf("%s: kind %d, %v, want %d", name, got, err, want)
		}
	}
	if _, err := kindOf(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What is not expected is named, with what to do with it. Every kind has both. A
// file that is named like a checkpoint counts as a damaged one.
func TestExpect(t *testing.T) {
	for kind := unknownFile; kind <= plainTextFile; kind++ {
		if of := kinds[kind]; kind != pointerFile && (of.what == "" || of.instead == "") {
			t.Errorf("kind %d has no description or no remedy: %+v", kind, of)
		}
	}
	dir := t.TempDir()
	text := put(t, filepath.Join(dir, "a.txt"), []byte("a text\n"))
	if kind, err := Expect(text, "a text", plainTextFile); kind != plainTextFile || err != nil {
		t.Error(kind, err)
	}
	_, err := Expect(text, "a model", ONNX)
	var known *KindError
	if !errors.As(err, &known) || known.Remedy() != NameModel || err.Error() != text+": it is a text, not a model: "+NameModel {
		t.Error(err)
	}
	for name, damaged := range map[string]bool{"a.safetensors": true, "a.onnx": false} {
		_, err := Expect(put(t, filepath.Join(dir, name), []byte("GGUF")), "a model", ONNX)
		if bad := new(format.FormatError); errors.As(err, &bad) != damaged || !errors.As(err, &known) {
			t.Errorf("%s: %v", name, err)
		}
	}
	pointer := []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
	if _, err := Expect(put(t, filepath.Join(dir, "p.onnx"), pointer), "a model", ONNX); err == nil || !strings.Contains(err.Error(), format.LFSPointer) {
		t.Error(err)
	}
	if NotText(text) != nil {
		t.Error("a text is refused as one")
	}
	if err := NotText(put(t, filepath.Join(dir, "b.txt"), []byte("\x89PNG\r\n"))); !errors.As(err, &known) {
		t.Error(err)
	}
}

// The folder of a run leads to its newest whole checkpoint, with a warning for
// each that is not; a pointer leads to the file that it names.
func TestResolve(t *testing.T) {
	const run = "../../fixtures/compat/ffe1f28/gpt2"
	whole, err := os.ReadFile(filepath.Join(run, "step-00000006.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	old := put(t, filepath.Join(dir, "step-00000003.safetensors"), whole)
	put(t, filepath.Join(dir, "step-00000004.safetensors"), bytes.Replace(whole, whole[len(whole)-300:len(whole)-290], make([]byte, 10), 1))
	put(t, filepath.Join(dir, "step-00000005.safetensors"), whole[:len(whole)/2])
	put(t, filepath.Join(dir, "best"), []byte("step-00000003.safetensors\n"))
	var told []string
	tell := Tell(func(level Level, line string) {
		if level == Warning {
			told = append(told, line)
		}
	})
	if got, err := Resolve(dir, tell); got != old || err != nil || len(told) != 2 {
		t.Errorf("%s, %v, warnings %q", got, err, told)
	}
	if got, err := Resolve(filepath.Join(dir, "best"), tell); got != old || err != nil {
		t.Error(got, err)
	}
	for _, path := range []string{old, filepath.Join(dir, "nothing")} {
		if got, err := Resolve(path, nil); got != path || err != nil {
			t.Errorf("%s leads to %s, %v", path, got, err)
		}
	}
	c, path, err := Load(dir, nil, model.LoadModel)
	if err != nil || path != old || c.Step != 6 {
		t.Error(fmt.Sprint(path, err))
	}
	empty := t.TempDir()
	if got, err := Resolve(empty, nil); err == nil || !strings.Contains(err.Error(), empty) {
		t.Errorf("a folder without a checkpoint: %s, %v", got, err)
	}
}
