package format_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
)

// TestForeign reads a file that the safetensors library wrote. Its header is
// padded to 8 bytes only, and its data do not begin on a page.
func TestForeign(t *testing.T) {
	raw, err := fixtures.FS.ReadFile("tiny_gpt2/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	metadata, tensors := mustRead(t, raw)
	if metadata["format"] != "pt" || len(tensors) != 28 { // 2 layers of 12, two embeddings, the last norm's two
		t.Errorf("metadata %q, %d tensors", metadata, len(tensors))
	}
	for _, x := range tensors {
		if x.Name == "wte.weight" {
			v, err := x.Float32s()
			if err != nil || len(v) != 31*16 {
				t.Errorf("wte.weight: %d numbers, %v", len(v), err)
			}
			return
		}
	}
	t.Error("no wte.weight")
}

// TestAccepts checks files that are valid though no Writer of ours makes them.
func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want string // the tensors' names, in the order of their data
	}{
		{"nothing", file("{}", 0), ""},
		{"only metadata", file(`{"__metadata__":{}}`, 0), ""},
		{"metadata null", file(`{"__metadata__":null,`+entry("a")+"}", 2), "a"},
		{"metadata last", file("{"+entry("a")+`,"__metadata__":{"k":"\u0000\n"}}`, 2), "a"},
		{"blanks", file("{ \n\t"+entry("a")+"\r }  ", 2), "a"},
		{"members in another order", file(`{"a":{"data_offsets":[0,2],"shape":[1,2,1],"dtype":"U8"}}`, 2), "a"},
		{"places in another order", file("{"+at("a", 3, 5)+","+at("b", 0, 3)+","+at("c", 5, 5)+"}", 5), "b a c"},
		{"no elements, anywhere", file("{"+at("a", 2, 2)+","+at("b", 0, 2)+","+at("c", 0, 0)+","+at("d", 2, 4)+"}", 4), "c b a d"},
		{"scalar", file(`{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}`, 8), "a"},
		{"escapes", file("{"+entry(`\u0061\/\"\ud83d\ude00`)+"}", 2), `a/"😀`},
		{"long name", file("{"+entry(strings.Repeat("n", 1024))+"}", 2), strings.Repeat("n", 1024)},
		{"large axis of no elements", file(`{"a":{"dtype":"U8","shape":[9223372036854775807,0],"data_offsets":[0,0]}}`, 0), "a"},
		{"64 axes", file(`{"a":{"dtype":"U8","shape":[`+strings.Repeat("1,", 63)+`2],"data_offsets":[0,2]}}`, 2), "a"},
	} {
		_, tensors, err := read(c.file)
		var names []string
		for _, x := range tensors {
			names = append(names, x.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// TestReaderCopies checks that what a Reader hands out is the caller's to change.
func TestReaderCopies(t *testing.T) {
	b := write(t, map[string]string{"a": "b"}, format.FromUint8s("x", []int{2}, []byte{1, 2}))
	r, err := format.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	r.Metadata()["a"] = "changed"
	r.Tensors()[0].Shape[0] = 9
	x, err := r.Tensor("x")
	if err != nil {
		t.Fatal(err)
	}
	x.Shape[0], x.Data[0] = 9, 9
	x, err = r.Tensor("x")
	if err != nil || r.Metadata()["a"] != "b" || r.Tensors()[0].Shape[0] != 2 || x.Shape[0] != 2 || x.Data[0] != 1 {
		t.Errorf("%v: %v %v %v", err, r.Metadata(), r.Tensors(), x)
	}
	_, err = r.Tensor("y")
	if bad := (*format.FormatError)(nil); !errors.As(err, &bad) || bad.Tensor != "y" {
		t.Errorf("a tensor that is not there: got %v", err)
	}
}

// TestReaderFromGoroutines reads two tensors at once; the race detector looks on.
func TestReaderFromGoroutines(t *testing.T) {
	b := write(t, nil, format.FromUint8s("x", []int{1}, []byte{1}), format.FromUint8s("y", []int{1}, []byte{2}))
	r, err := format.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, name := range []string{"x", "y", "x", "y"} {
		wg.Go(func() {
			if x, err := r.Tensor(name); err != nil || x.Data[0] != byte(1+i%2) {
				t.Errorf("%s: %v, %v", name, x, err)
			}
		})
	}
	wg.Wait()
}

// eager returns io.EOF with the last byte, as an io.ReaderAt may.
type eager struct{ b []byte }

func (e eager) ReadAt(b []byte, off int64) (int, error) {
	n := copy(b, e.b[off:])
	if off+int64(n) == int64(len(e.b)) {
		return n, io.EOF
	}
	return n, nil
}

// broken fails from a byte on.
type broken struct {
	eager
	from int64
}

var errBroken = errors.New("broken")

func (r broken) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > r.from {
		return 0, errBroken
	}
	return r.eager.ReadAt(b, off)
}

func TestReaderAt(t *testing.T) {
	b := write(t, nil, format.FromUint8s("x", []int{1}, []byte{1}))
	r, err := format.NewReader(eager{b}, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tensor("x"); err != nil {
		t.Errorf("io.EOF with the last byte: %v", err)
	}
	empty := file("{}", 0)
	if _, err := format.NewReader(eager{empty}, int64(len(empty))); err != nil {
		t.Errorf("io.EOF with the header's last byte: %v", err)
	}
	for _, from := range []int64{0, 8} {
		if _, err := format.NewReader(broken{eager{b}, from}, int64(len(b))); !errors.Is(err, errBroken) {
			t.Errorf("broken from byte %d: got %v", from, err)
		}
	}
	if r, err = format.NewReader(broken{eager{b}, 4096}, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if _, err = r.Tensor("x"); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("broken in the data: got %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	foreign := filepath.Join(dir, "foreign")
	for path, b := range map[string][]byte{
		good:    write(t, nil, format.FromUint8s("x", []int{1}, []byte{1})),
		bad:     file("{", 0),
		foreign: file(`{"a":{"dtype":"C64","shape":[0],"data_offsets":[0,0]}}`, 0),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := format.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	if x, err := f.Tensor("x"); err != nil || x.Data[0] != 1 {
		t.Errorf("got %v, %v", x, err)
	}
	if _, err := f.Tensor("y"); err == nil || !strings.HasPrefix(err.Error(), good+": ") {
		t.Errorf("a tensor that is not there: the error does not begin with the file: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Tensor("x"); !errors.Is(err, fs.ErrClosed) || !strings.HasPrefix(err.Error(), good+": ") {
		t.Errorf("a closed file: got %v", err)
	}

	var invalid *format.FormatError
	if _, err := format.Open(bad); !errors.As(err, &invalid) || invalid.File != bad || !strings.HasPrefix(err.Error(), bad+": ") {
		t.Errorf("a bad file: got %v", err)
	}
	var unsupported *format.UnsupportedError
	if _, err := format.Open(foreign); !errors.As(err, &unsupported) || !strings.HasPrefix(err.Error(), foreign+": ") {
		t.Errorf("a file that is not supported: got %v", err)
	}
	if _, err := format.Open(dir); !errors.As(err, &invalid) || invalid.File != dir {
		t.Errorf("a folder: got %v", err)
	}
	if _, err := format.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("no file: got %v", err)
	}
}
