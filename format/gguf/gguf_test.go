package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

func sample(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "sample.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func floats(t testing.TB, name string) []float32 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, len(data)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return x
}

// What the Python package gguf wrote is read: metadata of every type, and each
// element of each type as gguf.quants.dequantize has it, bit for bit.
func TestReadsWhatPythonWrites(t *testing.T) {
	f, err := Open(filepath.Join("testdata", "sample.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := []Entry{
		{"general.architecture", "sample"},
		{"sample.uint8", uint8(200)},
		{"sample.int8", int8(-100)},
		{"sample.uint16", uint16(60000)},
		{"sample.int16", int16(-30000)},
		{"sample.uint32", uint32(4000000000)},
		{"sample.int32", int32(-2000000000)},
		{"sample.uint64", uint64(1 << 63)},
		{"sample.int64", int64(-1 << 62)},
		{"sample.float32", float32(0.1)},
		{"sample.float64", 0.1},
		{"sample.bool", true},
		{"sample.string", "häß€𝄞"},
		{"sample.integers", []int32{1, -2, 3}},
		{"sample.floats", []float32{0.5, -0.25}},
		{"sample.strings", []string{"", "a", "ß"}},
		{"sample.bools", []bool{true, false}},
		{"sample.nested", []any{[]int32{1, 2}, []int32{3}}},
	}
	if !reflect.DeepEqual(f.Metadata, want) {
		t.Errorf("metadata %v\nexpected %v", f.Metadata, want)
	}
	elements := floats(t, "sample.f32")
	if shape := f.Tensors[0].Shape; !slices.Equal(shape, []int{3, 5, 8}) {
		t.Errorf("shape %v", shape)
	}
	var types []string
	for _, i := range f.Tensors {
		types = append(types, i.Name)
		if i.Type.String() != i.Name {
			t.Errorf("%s has type %s", i.Name, i.Type)
		}
		got, err := f.Tensor(i)
		if err != nil {
			t.Fatal(err)
		}
		values, err := got.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for k, x := range values {
			if math.Float32bits(x) != math.Float32bits(elements[k]) {
				t.Fatalf("%s: element %d is %g, Python has %g", i.Name, k, x, elements[k])
			}
		}
		elements = elements[len(values):]
	}
	slices.Sort(types)
	all := names(decoders)
	slices.Sort(all)
	if len(elements) > 0 || !slices.Equal(types, all) {
		t.Errorf("%d elements are left; types %v, expected %v", len(elements), types, all)
	}
}

// Write gives the bytes of Python's GGUFWriter.
func TestWritesWhatPythonWrites(t *testing.T) {
	want := sample(t)
	f, err := Read(bytes.NewReader(want), int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Write(&got, f.Metadata, raw(t, f)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes differ from the %d of GGUFWriter", got.Len(), len(want))
	}
}

func raw(t testing.TB, f *File) (tensors []Tensor) {
	t.Helper()
	for _, i := range f.Tensors {
		data, err := f.Raw(i)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, Tensor{i, data})
	}
	return tensors
}

// Quantize gives the bytes of gguf.quants.quantize, and of ggml itself for the
// type that the package does not write.
func TestQuantizesAsPython(t *testing.T) {
	for typ := range encoders {
		if typ == F32 {
			continue
		}
		x := format.FromFloat32s("x", []int{24, 64}, floats(t, "numbers.f32"))
		if block, _ := typ.Block(); block > 64 {
			x.Shape = []int{6, 256}
		}
		want, err := os.ReadFile(filepath.Join("testdata", "numbers."+typ.String()))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Encode(x, typ)
		if err != nil {
			t.Fatal(err)
		}
		_, size := typ.Block()
		for i := range want {
			if got.Data[i] != want[i] {
				t.Errorf("%s: byte %d of block %d is %d, expected %d", typ, i%size, i/size, got.Data[i], want[i])
				break
			}
		}
	}
	nan := float32(math.NaN())
	for typ, bad := range map[Type][]float32{
		Q4_0: slices.Repeat([]float32{1, nan}, 16), Q8_0: slices.Repeat([]float32{float32(math.Inf(1))}, 32),
		F16: {1, 65520}, Q4_1: make([]float32, 32), Type(9): nil, Type(999): nil,
	} {
		if _, err := Quantize(typ, bad); err == nil {
			t.Errorf("%s holds %v", typ, bad)
		}
	}
	if _, err := Quantize(Q8_0, make([]float32, 31)); err == nil {
		t.Error("31 elements are a block")
	}
	if _, err := Quantize(Q4_0, slices.Repeat([]float32{1e6}, 32)); err == nil {
		t.Error("a scale beyond float16")
	}
}

// builder writes what Write refuses to.
type builder struct{ bytes.Buffer }

func (b *builder) put(values ...any) *builder {
	for _, v := range values {
		if s, ok := v.(string); ok {
			b.put(uint64(len(s)))
			b.WriteString(s)
			continue
		}
		binary.Write(b, binary.LittleEndian, v)
	}
	return b
}

// head starts a file.
func head(version uint32, tensors, entries uint64) *builder {
	b := &builder{}
	b.WriteString("GGUF")
	return b.put(version, tensors, entries)
}

// Files that are wrong are refused, with the place and a remedy, and without
// memory for what they claim to hold.
func TestHostile(t *testing.T) {
	tensor := func(name string, dims []uint64, typ uint32, offset uint64) []byte {
		return (&builder{}).put(name, uint32(len(dims)), dims, typ, offset).Bytes()
	}
	data := make([]byte, 256)
	two := func(a, b []byte) []byte { return head(3, 2, 0).put(a, b, data).Bytes() }
	nested := head(3, 0, 1).put("k", uint32(9))
	for range 1000 {
		nested.put(uint32(9), uint64(1))
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"magic":               {[]byte("GGML\x03\x00\x00\x00"), "starts with"},
		"empty":               {nil, "ends within"},
		"version 1":           {head(1, 0, 0).Bytes(), "version 1"},
		"big-endian":          {[]byte("GGUF\x00\x00\x00\x03"), "big-endian"},
		"version 4":           {head(4, 0, 0).Bytes(), "version 4"},
		"tensor count":        {head(3, 1<<62, 0).put(data).Bytes(), "4611686018427387904 tensors"},
		"metadata count":      {head(3, 0, 1<<63).put(data).Bytes(), "9223372036854775808 pieces"},
		"key length":          {head(3, 0, 1).put(uint64(1<<40), data).Bytes(), "1099511627776 bytes"},
		"long key":            {head(3, 0, 1).put(strings.Repeat("k", MaxName+1), uint32(0), data).Bytes(), "65536 bytes"},
		"empty key":           {head(3, 0, 1).put("", uint32(0), data).Bytes(), "is empty"},
		"control character":   {head(3, 0, 1).put("a\nb", uint32(0), data).Bytes(), "control character"},
		"type of a value":     {head(3, 0, 1).put("k", uint32(13), data).Bytes(), "type 13"},
		"bool":                {head(3, 0, 1).put("k", uint32(7), uint8(2)).Bytes(), "expected 0 or 1"},
		"string length":       {head(3, 0, 1).put("k", uint32(8), uint64(math.MaxUint64)).Bytes(), "a string of"},
		"array length":        {head(3, 0, 1).put("k", uint32(9), uint32(10), uint64(1<<61), data).Bytes(), "elements of an array"},
		"strings in an array": {head(3, 0, 1).put("k", uint32(9), uint32(8), uint64(33), data).Bytes(), "elements of an array"},
		"type of elements":    {head(3, 0, 1).put("k", uint32(9), uint32(77), uint64(0)).Bytes(), "type 77"},
		"nested arrays":       {nested.Bytes(), "arrays within arrays"},
		"key twice":           {head(3, 0, 2).put("k", uint32(4), uint32(1), "k", uint32(4), uint32(1)).Bytes(), "twice"},
		"alignment 0":         {head(3, 0, 1).put(alignmentKey, uint32(4), uint32(0)).Bytes(), "power of 2"},
		"alignment 48":        {head(3, 0, 1).put(alignmentKey, uint32(4), uint32(48)).Bytes(), "power of 2"},
		"alignment of text":   {head(3, 0, 1).put(alignmentKey, uint32(8), "32").Bytes(), "power of 2"},
		"cut in metadata":     {head(3, 0, 1).put("some key", uint32(8), "some text").Bytes()[:56], "a string of 9 bytes"},
		"axes":                {head(3, 1, 0).put(tensor("t", make([]uint64, 5), 0, 0), data).Bytes(), "5 axes"},
		"overflow":            {head(3, 1, 0).put(tensor("t", []uint64{1 << 32, 1 << 32}, 0, 0), data).Bytes(), "too large"},
		"overflow in bytes":   {head(3, 1, 0).put(tensor("t", []uint64{1 << 61}, 0, 0), data).Bytes(), "too large"},
		"axis":                {head(3, 1, 0).put(tensor("t", []uint64{1 << 63}, 0, 0), data).Bytes(), "an axis"},
		"type":                {head(3, 1, 0).put(tensor("t", []uint64{32}, 4, 0), data).Bytes(), "type 4"},
		"row of blocks":       {head(3, 1, 0).put(tensor("t", []uint64{16, 2}, uint32(Q4_0), 0), data).Bytes(), "multiple of 32"},
		"scalar of blocks":    {head(3, 1, 0).put(tensor("t", nil, uint32(Q4_0), 0), data).Bytes(), "multiple of 32"},
		"offset":              {head(3, 1, 0).put(tensor("t", []uint64{8}, 0, 8), data).Bytes(), "multiple of the alignment"},
		"offset beyond":       {head(3, 1, 0).put(tensor("t", []uint64{8}, 0, 1<<40), data).Bytes(), "beyond"},
		"offset overflows":    {head(3, 1, 0).put(tensor("t", []uint64{8}, 0, math.MaxInt64-31), data).Bytes(), "beyond"},
		"longer than file":    {head(3, 1, 0).put(tensor("t", []uint64{1 << 20}, 0, 0), data).Bytes(), "beyond"},
		"no data":             {head(3, 1, 0).put(tensor("t", []uint64{8}, 0, 0)).Bytes(), "beyond"},
		"overlap":             {two(tensor("a", []uint64{16}, 0, 0), tensor("b", []uint64{8}, 0, 32)), "overlaps"},
		"same place":          {two(tensor("a", []uint64{8}, 0, 0), tensor("b", []uint64{8}, 0, 0)), "overlaps"},
		"tensor twice":        {two(tensor("a", []uint64{8}, 0, 0), tensor("a", []uint64{8}, 0, 32)), "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			var bad *FormatError
			var unsupported *UnsupportedError
			_, err := Read(bytes.NewReader(c.file), int64(len(c.file)))
			if !errors.As(err, &bad) && !errors.As(err, &unsupported) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, expected an error with %q", err, c.want)
			}
		})
	}
}

