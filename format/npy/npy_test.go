package npy

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// python returns a Python with numpy, or skips the test.
func python(t *testing.T, program string, args ...string) string {
	t.Helper()
	name := os.Getenv("ATTNX_PYTHON")
	if name == "" {
		t.Skip("set ATTNX_PYTHON to a Python with numpy")
	}
	out, err := exec.Command(name, append([]string{"-B", "-c", program}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	return string(out)
}

// numpyWrites makes arrays of every type, order and byte order, and prints for
// each file the elements row by row as numpy has them.
const numpyWrites = `
import sys, os, numpy as np
for d in "f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1 b1".split():
    for order in "<>":
        for shape in [(), (0,), (3,), (2, 3), (2, 3, 4), (2, 0, 3), (1, 5, 1, 2)]:
            for fortran in (False, True):
                n = int(np.prod(shape))
                x = (np.arange(n) * 7 % 100 - (50 if d[0] in "if" else 0)).reshape(shape).astype(order + d)
                if fortran: x = np.asfortranarray(x) if shape else x
                name = "%s%s_%s_%d.npy" % (d, "le" if order == "<" else "be", "x".join(map(str, shape)), fortran)
                np.save(os.path.join(sys.argv[1], name), x)
                print(name, ",".join(map(str, x.shape)) or "-", ",".join(str(float(v)) for v in x.flatten()) or "-")
x = np.arange(6, dtype=np.float32).reshape(2, 3)
np.savez(os.path.join(sys.argv[1], "plain.npz"), a=x, b=x.T)
np.savez_compressed(os.path.join(sys.argv[1], "packed.npz"), a=x, b=x.T)
np.save(os.path.join(sys.argv[1], "objects.npy"), np.array([{}, 1], dtype=object), allow_pickle=True)
np.save(os.path.join(sys.argv[1], "text.npy"), np.array(["a", "bc"]))
np.save(os.path.join(sys.argv[1], "fields.npy"), np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))
np.save(os.path.join(sys.argv[1], "complex.npy"), np.zeros(2, dtype=np.complex64))
`

// Every array that numpy writes is read with its elements in their places.
func TestReadsNumpy(t *testing.T) {
	dir := t.TempDir()
	lines := strings.Split(strings.TrimSpace(python(t, numpyWrites, dir)), "\n")
	if len(lines) != 12*2*7*2 {
		t.Fatalf("%d arrays", len(lines))
	}
	for _, line := range lines {
		words := strings.Fields(line)
		got, err := ReadFile(filepath.Join(dir, words[0]), format.Invalid, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Check(); err != nil {
			t.Fatalf("%s: %v", words[0], err)
		}
		values, err := got.AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		if s := joined(got.Shape, "%d"); s != words[1] {
			t.Errorf("%s: shape %s, numpy has %s", words[0], s, words[1])
		}
		if s := joined(values, "%.1f"); s != words[2] {
			t.Errorf("%s: %s, numpy has %s", words[0], s, words[2])
		}
	}
	for _, name := range []string{"plain.npz", "packed.npz"} {
		all, err := ReadArchive(filepath.Join(dir, name), func(string) format.DType { return format.Invalid })
		if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
			t.Fatalf("%s: %v, %v", name, all, err)
		}
		if b, err := all[1].Float32s(); err != nil || !slices.Equal(b, []float32{0, 3, 1, 4, 2, 5}) {
			t.Errorf("%s: b is %v, %v", name, b, err)
		}
	}
	for name, want := range map[string]string{
		"objects.npy": "pickle", "text.npy": "not numbers", "fields.npy": "named fields", "complex.npy": "not numbers",
	} {
		if _, err := ReadFile(filepath.Join(dir, name), format.Invalid, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", name, err, want)
		}
	}
}

func joined[T any](values []T, verb string) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, fmt.Sprintf(verb, v))
	}
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, ",")
}

