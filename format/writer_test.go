package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// TestWriterBytes holds the writer to the specification, byte by byte: the
// expected file is written here by hand.
func TestWriterBytes(t *testing.T) {
	got := write(t, map[string]string{"format": "pt", "b": "é\n\"</", "a": ""},
		format.FromFloat32s("w", []int{2, 1}, []float32{1, -2}),
		format.FromInt64s("empty", []int{0, 3}, nil),
		format.FromUint8s("scalar", nil, []byte{7}),
	)
	json := `{"__metadata__":{"a":"","b":"é\n\"</","format":"pt"},` +
		`"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},` +
		`"empty":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]},` +
		`"scalar":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}`
	want := []byte{0xf8, 0x0f, 0, 0, 0, 0, 0, 0} // 4096 - 8
	want = append(want, json...)
	want = append(want, strings.Repeat(" ", 4096-len(want))...)
	want = append(want, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7) // 1 and -2 in IEEE 754 binary32, then 7
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestOffsets looks for each tensor's data at the place that Offsets foretold.
func TestOffsets(t *testing.T) {
	tensors := []format.Tensor{
		format.FromFloat32s("w", []int{2, 1}, []float32{1, -2}),
		format.FromInt64s("empty", []int{0, 3}, nil),
		format.FromUint8s(strings.Repeat("long", 200), []int{4}, []byte("data")),
		format.FromUint8s("scalar", nil, []byte{7}),
	}
	metadata := map[string]string{"long": strings.Repeat("x", 5000)}
	file := write(t, metadata, tensors...)
	h := format.Header{Metadata: metadata}
	for _, x := range tensors {
		h.Tensors = append(h.Tensors, x.Info())
	}
	offsets, err := format.Offsets(h)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range tensors {
		if at := offsets[i]; !bytes.HasPrefix(file[at:], x.Data) {
			t.Errorf("%s: byte %d has other data", x.Name, at)
		}
	}
	if want := []int64{8192, 8200, 8200, 8204}; !slices.Equal(offsets, want) {
		t.Errorf("offsets %v, want %v", offsets, want)
	}
	h.Tensors[1].Name = "w"
	if _, err := format.Offsets(h); err == nil {
		t.Error("a header with the same name twice has offsets")
	}
}

// TestWriterPage checks that the data begin on a page and that the padding is
// never a page too long, at header lengths around the end of one.
func TestWriterPage(t *testing.T) {
	for name := 1; name <= 1024; name++ { // some header among these fills its page exactly
		names := []string{strings.Repeat("a", name), strings.Repeat("b", 1000), strings.Repeat("c", 1000), strings.Repeat("d", 1000)}
		var tensors []format.Tensor
		json := 1 // the closing brace
		for _, n := range names {
			tensors = append(tensors, format.FromUint8s(n, []int{0}, nil))
			json += len(`{"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`) + len(n)
		}
		want := 4096
		if 8+json > 4096 {
			want = 8192
		}
		got := write(t, nil, tensors...)
		if len(got) != want || got[0] != 0xf8 {
			t.Fatalf("%d bytes of JSON: data begin at %d, want %d; first byte %#x", json, len(got), want, got[0])
		}
		if got[8+json-1] != '}' {
			t.Fatalf("%d bytes of JSON do not end there", json)
		}
	}
}

func TestWriterIsDeterministic(t *testing.T) {
	metadata := map[string]string{}
	for i := range 50 { // enough that the random order of a map would show
		metadata[fmt.Sprint(i)] = "x"
	}
	first := write(t, metadata, format.FromUint8s("x", []int{1}, []byte{1}))
	for range 20 {
		if !bytes.Equal(first, write(t, metadata, format.FromUint8s("x", []int{1}, []byte{1}))) {
			t.Fatal("the same content gave other bytes")
		}
	}
	if bytes.Contains(write(t, map[string]string{}), []byte("__metadata__")) {
		t.Error("empty metadata is written, but metadata that are nil are not")
	}
}

// TestWriterCopiesItsHeader changes a shape after the header was written.
func TestWriterCopiesItsHeader(t *testing.T) {
	shape := []int{2}
	w := format.NewWriter(io.Discard, format.Header{Tensors: []format.TensorInfo{{Name: "a", DType: format.Uint8, Shape: shape}}})
	shape[0] = 1
	w.Add(format.FromUint8s("a", []int{2}, []byte{1, 2}))
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestWriterRefuses(t *testing.T) {
	u8 := func(name string, shape ...int) format.TensorInfo {
		return format.TensorInfo{Name: name, DType: format.Uint8, Shape: shape}
	}
	big := format.TensorInfo{Name: "b", DType: format.Uint8, Shape: []int{math.MaxInt}}
	for _, c := range []struct {
		name   string
		header format.Header
		add    []format.Tensor
		want   string
	}{
		{"empty name", format.Header{Tensors: []format.TensorInfo{u8("")}}, nil, "the name is empty"},
		{"long name", format.Header{Tensors: []format.TensorInfo{u8(strings.Repeat("x", 1025))}}, nil, "1025 bytes, at most 1024"},
		{"NUL", format.Header{Tensors: []format.TensorInfo{u8("a\x00b")}}, nil, "control character U+0000"},
		{"no UTF-8", format.Header{Tensors: []format.TensorInfo{u8("\xff")}}, nil, "not UTF-8"},
		{"metadata's name", format.Header{Tensors: []format.TensorInfo{u8("__metadata__")}}, nil, "taken by the metadata"},
		{"twice", format.Header{Tensors: []format.TensorInfo{u8("a"), u8("a")}}, nil, "used twice"},
		{"negative", format.Header{Tensors: []format.TensorInfo{u8("a", -1)}}, nil, "has no size"},
		{"overflow", format.Header{Tensors: []format.TensorInfo{{Name: "a", DType: format.Float64, Shape: []int{math.MaxInt}}}}, nil, "has no size"},
		{"no type", format.Header{Tensors: []format.TensorInfo{{Name: "a"}}}, nil, "has no size"},
		{"axes", format.Header{Tensors: []format.TensorInfo{u8("a", make([]int, 65)...)}}, nil, "65 axes, at most 64"},
		{"sum overflows", format.Header{Tensors: []format.TensorInfo{u8("a", 1), big}}, nil, "more than 2^63 bytes"},
		{"metadata name", format.Header{Metadata: map[string]string{"a\n": ""}}, nil, "control character U+000A"},
		{"metadata value", format.Header{Metadata: map[string]string{"a": "\xff"}}, nil, "not UTF-8"},
		{"header too long", format.Header{Metadata: map[string]string{"a": strings.Repeat("x", format.MaxHeader)}}, nil, "at most 100000000"},
		{"one too few", format.Header{Tensors: []format.TensorInfo{u8("a", 0), u8("b", 0)}}, []format.Tensor{format.FromUint8s("a", []int{0}, nil)}, `tensor "b": the header declares it`},
		{"one too many", format.Header{}, []format.Tensor{format.FromUint8s("a", []int{0}, nil)}, "no further tensor"},
		{"another name", format.Header{Tensors: []format.TensorInfo{u8("a", 0)}}, []format.Tensor{format.FromUint8s("b", []int{0}, nil)}, `but the header has "a"`},
		{"another type", format.Header{Tensors: []format.TensorInfo{u8("a", 0)}}, []format.Tensor{format.FromInt64s("a", []int{0}, nil)}, "I64[0] was added"},
		{"another shape", format.Header{Tensors: []format.TensorInfo{u8("a", 0, 2)}}, []format.Tensor{format.FromUint8s("a", []int{2, 0}, nil)}, "U8[2 0] was added"},
		{"too few bytes", format.Header{Tensors: []format.TensorInfo{u8("a", 2)}}, []format.Tensor{format.FromUint8s("a", []int{2}, []byte{1})}, "expects 2 bytes, has 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			w := format.NewWriter(&b, c.header)
			for _, x := range c.add {
				w.Add(x)
			}
			err := w.Close()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
			if c.add == nil && c.name != "one too few" && b.Len() > 0 {
				t.Errorf("%d bytes were written before the header was refused", b.Len())
			}
		})
	}
}

// failing takes so many bytes and then fails, with err or by taking less.
type failing struct {
	room int
	err  error
}

func (f *failing) Write(b []byte) (int, error) {
	if len(b) <= f.room {
		f.room -= len(b)
		return len(b), nil
	}
	n := f.room
	f.room = 0
	return n, f.err
}

func TestWriterKeepsItsFirstError(t *testing.T) {
	full := errors.New("full")
	h := format.Header{Tensors: []format.TensorInfo{{Name: "a", DType: format.Uint8, Shape: []int{4}}, {Name: "b", DType: format.Uint8, Shape: []int{4}}}}
	for _, c := range []struct {
		w    io.Writer
		want error
	}{
		{&failing{0, full}, full},    // in the header
		{&failing{4097, full}, full}, // in a
		{&failing{4101, full}, full}, // in b
		{&failing{4097, nil}, io.ErrShortWrite},
	} {
		w := format.NewWriter(c.w, h)
		w.Add(format.FromUint8s("a", []int{4}, make([]byte, 4)))
		w.Add(format.FromUint8s("b", []int{4}, make([]byte, 4)))
		w.Add(format.FromUint8s("c", []int{4}, make([]byte, 4))) // would be an error of its own
		if err := w.Close(); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.w, err, c.want)
		}
	}
}
