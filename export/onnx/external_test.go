package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

func weights(n int, b byte) *onnx.Tensor {
	return &onnx.Tensor{DataType: onnx.Uint8, Dims: []int64{int64(n)}, Raw: bytes.Repeat([]byte{b}, n)}
}

// What Externalize moves comes back from the file, page by page; small tensors
// stay, and the model that was given does not change.
func TestExternalize(t *testing.T) {
	m := small()
	m.Graph.Initializers = nil
	for name, n := range map[string]int{"small": 1023, "least": 1024, "page": 4096, "odd": 5000, "last": 4097} {
		w := weights(n, name[0])
		w.Name = name
		m.Graph.Initializers = append(m.Graph.Initializers, w)
	}
	before := encoded(t, m)
	ext, write := onnx.Externalize(m, "w.bin")
	if !bytes.Equal(before, encoded(t, m)) || m.HasExternal() || !ext.HasExternal() {
		t.Error("Externalize changed the model that it was given")
	}
	var data bytes.Buffer
	if err := write(&data); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), data.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	back, err := onnx.Decode(encoded(t, ext))
	if err != nil {
		t.Fatal(err)
	}
	end := int64(0)
	for i, x := range back.Graph.Initializers {
		was := m.Graph.Initializers[i]
		raw, err := x.Load(dir)
		if err != nil || !bytes.Equal(raw, was.Raw) {
			t.Errorf("%s came back otherwise (%v)", x.Name, err)
		}
		if (x.External == nil) != (x.Name == "small") {
			t.Errorf("%s: external %v", x.Name, x.External)
		}
		if e := x.External; e != nil {
			if e.Offset%4096 != 0 || e.Offset < end {
				t.Errorf("%s begins at %d, the one before ends at %d", x.Name, e.Offset, end)
			}
			end = e.Offset + e.Length
		}
	}
	if end != int64(data.Len()) {
		t.Errorf("the last tensor ends at %d of %d bytes", end, data.Len())
	}
}