// What is written is what numpy reads, in a type that it has.
func TestNumpyReads(t *testing.T) {
	dir := t.TempDir()
	type written struct{ dtype, shape, values string }
	want := map[string]written{}
	save := func(name string, x format.Tensor, w written) {
		var b bytes.Buffer
		if err := Write(&b, x); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".npy"), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		want[name] = w
	}
	floats := format.FromFloat64s("x", []int{2, 2}, []float64{-2, 0.5, 1, 3})
	for d, name := range map[format.DType]string{
		format.Float64: "float64", format.Float32: "float32", format.Float16: "float16",
		format.BFloat16: "float32", format.Float8E4M3FN: "float32", format.Float4E2M1: "float32",
	} {
		x, _, err := floats.Convert(d)
		if err != nil {
			t.Fatal(err)
		}
		save(d.String(), x, written{name, "(2, 2)", "[-2.0, 0.5, 1.0, 3.0]"})
	}
	save("scalar", format.FromInt64s("x", []int{}, []int64{-7}), written{"int64", "()", "[-7.0]"})
	save("vector", format.FromInt64s("x", []int{3}, []int64{1, 2, 3}), written{"int64", "(3,)", "[1.0, 2.0, 3.0]"})
	save("empty", format.FromFloat32s("x", []int{2, 0}, nil), written{"float32", "(2, 0)", "[]"})
	save("bool", format.Tensor{DType: format.Bool, Shape: []int{2}, Data: []byte{1, 0}}, written{"bool", "(2,)", "[1.0, 0.0]"})
	save("int4", format.Tensor{DType: format.Int4, Shape: []int{3}, Data: []byte{0xf, 7, 8}}, written{"int8", "(3,)", "[-1.0, 7.0, -8.0]"})
	save("uint2", format.Tensor{DType: format.Uint2, Shape: []int{2}, Data: []byte{3, 0}}, written{"uint8", "(2,)", "[3.0, 0.0]"})
	out := python(t, `
import sys, os, numpy as np
for f in sorted(os.listdir(sys.argv[1])):
    x = np.load(os.path.join(sys.argv[1], f))
    print(f[:-4], x.dtype, x.shape, [float(v) for v in x.flatten()], sep="|")`, dir)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d arrays, expected %d", len(lines), len(want))
	}
	for _, line := range lines {
		w := strings.Split(line, "|")
		if got := (written{w[1], w[2], w[3]}); got != want[w[0]] {
			t.Errorf("%s: numpy reads %v, expected %v", w[0], got, want[w[0]])
		}
	}
}

// file returns a .npy file with a header and so many bytes of elements.
func file(text string, elements int) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(magic+"\x01\x00"), uint16(len(text)))
	return append(append(b, text...), make([]byte, elements)...)
}

// Broken and hostile files are refused in one line, before memory is taken for
// what they promise.
func TestRefuses(t *testing.T) {
	good := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
	if _, err := Read(bytes.NewReader(file(good, 24)), int64(len(file(good, 24))), format.Invalid); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":        {nil, "cut short"},
		"other":        {[]byte("PK\x03\x04 and more"), "no .npy file"},
		"version":      {[]byte(magic + "\x09\x00\x00\x00"), "version 9"},
		"header":       {[]byte(magic + "\x02\x00\xff\xff\xff\xff"), "header has 4294967295 bytes"},
		"cut header":   {file(good, 0)[:40], "cut short"},
		"cut elements": {file(good, 23), "cut short"},
		"more":         {file(good, 25), "1 bytes follow"},
		"huge":         {file(strings.Replace(good, "(2, 3)", "(4611686018427387904,)", 1), 8), "takes more"},
		"overflow":     {file(strings.Replace(good, "(2, 3)", "(4294967296, 4294967296)", 1), 8), "takes more"},
		"no number":    {file(strings.Replace(good, "(2, 3)", "(99999999999999999999,)", 1), 8), "not what numpy writes"},
		"negative":     {file(strings.Replace(good, "(2, 3)", "(-2, -3)", 1), 24), "not what numpy writes"},
		"rank":         {file(strings.Replace(good, "(2, 3)", "("+strings.Repeat("1, ", 65)+")", 1), 4), "not what numpy writes"},
		"twice":        {file(strings.Replace(good, "'fortran_order': False", "'descr': '<f4'", 1), 24), "not what numpy writes"},
		"missing":      {file("{'descr': '<f4', 'shape': (2, 3)}", 24), "not what numpy writes"},
		"code":         {file(strings.Replace(good, "False", "exit()", 1), 24), "not what numpy writes"},
		"open":         {file("{'descr': '<f4", 24), "not what numpy writes"},
		"void":         {file(strings.Replace(good, "<f4", "|V2", 1), 12), "no type that numpy names"},
		"bool":         {append(file("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", 0), 7), "the byte 7"},
	} {
		_, err := Read(bytes.NewReader(c.data), int64(len(c.data)), format.Invalid)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	data := file(strings.Replace(good, "<f4", "|V2", 1), 12)
	if x, err := Read(bytes.NewReader(data), int64(len(data)), format.BFloat16); err != nil || x.DType != format.BFloat16 {
		t.Errorf("bfloat16: %v, %v", x, err)
	}
}

