package output

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

// A file that attnx wrote is replaced, and no other; no input under any name; and
// no file by one with the extension of another kind.
func TestClaim(t *testing.T) {
	const sealed = "../../fixtures/compat/ffe1f28/gpt2/step-00000006.safetensors"
	const exported = "../../fixtures/compat/ffe1f28/gpt2-plain.onnx"
	dir := t.TempDir()
	copied := func(name, from string) string {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		return put(t, filepath.Join(dir, name), data)
	}
	trained, own := copied("trained.safetensors", sealed), copied("own.onnx", exported)
	foreign := put(t, filepath.Join(dir, "foreign.onnx"), []byte("anything"))
	link := filepath.Join(dir, "link.onnx")
	if err := os.Link(own, link); err != nil {
		t.Fatal(err)
	}
	data := put(t, filepath.Join(dir, "big.onnx_data"), []byte("weights"))
	for _, c := range []struct {
		what   Kind
		path   string
		inputs []string
		says   string // empty: allowed
	}{
		{ONNX, filepath.Join(dir, "new.onnx"), nil, ""},
		{ONNX, own, nil, ""},
		{ONNX, foreign, nil, "attnx did not write it"},
		{ONNX, own, []string{own}, own},
		{ONNX, own, []string{link}, own},
		{ONNX, strings.TrimSuffix(data, "_data"), nil, "belongs to a model of that name"},
		{ONNX, filepath.Join(dir, "new.safetensors"), nil, ".safetensors is the extension of another kind"},
		{ONNX, filepath.Join(dir, "nofolder", "new.onnx"), nil, "create it first"},
		{Checkpoint, trained, nil, "holds the state of a training run"},
		{Checkpoint, filepath.Join(dir, "new.gguf"), nil, ".gguf is the extension of another kind"},
		{Picture, put(t, filepath.Join(dir, "a.png"), []byte("\x89PNG")), nil, "attnx did not write it"},
		{Run, filepath.Join(dir, "run.txt"), nil, "end it with a slash"},
		{Run, filepath.Join(dir, "run"), nil, ""},
	} {
		claim, err := Claim(c.what, c.path, c.inputs...)
		if err == nil {
			claim.Close()
		}
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%d to %s with %v: %v, want %q", c.what, c.path, c.inputs, err, c.says)
		}
	}
}

// Our pictures carry a mark that leaves them readable.
func TestMarked(t *testing.T) {
	var drawn bytes.Buffer
	if err := png.Encode(&drawn, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	marked := Marked("png", bytes.Clone(drawn.Bytes()))
	if p, err := png.Decode(bytes.NewReader(marked)); err != nil || p.Bounds().Dx() != 3 {
		t.Errorf("a marked picture: %v", err)
	}
	svg := []byte("<?xml version=\"1.0\"?>\n<svg></svg>\n")
	for name, c := range map[string]struct {
		data []byte
		ours bool
	}{
		"a.png": {marked, true}, "b.png": {drawn.Bytes(), false},
		"a.svg": {Marked("svg", bytes.Clone(svg)), true}, "b.svg": {svg, false},
	} {
		if got := isOurPicture(put(t, filepath.Join(dir, name), c.data)); got != c.ours {
			t.Errorf("%s is ours: %t", name, got)
		}
	}
}

// A new run never gets a folder that exists, whatever is in it.
func TestFresh(t *testing.T) {
	name := filepath.Join(t.TempDir(), "runs", "go")
	for _, want := range []string{name, name + "-2", name + "-3"} {
		folder, claim, err := Fresh(name)
		if err != nil || folder != want {
			t.Fatalf("%s, %v, want %s", folder, err, want)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
			t.Errorf("%s has %v, %v", folder, entries, err)
		}
		claim.Close()
	}
}
