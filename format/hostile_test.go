package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// hostile is a file that must be refused, and what the refusal must say.
type hostile struct {
	name string
	file []byte
	want string
	// lenient: the reference implementation, safetensors 0.8.0, takes it. It
	// refuses all others, which TestReferenceRefuses checks.
	lenient bool
}

// entry describes a tensor called name, of two bytes at the start of the data.
func entry(name string) string {
	return `"` + name + `":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}`
}

// at describes a tensor of bytes from begin to end.
func at(name string, begin, end int) string {
	return fmt.Sprintf(`"%s":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}`, name, end-begin, begin, end)
}

// shaped describes a tensor of two bytes with the given shape.
func shaped(shape string) []byte {
	return file(`{"a":{"dtype":"U8","shape":`+shape+`,"data_offsets":[0,2]}}`, 2)
}

// placed describes a tensor of two bytes with the given offsets.
func placed(offsets string) []byte {
	return file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":`+offsets+`}}`, 2)
}

func typed(dtype string) []byte {
	return file(`{"a":{"dtype":`+dtype+`,"shape":[2],"data_offsets":[0,2]}}`, 2)
}

// length is a file of so many bytes that declares a header of n.
func length(n uint64, size int) []byte {
	b := make([]byte, size)
	binary.LittleEndian.PutUint64(b, n)
	copy(b[8:], "{}")
	return b
}