// An archive that unpacks to far more than it has is refused, and so is one that
// lies of its sizes.
func TestRefusesArchives(t *testing.T) {
	for name, c := range map[string]struct {
		make func(z *zip.Writer)
		want string
	}{
		"bomb": {func(z *zip.Writer) {
			for i := range 3 {
				raw, _ := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d.npy", i), Method: zip.Deflate, UncompressedSize64: MaxUnpacked / 2, CompressedSize64: 4})
				io.WriteString(raw, "\x00\x00\x00\x00")
			}
		}, "unpacks to more than"},
		"promise": {func(z *zip.Writer) {
			raw, _ := z.CreateRaw(&zip.FileHeader{Name: "a.npy", Method: zip.Deflate, UncompressedSize64: 1 << 20, CompressedSize64: 5})
			io.WriteString(raw, "\x01\x00\x00\xff\xff")
		}, "cut short"},
		"twice": {func(z *zip.Writer) {
			for range 2 {
				w, _ := z.Create("a.npy")
				w.Write(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4))
			}
		}, "two arrays"},
		"checksum": {func(z *zip.Writer) {
			data := file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4)
			raw, _ := z.CreateRaw(&zip.FileHeader{Name: "a.npy", Method: zip.Store, CRC32: 1, UncompressedSize64: uint64(len(data)), CompressedSize64: uint64(len(data))})
			raw.Write(data)
		}, "checksum"},
		"many": {func(z *zip.Writer) {
			for i := range maxArrays + 1 {
				z.Create(fmt.Sprint(i))
			}
		}, "at most 4096"},
	} {
		path := filepath.Join(t.TempDir(), "a.npz")
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		c.make(z)
		z.Close()
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := ReadArchive(path, func(string) format.DType { return format.Invalid })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "a.npz")
	os.WriteFile(path, []byte("not a zip"), 0o666)
	if _, err := ReadArchive(path, nil); err == nil || !strings.Contains(err.Error(), "no .npz archive") {
		t.Errorf("text: %v", err)
	}
}

// No bytes make Read panic, or return a tensor that does not agree with itself;
// what it reads it writes and reads again as the same.
func FuzzRead(f *testing.F) {
	for _, d := range []string{"<f4", ">i2", "|b1", "|V2", "|O"} {
		f.Add(file("{'descr': '"+d+"', 'fortran_order': True, 'shape': (2, 3), }\n", 24))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := Read(bytes.NewReader(data), int64(len(data)), format.BFloat16)
		if err != nil {
			return
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(&b, x); err != nil {
			t.Fatal(err)
		}
		again, err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()), format.Invalid)
		if err != nil || !slices.Equal(again.Shape, x.Shape) {
			t.Fatalf("%v%v, %v", again.DType, again.Shape, err)
		}
		if x.DType != format.BFloat16 && (again.DType != x.DType || !bytes.Equal(again.Data, x.Data)) {
			t.Fatalf("written as %s", again.DType)
		}
	})
}