// A tensor may lie only in a regular file, within the folder, that is long
// enough: refused by Check and Load alike, and by ReadFile under the model's
// name.
func TestExternalRefuses(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "model")
	for _, d := range []string{"sub", "behind"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(outside, "secret"), filepath.Join(dir, "w"), filepath.Join(dir, "sub", "w")} {
		if err := os.WriteFile(f, make([]byte, 100), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for to, link := range map[string]string{"../secret": "link", "w": "inner", "sub": "folder", "..": "up", "w2": "dangling"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skipf("symbolic links cannot be made here: %v", err)
		}
	}
	const leaves, noFile = "the path leaves the model's folder or is not a plain relative one", "it is a symbolic link or not a regular file"
	for _, c := range []struct {
		name string
		x    onnx.External
		want string // empty: accepted
	}{
		{"beside", onnx.External{Location: "w"}, ""},
		{"deeper", onnx.External{Location: "sub/w"}, ""},
		{"up to the end", onnx.External{Location: "w", Offset: 92}, ""},
		{"above", onnx.External{Location: "../secret"}, leaves},
		{"above and back", onnx.External{Location: "../model/w"}, leaves},
		{"in and out", onnx.External{Location: "sub/../../secret"}, leaves},
		{"in and back", onnx.External{Location: "sub/../w"}, ""},
		{"absolute", onnx.External{Location: filepath.ToSlash(filepath.Join(outside, "secret"))}, leaves},
		{"backslash", onnx.External{Location: `..\secret`}, leaves},
		{"drive", onnx.External{Location: "c:w"}, leaves},
		{"stream", onnx.External{Location: "w:stream"}, leaves},
		{"NUL", onnx.External{Location: "w\x00"}, leaves},
		{"empty", onnx.External{Location: ""}, leaves},
		{"the folder itself", onnx.External{Location: "."}, leaves},
		{"dot", onnx.External{Location: "./w"}, ""},
		{"two slashes", onnx.External{Location: "sub//w"}, ""},
		{"a folder", onnx.External{Location: "sub"}, noFile},
		{"a link out", onnx.External{Location: "link"}, noFile},
		{"a link within", onnx.External{Location: "inner"}, noFile},
		{"a link to nothing", onnx.External{Location: "dangling"}, noFile},
		{"behind a folder that is a link", onnx.External{Location: "folder/w"}, noFile},
		{"behind a folder that leads out", onnx.External{Location: "up/secret"}, "external data \"up/secret\": "},
		{"missing", onnx.External{Location: "none"}, "no such file"},
		{"missing folder", onnx.External{Location: "none/w"}, "no such file"},
		{"too short", onnx.External{Location: "w", Offset: 93}, "8 bytes from 93 are not in a file of 100"},
		{"offset beyond", onnx.External{Location: "w", Offset: 1 << 62}, "are not in a file of 100"},
		{"offset that wraps", onnx.External{Location: "w", Offset: 1<<63 - 1}, "are not in a file of 100"},
		{"negative offset", onnx.External{Location: "w", Offset: -1}, "offset -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := small()
			w := m.Graph.Initializers[1] // 8 bytes
			x := c.x
			x.Length = -1
			w.Raw, w.External = nil, &x
			err := onnx.Check(m, dir)
			_, loadErr := w.Load(dir)
			if c.want == "" {
				if err != nil || loadErr != nil {
					t.Errorf("refused: %v, %v", err, loadErr)
				}
				return
			}
			for _, err := range []error{err, loadErr} {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `tensor "bias"`) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			}
			if err := onnx.Check(m, ""); (err != nil) != (c.want == leaves || c.name == "negative offset") {
				t.Errorf("without a folder: %v", err)
			}
			path := filepath.Join(dir, "x.onnx")
			if err := os.WriteFile(path, encoded(t, m), 0o666); err != nil {
				t.Fatal(err)
			}
			if _, err := onnx.ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("ReadFile: %v", err)
			}
		})
	}
	// A tensor in an attribute is a tensor too.
	m := small()
	a := m.Graph.Nodes[2].Attributes[0].Tensor
	a.Raw, a.External = nil, &onnx.External{Location: "../secret", Length: -1}
	if err := onnx.Check(m, dir); err == nil || !strings.Contains(err.Error(), leaves) {
		t.Errorf("an attribute's tensor: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m := small()
	write(encoded(t, m))
	back, err := onnx.ReadFile(path)
	if err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("read otherwise (%v)", err)
	}
	m.Graph.Nodes[0].Inputs[0] = "y"
	write(encoded(t, m))
	unknown := small()
	unknown.Graph.Nodes[0].Op = "Frobnicate"
	sparse := filepath.Join(dir, "sparse")
	f, err := os.Create(sparse)
	if err == nil {
		err = f.Truncate(1 << 31)
		f.Close()
	}
	if err != nil {
		t.Skipf("no sparse file can be made here: %v", err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"a cycle":       {path, "a cycle"},
		"a folder":      {dir, "it is not a regular file"},
		"nothing there": {filepath.Join(dir, "none"), "no such file"},
		"2 GiB":         {sparse, "2147483648 bytes are more than protobuf can hold"},
	} {
		if _, err := onnx.ReadFile(c.path); err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, data := range [][]byte{nil, []byte("text"), encoded(t, unknown)} {
		write(data)
		if _, err := onnx.ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// A file beyond 2 GiB would be read by nobody.
func TestEncodeRefuses(t *testing.T) {
	m := small()
	w := weights(1<<20, 0)
	for range 2048 { // the same memory each time
		m.Graph.Initializers = append(m.Graph.Initializers, w)
	}
	var b bytes.Buffer
	if err := m.Encode(&b); err == nil || !strings.Contains(err.Error(), "more than protobuf allows") || b.Len() > 0 {
		t.Errorf("got %v, %d bytes written", err, b.Len())
	}
}

// A model is recognized by its fields, whatever its name, also one that is cut
// short behind the beginning of its graph; a message of other fields is not.
func TestRecognize(t *testing.T) {
	whole := encoded(t, small())
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{
		"a model":                     {whole, true},
		"cut short":                   {whole[:len(whole)-9], true},
		"the graph first":             {pb(sub(7, text(2, "g")), vint(1, 8)), true},
		"a tensor of integers":        {pb(vint(1, 2), vint(2, 7), sub(7, packed(1, 2))), false},
		"a saved model of TensorFlow": {pb(vint(1, 1), sub(2, sub(1))), false},
		"fields that none has":        {pb(vint(1, 8), text(99, "x"), sub(7)), false},
		"a length beyond the file":    {pb(vint(1, 8), []byte{0x12, 0xff, 0xff, 0x03}, sub(7)), false},
		"nothing":                     {nil, false},
	} {
		if got := onnx.Recognize(bytes.NewReader(c.data), int64(len(c.data))); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