func hostiles() []hostile {
	ones := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "2]" }
	return []hostile{
		// the length word
		{"no bytes", nil, "0 bytes are too few", false},
		{"seven bytes", make([]byte, 7), "7 bytes are too few", false},
		{"length 2^64-1", length(math.MaxUint64, 32), "at most 100000000", false},
		{"length 2^63", length(1<<63, 32), "at most 100000000", false},
		{"length -8", length(math.MaxUint64-7, 32), "at most 100000000", false},
		{"length over the limit", length(format.MaxHeader+1, 32), "at most 100000000", false},
		{"length at the limit", length(format.MaxHeader, 32), "in a file of 32: it is truncated", false},
		{"length one too many", length(25, 32), "a header of 25 bytes in a file of 32", false},
		{"Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), "it is a Git LFS pointer", false},
		{"old Git LFS pointer", []byte("version https://hawser.github.com/spec/v1\noid sha256:00\nsize 1\n"), "it is a Git LFS pointer", false},
		{"begins like a pointer", append([]byte("version https://git-lfs.github.com/spec/v1\n"), make([]byte, 1024)...), "it is not a safetensors file", false},
		{"length zero", length(0, 32), "does not begin with '{'", false},

		// the text as a whole
		{"blank first", file(" {"+entry("a")+"}", 2), "does not begin with '{'", true},
		{"byte order mark", file("\ufeff{"+entry("a")+"}", 2), "does not begin with '{'", false},
		{"array", file("["+entry("a")+"]", 2), "does not begin with '{'", false},
		{"pickle", file("\x80\x04}.", 0), "does not begin with '{'", false},
		{"object not closed", file("{"+entry("a"), 2), "not strict JSON", false},
		{"cut in a string", file(`{"a`, 2), "not strict JSON", false},
		{"only a brace", file("{", 0), "not strict JSON", false},
		{"comma at the end", file("{"+entry("a")+",}", 2), "not strict JSON", false},
		{"comma missing", file("{"+entry("a")+at("b", 2, 3)+"}", 3), "not strict JSON", false},
		{"colon missing", file(`{"a"{}}`, 0), "not strict JSON", false},
		{"single quotes", file("{'a':{}}", 0), "not strict JSON", false},
		{"comment", file("{/**/"+entry("a")+"}", 2), "not strict JSON", false},
		{"NaN", file(`{"a":NaN}`, 0), "not strict JSON", false},
		{"brackets crossed", file(`{"a":{"dtype":"U8","shape":[2},"data_offsets":[0,2]]}`, 2), "expected an integer", false},
		{"bad escape", file("{"+entry(`\x61`)+"}", 2), "not strict JSON", false},
		{"invalid UTF-8", file("{"+entry("\xff")+"}", 2), "not strict JSON", false},
		{"overlong UTF-8", file("{"+entry("\xc0\x80")+"}", 2), "not strict JSON", false},
		{"half a surrogate pair", file("{"+entry(`\ud800`)+"}", 2), "not strict JSON", false},
		{"raw control character", file("{"+entry("a\nb")+"}", 2), "not strict JSON", false},
		{"line feed after", file("{"+entry("a")+"}\n", 2), "the byte 0x0a follows", true},
		{"NUL after", file("{"+entry("a")+"}\x00", 2), "the byte 0x00 follows", false},
		{"second object", file("{"+entry("a")+"} {}", 2), "the byte 0x7b follows", false},

		// names
		{"name twice", file("{"+at("a", 0, 2)+","+at("a", 2, 4)+"}", 4), "a name is used twice", false},
		{"name twice, escaped", file("{"+at("a", 0, 2)+","+at(`\u0061`, 2, 4)+"}", 4), "a name is used twice", false},
		{"name and place twice", file("{"+entry("a")+","+entry("a")+"}", 2), "a name is used twice", true},
		{"empty name", file("{"+entry("")+"}", 2), "the name is empty", true},
		{"NUL in a name", file("{"+entry(`a\u0000b`)+"}", 2), "control character U+0000", true},
		{"escape in a name", file("{"+entry(`\u001b[2J`)+"}", 2), "control character U+001B", true},
		{"DEL in a name", file("{"+entry("\x7f")+"}", 2), "control character U+007F", true},
		{"C1 in a name", file("{"+entry("\u0085")+"}", 2), "control character U+0085", true},
		{"name in capitals", file("{"+at("a", 0, 2)+","+at("A", 2, 4)+"}", 4), `the name differs from "a" in capitals only`, true},
		{"name in other capitals", file("{"+at("É", 0, 2)+","+at("é", 2, 4)+"}", 4), "in capitals only", true},
		{"metadata in capitals", file("{"+entry("__METADATA__")+"}", 2), "differs from __metadata__ in capitals only", true},
		{"long name", file("{"+entry(strings.Repeat("n", 1025))+"}", 2), "1025 bytes, at most 1024", true},

		// metadata
		{"metadata null twice", file(`{"__metadata__":null,"__metadata__":null}`, 0), "a name is used twice", false},
		{"metadata nul", file(`{"__metadata__":nul}`, 0), "not strict JSON", false},
		{"metadata string", file(`{"__metadata__":"x"}`, 0), "expected an object", false},
		{"metadata number", file(`{"__metadata__":{"a":1}}`, 0), "expected a string", false},
		{"metadata nested", file(`{"__metadata__":{"a":{}}}`, 0), "expected a string", false},
		{"metadata value null", file(`{"__metadata__":{"a":null}}`, 0), "expected a string", false},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "a name is used twice", false},
		{"metadata twice, escaped", file(`{"__metadata__":{},"__metadata_\u005f":{}}`, 0), "a name is used twice", false},
		{"metadata name twice", file(`{"__metadata__":{"a":"x","a":"y"}}`, 0), "a name is used twice", true},
		{"metadata name empty", file(`{"__metadata__":{"":"x"}}`, 0), `metadata "": the name is empty`, true},
		{"metadata name NUL", file(`{"__metadata__":{"\u0000":"x"}}`, 0), "control character U+0000", true},
		{"metadata as a tensor", file("{"+entry("__metadata__")+"}", 2), "expected a string", false},

		// members of a tensor
		{"tensor null", file(`{"a":null}`, 0), "expected an object", false},
		{"tensor array", file(`{"a":["U8",[2],[0,2]]}`, 2), "expected an object", true},
		{"no dtype", file(`{"a":{"shape":[2],"data_offsets":[0,2]}}`, 2), "dtype is missing", false},
		{"no shape", file(`{"a":{"dtype":"U8","data_offsets":[0,2]}}`, 2), "shape is missing", false},
		{"no offsets", file(`{"a":{"dtype":"U8","shape":[2]}}`, 2), "data_offsets is missing", false},
		{"no members", file(`{"a":{}}`, 0), "dtype is missing", false},
		{"unknown member", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"x":1}}`, 2), `unknown member "x"`, true},
		{"member in capitals", file(`{"a":{"DTYPE":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), `unknown member "DTYPE"`, false},
		{"dtype twice", file(`{"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2), "a name is used twice", false},
		{"shape twice", file(`{"a":{"dtype":"U8","shape":[9],"shape":[2],"data_offsets":[0,2]}}`, 2), "a name is used twice", false},
		{"offsets twice", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,9],"data_offsets":[0,2]}}`, 2), "a name is used twice", false},

		// element types
		{"dtype number", typed("3"), "expected a string", false},
		{"dtype null", typed("null"), "expected a string", false},
		{"dtype unknown", typed(`"U9"`), `unknown element type "U9"`, false},
		{"dtype in small letters", typed(`"u8"`), `unknown element type "u8"`, false},
		{"dtype with NUL", typed(`"U8\u0000"`), `unknown element type "U8\x00"`, false},
		{"dtype of ours", typed(`"invalid"`), `unknown element type "invalid"`, false},

		// shapes
		{"shape null", shaped("null"), "expected an array", false},
		{"shape number", shaped("2"), "expected an array", false},
		{"shape nested", shaped("[[2]]"), "expected an integer", false},
		{"shape string", shaped(`["2"]`), "expected an integer", false},
		{"shape negative", shaped("[-2]"), `"-2" is not an integer`, false},
		{"shape twice negative", shaped("[-1,-2]"), `"-1" is not an integer`, false},
		{"shape minus zero", file(`{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}`, 0), `"-0" is not an integer`, false},
		{"shape fraction", shaped("[2.0]"), `"2.0" is not an integer`, false},
		{"shape exponent", shaped("[2e0]"), `"2e0" is not an integer`, false},
		{"shape leading zero", shaped("[02]"), "not strict JSON", false},
		{"shape hexadecimal", shaped("[0x2]"), "not strict JSON", false},
		{"shape 2^63", shaped("[9223372036854775808]"), "is not an integer from 0 to 2^63-1", false},
		{"shape 2^64+2", shaped("[18446744073709551618]"), "is not an integer from 0 to 2^63-1", false},
		{"shape with 100 digits", shaped("[" + strings.Repeat("9", 100) + "]"), "is not an integer from 0 to 2^63-1", false},
		{"product 2^64", shaped("[4294967296,4294967296]"), "overflow", false},
		{"product 2^64+2", shaped("[2,9223372036854775807]"), "overflow", false},
		{"product times size", file(`{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`, 0), "overflow", false},
		{"product around zero", file(`{"a":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "overflow", true},
		{"65 axes", shaped(ones(65)), "more than 64 integers", true},
		{"comma in a shape", shaped("[2,]"), "not strict JSON", false},
		{"no comma in a shape", shaped("[1 2]"), "not strict JSON", false},

		// offsets
		{"offsets reversed", placed("[2,0]"), "begin at 2 and end before", false},
		{"offsets one", placed("[2]"), "expects two integers", false},
		{"offsets three", placed("[0,2,2]"), "more than 2 integers", false},
		{"offsets none", placed("[]"), "expects two integers", false},
		{"offsets negative", placed("[-2,0]"), `"-2" is not an integer`, false},
		{"offsets fraction", placed("[0,2.0]"), `"2.0" is not an integer`, false},
		{"offsets 2^63", placed("[0,9223372036854775808]"), "is not an integer from 0 to 2^63-1", false},
		{"offsets 2^64+2", placed("[0,18446744073709551618]"), "is not an integer from 0 to 2^63-1", false},
		{"offsets object", placed(`{"0":2}`), "expected an array", false},
		{"offsets too near", placed("[0,1]"), "U8[2] has 2 bytes, its data_offsets span 1", false},
		{"offsets too far", placed("[0,3]"), "U8[2] has 2 bytes, its data_offsets span 3", false},

		// places
		{"no tensors, one byte", file("{}", 1), "1 bytes follow that belong to no tensor", false},
		{"byte too many", file("{"+entry("a")+"}", 3), "1 bytes follow that belong to no tensor", false},
		{"byte too few", file("{"+entry("a")+"}", 1), "end 1 bytes after the file: it is truncated", false},
		{"2^62 bytes declared", file(`{"a":{"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,4611686018427387904]}}`, 2), "it is truncated", false},
		{"2^63-1 declared", file(`{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}`, 2), "it is truncated", false},
		{"wrap", file(`{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]},`+
			`"b":{"dtype":"U8","shape":[2],"data_offsets":[9223372036854775805,9223372036854775807]}}`, 2), "it is truncated", false},
		{"hole first", file("{"+at("a", 1, 3)+"}", 3), "a hole of 1 bytes before", false},
		{"hole between", file("{"+at("a", 0, 2)+","+at("b", 3, 4)+"}", 4), "a hole of 1 bytes before", false},
		{"hole with no elements", file("{"+at("a", 0, 2)+","+at("b", 5, 5)+"}", 5), "a hole of 3 bytes before", false},
		{"overlap", file("{"+at("a", 0, 2)+","+at("b", 1, 3)+"}", 3), "overlap", false},
		{"overlap and hole", file("{"+at("a", 0, 2)+","+at("b", 1, 2)+","+at("c", 3, 4)+"}", 4), "overlap", false},
		{"one place for two", file("{"+entry("a")+","+entry("b")+"}", 2), "overlap", false},
		{"one inside the other", file("{"+at("a", 0, 4)+","+at("b", 1, 2)+"}", 4), "overlap", false},
		{"no elements inside", file("{"+at("a", 0, 4)+","+at("b", 2, 2)+"}", 4), "overlap", false},

		// nesting: deep enough to overflow the stack of a parser that recurses
		{"deep arrays", file(`{"a":`+strings.Repeat("[", 1_000_000), 0), "expected an object", false},
		{"deep objects", file(strings.Repeat(`{"a":`, 1_000_000), 0), `unknown member "a"`, false},
		{"deep shape", shaped(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), "expected an integer", false},

		// what is not supported must not hide what is not valid
		{"unsupported, then a name twice", file(`{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"a":{}}`, 2), "a name is used twice", false},
		{"unsupported, then a hole", file(`{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},`+at("b", 3, 4)+"}", 4), "a hole of 1 bytes", false},
	}
}

func TestHostile(t *testing.T) {
	for _, c := range hostiles() {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := read(c.file)
			var bad *format.FormatError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want a FormatError with %q", err, c.want)
			}
			if bad.Offset < 0 || bad.Offset > int64(len(c.file)) {
				t.Errorf("byte %d is not in the file of %d", bad.Offset, len(c.file))
			}
			if s := err.Error(); len(s) > 300 || strings.ContainsAny(s, "\n\x00\x1b") {
				t.Errorf("the message is not one short line: %q", s)
			}
		})
	}
}