// Every prefix of a file is refused, and what follows the tensors is not read.
func TestCut(t *testing.T) {
	whole := sample(t)
	f, err := Read(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	last := f.Tensors[len(f.Tensors)-1]
	end := f.start + last.Offset + last.Size
	for n := range end {
		if _, err := Read(bytes.NewReader(whole[:n]), n); err == nil {
			t.Fatalf("the first %d of %d bytes are a file", n, len(whole))
		}
	}
	if _, err := Read(bytes.NewReader(whole[:end]), end); err != nil {
		t.Error(err)
	}
}

// A type that is not read is refused when its tensor is asked for.
func TestUnreadableType(t *testing.T) {
	file := head(3, 1, 0).put("t", uint32(1), uint64(256), uint32(10), uint64(0), make([]byte, 128)).Bytes()
	f, err := Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var unsupported *UnsupportedError
	if _, err := f.Tensor(f.Tensors[0]); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "Q2_K") || !strings.Contains(err.Error(), "Q6_K") {
		t.Error(err)
	}
}

func TestWriteRefuses(t *testing.T) {
	deep := any([]int32{1})
	for range maxDepth {
		deep = []any{deep}
	}
	for name, e := range map[string]Entry{
		"no key": {"", "x"}, "type": {"k", struct{}{}}, "int": {"k", 1}, "deep": {"k", deep}, "mixed": {"k", []any{"x"}}, "alignment": {alignmentKey, uint32(3)},
	} {
		if err := Write(&bytes.Buffer{}, []Entry{e}, nil); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	if err := Write(&bytes.Buffer{}, []Entry{{"k", true}, {"k", true}}, nil); err == nil {
		t.Error("a key twice: written")
	}
	for name, x := range map[string]Tensor{
		"length": {Info{Name: "t", Shape: []int{3}}, make([]byte, 8)},
		"rows":   {Info{Name: "t", Type: Q4_0, Shape: []int{2, 16}}, make([]byte, 18)},
		"type":   {Info{Name: "t", Type: 5, Shape: []int{1}}, nil},
		"axes":   {Info{Name: "t", Shape: []int{1, 1, 1, 1, 1}}, make([]byte, 4)},
	} {
		if err := Write(&bytes.Buffer{}, nil, []Tensor{x}); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// Any bytes are read or refused. What is read is written, and read the same.
func FuzzRead(f *testing.F) {
	f.Add(sample(f))
	f.Add(head(3, 0, 1).put("k", uint32(9), uint32(9), uint64(1), uint32(8), uint64(1), "x").Bytes())
	f.Add(head(2, 1, 1).put(alignmentKey, uint32(4), uint32(8), "t", uint32(2), uint64(0), uint64(3), uint32(0), uint64(0)).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if a.Alignment > 1<<16 {
			return // written, it takes as much for each tensor
		}
		for _, i := range a.Tensors {
			if _, err := a.Tensor(i); err != nil && i.Type.Readable() {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if err := Write(&out, a.Metadata, raw(t, a)); err != nil {
			t.Fatal(err)
		}
		b, err := Read(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := Write(&again, b.Metadata, raw(t, b)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), again.Bytes()) {
			t.Error("a second writing gives other bytes")
		}
	})
}