// TestHostileMemory checks that a small file that declares much takes memory
// in proportion to what it is, not to what it declares.
func TestHostileMemory(t *testing.T) {
	for _, c := range hostiles() {
		if allowed := uint64(64<<10 + 32*len(c.file)); allocated(func() { read(c.file) }) > allowed {
			t.Errorf("%s: %d bytes of file took more than %d of memory", c.name, len(c.file), allowed)
		}
	}
}

// allocated returns the bytes of memory that f asks for.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// zeros reads as a file that begins with head and continues with zeros.
type zeros struct{ head []byte }

func (z zeros) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off < int64(len(z.head)) {
		copy(b, z.head[off:])
	}
	return len(b), nil
}

// TestHeaderLimit checks the limit on a file that is large enough for it.
func TestHeaderLimit(t *testing.T) {
	r := zeros{length(format.MaxHeader+1, 32)}
	var err error
	if n := allocated(func() { _, err = format.NewReader(r, 1<<40) }); n > 1<<16 {
		t.Errorf("%d bytes of memory were taken", n)
	}
	if err == nil || !strings.Contains(err.Error(), "at most 100000000") {
		t.Errorf("got %v", err)
	}
	if _, err := format.NewReader(bytes.NewReader(file("{}", 0)), -1); err == nil {
		t.Error("a negative size is taken")
	}
}

func TestUnsupported(t *testing.T) {
	for _, dtype := range []string{"C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"} {
		_, _, err := read(file(`{"a":{"dtype":"`+dtype+`","shape":[16],"data_offsets":[0,2]}}`, 2))
		var unsupported *format.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Tensor != "a" || !strings.Contains(err.Error(), dtype) {
			t.Errorf("%s: got %v", dtype, err)
		}
	}
}

// TestTruncated cuts a valid file everywhere.
func TestTruncated(t *testing.T) {
	whole := write(t, map[string]string{"a": "b"}, format.FromUint8s("x", []int{9}, make([]byte, 9)), format.FromUint8s("e", []int{0}, nil))
	for n := range whole {
		_, _, err := read(whole[:n])
		if bad := (*format.FormatError)(nil); !errors.As(err, &bad) {
			t.Fatalf("cut to %d of %d bytes: got %v", n, len(whole), err)
		}
	}
	if _, _, err := read(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many is taken")
	}
}

// TestShrinks checks a file that is truncated after its header was read.
func TestShrinks(t *testing.T) {
	whole := write(t, nil, format.FromUint8s("x", []int{9}, make([]byte, 9)))
	r, err := format.NewReader(&cut{bytes.NewReader(whole), 4096 + 4}, int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Tensor("x")
	if bad := (*format.FormatError)(nil); !errors.As(err, &bad) || bad.Offset != 4100 || bad.Tensor != "x" {
		t.Errorf("got %v, want byte 4100 of x", err)
	}
}

// cut ends a reader at a byte.
type cut struct {
	r   io.ReaderAt
	end int64
}

func (c *cut) ReadAt(b []byte, off int64) (int, error) {
	return io.NewSectionReader(c.r, 0, c.end).ReadAt(b, off)
}
