package format_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
)

// sealed returns a sealed file.
func sealed(t interface{ Fatal(...any) }, metadata map[string]string, tensors ...format.Tensor) []byte {
	var b bytes.Buffer
	if err := format.WriteSealed(&b, metadata, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// small is a file that has something of everything: weights that need padding
// and that do not, one without elements, moments, a blob, metadata.
func small(t interface{ Fatal(...any) }) []byte {
	return sealed(t, map[string]string{"format": "pt", "attnx.step": "7"},
		format.FromFloat32s("wte.weight", []int{8, 8}, slices.Repeat([]float32{1, -2, 3, 0.5}, 16)),
		format.FromFloat32s("h.0.bias", []int{3}, []float32{1, 2, 3}),
		format.FromFloat32s("none", []int{0, 4}, nil),
		format.FromFloat32s("optim.m.h.0.bias", []int{3}, []float32{4, 5, 6}),
		format.FromUint8s("attnx.blob.tokenizer.json", []int{2}, []byte("{}")),
	)
}

// everything opens a file and reads all of it.
func everything(b []byte) error {
	_, _, err := read(b)
	return err
}

// TestSealByHand takes a file apart as the specification says, with nothing of
// this package.
func TestSealByHand(t *testing.T) {
	b := small(t)
	le := binary.LittleEndian
	n := le.Uint64(b)
	if b[0] != 0xf8 || (n+8)%4096 != 0 {
		t.Errorf("the header has %d bytes, the first byte is %#x", n, b[0])
	}
	header := string(bytes.TrimRight(b[8:8+n], " "))
	want := `{"__metadata__":{"attnx.requires":"seal","attnx.step":"7","attnx.version":"1","format":"pt"},` +
		`"h.0.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},` +
		`"attnx.pad.0":{"dtype":"U8","shape":[244],"data_offsets":[12,256]},` +
		`"none":{"dtype":"F32","shape":[0,4],"data_offsets":[256,256]},` +
		`"wte.weight":{"dtype":"F32","shape":[8,8],"data_offsets":[256,512]},` +
		`"optim.m.h.0.bias":{"dtype":"F32","shape":[3],"data_offsets":[512,524]},` +
		`"attnx.pad.1":{"dtype":"U8","shape":[244],"data_offsets":[524,768]},` +
		`"attnx.blob.tokenizer.json":{"dtype":"U8","shape":[2],"data_offsets":[768,770]},` +
		`"attnx.pad.2":{"dtype":"U8","shape":[254],"data_offsets":[770,1024]},` +
		`"attnx.seal":{"dtype":"U8","shape":[344],"data_offsets":[1024,1368]}}`
	if header != want {
		t.Errorf("the header is\n%s\nwant\n%s", header, want)
	}
	data := b[8+n:]
	seal := data[1024:]
	footer := seal[len(seal)-64:]
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"magic", string(seal[:8]), "ATTNXSEA"},
		{"version", le.Uint32(seal[8:]), uint32(1)},
		{"chunk", le.Uint32(seal[12:]), uint32(20)},
		{"length", le.Uint64(seal[16:]), uint64(len(b))},
		{"N", le.Uint64(seal[24:]), n},
		{"SHA-256 of the header", [32]byte(seal[32:]), sha256.Sum256(b[:8+n])},
		{"tensors", le.Uint64(seal[96:]), uint64(5)},
		{"SHA-256 of h.0.bias", [32]byte(seal[104:]), sha256.Sum256(data[:12])},
		{"CRC-32C of h.0.bias", le.Uint32(seal[136:]), crc32.Checksum(data[:12], table)},
		{"SHA-256 of none", [32]byte(seal[140:]), sha256.Sum256(nil)},
		{"SHA-256 of wte.weight", [32]byte(seal[172:]), sha256.Sum256(data[256:512])},
		{"CRC-32C of wte.weight", le.Uint32(seal[204:]), crc32.Checksum(data[256:512], table)},
		{"end", string(footer[:8]), "ATTNXEND"},
		{"length at the end", le.Uint64(footer[8:]), uint64(len(b))},
		{"S", le.Uint64(footer[16:]), uint64(len(seal))},
		{"root", [32]byte(footer[24:]), sha256.Sum256(seal[:len(seal)-64])},
		{"CRC-32C of the end", le.Uint32(footer[60:]), crc32.Checksum(footer[:60], table)},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
	lines := "M \"attnx.step\" \"7\"\nM \"format\" \"pt\"\n"
	for _, x := range []struct {
		line string
		data []byte
	}{
		{`"attnx.blob.tokenizer.json" U8 [2]`, data[768:770]},
		{`"h.0.bias" F32 [3]`, data[:12]},
		{`"none" F32 [0,4]`, nil},
		{`"optim.m.h.0.bias" F32 [3]`, data[512:524]},
		{`"wte.weight" F32 [8,8]`, data[256:512]},
	} {
		lines += fmt.Sprintf("T %s %x\n", x.line, sha256.Sum256(x.data))
	}
	if got := [32]byte(seal[64:]); got != sha256.Sum256([]byte(lines)) {
		t.Errorf("the content id is not that of\n%s", lines)
	}

	r, err := format.NewMemoryReader(b)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Seal(); s.Root != format.Digest(footer[24:]) || s.ContentID != format.Digest(seal[64:]) {
		t.Errorf("the reader has the seal %v", s)
	}
	if d, ok := r.SHA256("wte.weight"); !ok || d.String() != hex.EncodeToString(seal[172:204]) {
		t.Errorf("SHA256 is %v, %v", d, ok)
	}
	if m := r.Metadata(); len(m) != 2 || len(r.Tensors()) != 5 {
		t.Errorf("the form of the file shows: %v %v", m, r.Tensors())
	}
	if size, err := format.SealedSize(r.Metadata(), r.Tensors()); err != nil || size != int64(len(b)) {
		t.Errorf("SealedSize is %d, %v, the file has %d bytes", size, err, len(b))
	}
	if err := r.Verify(); err != nil {
		t.Error(err)
	}
}

// TestEveryBit flips each bit of a file in turn: no one goes unnoticed when the
// file is read, and none when it is verified.
func TestEveryBit(t *testing.T) {
	b := small(t)
	missed := 0
	for bit := 0; bit < 8*len(b); bit += fixtures.Stride(7) { // 7 and 8 have no common factor: every bit of a byte gets its turn
		b[bit/8] ^= 1 << (bit % 8)
		if everything(b) == nil {
			missed++
			t.Errorf("bit %d of byte %d: read as if nothing were wrong", bit%8, bit/8)
		}
		if r, err := format.NewMemoryReader(b); err == nil && r.Verify() == nil {
			missed++
			t.Errorf("bit %d of byte %d: verified", bit%8, bit/8)
		}
		b[bit/8] ^= 1 << (bit % 8)
		if missed > 10 {
			t.Fatal("and so on")
		}
	}
	t.Logf("%d bits of %d bytes: each flip is refused", 8*len(b)/fixtures.Stride(7), len(b))
	if err := everything(b); err != nil {
		t.Error(err)
	}
}

// TestEveryLength cuts a file to each length, and makes it longer.
func TestEveryLength(t *testing.T) {
	b := small(t)
	for n := range b {
		if everything(b[:n:n]) == nil {
			t.Errorf("%d of %d bytes are read as a file", n, len(b))
		}
	}
	for n := 1; n <= 4096; n++ {
		if everything(append(bytes.Clone(b), make([]byte, n)...)) == nil {
			t.Errorf("%d bytes more are read as a file", n)
		}
	}
}

// TestEverySector does to a file what disks do: sectors that are zero, that
// hold what stood elsewhere, or what an older file had there.
func TestEverySector(t *testing.T) {
	b := small(t)
	older := sealed(t, map[string]string{"format": "pt", "attnx.step": "6"},
		format.FromFloat32s("wte.weight", []int{8, 8}, slices.Repeat([]float32{2, -2, 3, 0.5}, 16)),
		format.FromFloat32s("h.0.bias", []int{3}, []float32{1, 2, 3}),
		format.FromFloat32s("none", []int{0, 4}, nil),
		format.FromFloat32s("optim.m.h.0.bias", []int{3}, []float32{4, 5, 7}),
		format.FromUint8s("attnx.blob.tokenizer.json", []int{2}, []byte("[]")),
	)
	if len(older) != len(b) {
		t.Fatalf("%d and %d bytes", len(older), len(b))
	}
	for _, sector := range []int{64, 512, 4096} {
		at := func(file []byte, i int) []byte { return file[i*sector : min(len(file), (i+1)*sector)] }
		n := (len(b) + sector - 1) / sector
		var bad [][]byte
		for i := range n {
			zero, old := bytes.Clone(b), bytes.Clone(b)
			clear(at(zero, i))
			copy(at(old, i), at(older, i))
			bad = append(bad, zero, old)
			for j := range n {
				other := bytes.Clone(b)
				copy(at(other, i), at(b, j))
				bad = append(bad, other)
			}
		}
		for i, file := range bad {
			if !bytes.Equal(file, b) && everything(file) == nil {
				t.Errorf("sectors of %d bytes: case %d is read as if nothing were wrong", sector, i)
			}
		}
	}
}

// counting counts what is read.
type counting struct {
	io.ReaderAt
	bytes atomic.Int64
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	c.bytes.Add(int64(len(b)))
	return c.ReaderAt.ReadAt(b, at)
}

// TestTornFile checks that a large file that was not written to its end is
// found by its header and its last 64 bytes.
func TestTornFile(t *testing.T) {
	b := sealed(t, nil, format.FromUint8s("a", []int{32 << 20}, make([]byte, 32<<20)))
	for _, tail := range []int{1, 64, 4096, 16 << 20} {
		torn := bytes.Clone(b)
		for i := len(torn) - tail; i < len(torn); i++ {
			torn[i] = 0 // what was never written
		}
		c := &counting{ReaderAt: bytes.NewReader(torn)}
		_, err := format.NewReader(c, int64(len(torn)))
		var bad *format.SealError
		if !errors.As(err, &bad) || bad.Tensor != format.SealName || bad.Offset < int64(len(torn)-64) {
			t.Errorf("without its last %d bytes: %v", tail, err)
		}
		if n := c.bytes.Load(); n > 4096+8+64 {
			t.Errorf("without its last %d bytes: found after %d bytes", tail, n)
		}
	}
}

// TestSealError checks what is said of a file that is not what was sealed, and
// where.
func TestSealError(t *testing.T) {
	good := small(t)
	start := 4096
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	_, tensors := mustRead(t, good)
	rewritten := write(t, map[string]string{"format": "pt"}, append([]format.Tensor{
		format.FromUint8s(format.SealName, []int{344}, good[start+1024:])}, tensors...)...)
	stale := write(t, map[string]string{"format": "pt"}, append(slices.Clone(tensors),
		format.FromUint8s(format.SealName, []int{344}, good[start+1024:]))...)
	dropped := write(t, map[string]string{"attnx.requires": "seal"}, tensors...)
	for _, c := range []struct {
		name   string
		file   []byte
		tensor string
		offset int64
		want   string
	}{
		{"a weight", flip(start + 300), "wte.weight", int64(start + 256), "do not match their checksum"},
		{"a moment", flip(start + 512), "optim.m.h.0.bias", int64(start + 512), "do not match their checksum"},
		{"padding", flip(start + 20), "h.0.bias", int64(start + 20), "the padding after it is not zero"},
		{"a space of the header", flip(start - 1), "", int64(start - 1), "only spaces may"},
		{"a value in the header", bytes.Replace(good, []byte(`"attnx.step":"7"`), []byte(`"attnx.step":"8"`), 1), format.SealName, 0, "the header does not match its SHA-256"},
		{"the seal", flip(start + 1024 + 110), format.SealName, int64(start + 1024), "does not match its root hash"},
		{"the last bytes", flip(len(good) - 1), format.SealName, int64(len(good) - 64), "do not match their checksum"},
		{"cut short", good[:len(good)-1], format.SealName, int64(start + 1024), "end 1 bytes after the file"},
		{"rewritten, the seal first", rewritten, format.SealName, -1, "the seal is not the last tensor: another tool rewrote the file"},
		{"rewritten, the seal last", stale, format.SealName, -2, "was sealed with"},
		{"the seal taken away", dropped, format.SealName, -1, "the metadata ask for a seal"},
		{"the seal renamed", bytes.Replace(good, []byte(`"attnx.seal"`), []byte(`"attnx.seam"`), 1), format.SealName, -1, "the metadata ask for a seal"},
		{"renamed, and not asked for", bytes.Replace(bytes.Replace(good, []byte(`"attnx.seal"`), []byte(`"attnx.seam"`), 1), []byte(`requires":"seal"`), []byte(`requirez":"seal"`), 1), format.SealName, -1, "it ends like a sealed file"},
	} {
		err := everything(c.file)
		var seal *format.SealError
		var bad *format.FormatError
		switch {
		case errors.As(err, &seal):
			if seal.Tensor != c.tensor || c.offset != -2 && seal.Offset != c.offset {
				t.Errorf("%s: tensor %q, byte %d, want %q, %d", c.name, seal.Tensor, seal.Offset, c.tensor, c.offset)
			}
		case errors.As(err, &bad):
			if bad.Tensor != c.tensor || bad.Offset != c.offset {
				t.Errorf("%s: tensor %q, byte %d, want %q, %d", c.name, bad.Tensor, bad.Offset, c.tensor, c.offset)
			}
		default:
			t.Errorf("%s: %v is no error of this package", c.name, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestLongTensor checks that damage is placed to the mebibyte.
func TestLongTensor(t *testing.T) {
	data := make([]byte, 5<<20+77)
	for i := range data {
		data[i] = byte(i >> 12)
	}
	b := sealed(t, nil, format.FromUint8s("a", []int{len(data)}, data))
	if err := everything(b); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1<<20 - 1, 1 << 20, 5<<20 + 76} {
		b[4096+at] ^= 0x10
		var bad *format.SealError
		if err := everything(b); !errors.As(err, &bad) || bad.Offset != int64(4096+at&^(1<<20-1)) {
			t.Errorf("byte %d: %v", at, err)
		}
		b[4096+at] ^= 0x10
	}
}

// sparse reads as a file of which only the beginning and the end are not zero.
type sparse struct {
	head, tail []byte
	size       int64
}

func (s sparse) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	if at < int64(len(s.head)) {
		copy(b, s.head[at:])
	}
	if end := s.size - int64(len(s.tail)); at+int64(len(b)) > end {
		copy(b[max(0, end-at):], s.tail[max(0, at-end):])
	}
	return len(b), nil
}

// TestLargeSeal declares a seal of many gibibytes, with last bytes that are
// right: no memory is taken for it.
func TestLargeSeal(t *testing.T) {
	const length = 24 << 30
	head := make([]byte, 4096)
	binary.LittleEndian.PutUint64(head, 4088)
	copy(head[8:], bytes.Repeat([]byte{' '}, 4088))
	copy(head[8:], fmt.Sprintf(`{"__metadata__":{"attnx.requires":"seal","attnx.version":"1"},"attnx.seal":{"dtype":"U8","shape":[%d],"data_offsets":[0,%[1]d]}}`, length))
	size := int64(4096 + length)
	footer := []byte("ATTNXEND")
	footer = binary.LittleEndian.AppendUint64(footer, uint64(size))
	footer = binary.LittleEndian.AppendUint64(footer, length)
	footer = append(footer, make([]byte, 36)...)
	footer = binary.LittleEndian.AppendUint32(footer, crc32.Checksum(footer, crc32.MakeTable(crc32.Castagnoli)))
	var err error
	if n := allocated(func() { _, err = format.NewReader(sparse{head, footer, size}, size) }); n > 1<<17 {
		t.Errorf("%d bytes of memory were taken", n)
	}
	var bad *format.SealError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "for 0 tensors it has 168") {
		t.Errorf("got %v", err)
	}
}

// TestFeatures checks what a version that does not exist yet may ask for.
func TestFeatures(t *testing.T) {
	x := format.FromUint8s("a", []int{1}, []byte{1})
	b := write(t, map[string]string{"attnx.requires": "seal,holes"}, x)
	var unsupported *format.UnsupportedError
	if err := everything(b); err == nil {
		t.Error("a file that asks for a feature nobody knows is read")
	}
	b = write(t, map[string]string{"attnx.requires": "holes"}, x)
	if err := everything(b); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), `"holes"`) {
		t.Errorf("got %v", err)
	}
	b = write(t, map[string]string{"attnx.optional": "index", "attnx.version": "1"}, x)
	if err := everything(b); err != nil {
		t.Errorf("a feature that may be ignored: %v", err)
	}
	b = write(t, map[string]string{"attnx.version": "2"}, x)
	if err := everything(b); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), `version "2"`) {
		t.Errorf("a version that is not known: %v", err)
	}
	for _, m := range []map[string]string{{"attnx.requires": "x"}, {"attnx.version": "2"}, {"attnx.optional": ""}} {
		if err := format.WriteSealed(io.Discard, m, nil); err == nil {
			t.Errorf("metadata %v can be written", m)
		}
	}
	for _, name := range []string{format.SealName, "attnx.pad.0", "attnx.pad."} {
		if err := format.WriteSealed(io.Discard, nil, []format.Tensor{x.WithName(name)}); err == nil {
			t.Errorf("a tensor called %s can be written", name)
		}
	}
	w := format.NewSealedWriter(io.Discard, format.Header{Tensors: []format.TensorInfo{x.WithName("b").Info(), x.Info()}})
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "order") {
		t.Errorf("tensors in another order: %v", err)
	}
}

// TestMapped checks that a mapped file gives views, checks them, and says so
// when it becomes shorter.
func TestMapped(t *testing.T) {
	data := make([]byte, 3<<20)
	b := sealed(t, nil, format.FromUint8s("a", []int{len(data)}, data), format.FromFloat32s("b", []int{2}, []float32{1, 2}))
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := format.OpenMapped(path)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Tensor("b")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := x.Float32s(); err != nil || v[0] != 1 || v[1] != 2 {
		t.Errorf("%v, %v", v, err)
	}
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := f.Tensor("a"); err != nil {
			t.Error(err)
		}
	})
	if allocated > 50 {
		t.Errorf("%v allocations for a view", allocated)
	}
	if err := f.Verify(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, b[:4096], 0o600); err != nil { // the same file, shorter
		t.Fatal(err)
	}
	for _, err := range []error{f.Verify(), func() error { _, err := f.Tensor("a"); return err }()} {
		var bad *format.FormatError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "shorter") || bad.File != path {
			t.Errorf("a file that became shorter: %v", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestChangedWhileOpen changes a file after it was opened.
func TestChangedWhileOpen(t *testing.T) {
	b := small(t)
	r, err := format.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	b[4096+256] ^= 4
	if _, err := r.Tensor("h.0.bias"); err != nil {
		t.Errorf("another tensor: %v", err)
	}
	var bad *format.SealError
	if _, err := r.Tensor("wte.weight"); !errors.As(err, &bad) || bad.Tensor != "wte.weight" {
		t.Errorf("got %v", err)
	}
}

// TestLoadMemory checks that a load takes the memory of the tensors asked for.
func TestLoadMemory(t *testing.T) {
	const size = 24 << 20
	b := sealed(t, nil, format.FromUint8s("a", []int{size}, make([]byte, size)), format.FromUint8s("b", []int{size}, make([]byte, size)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := format.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tensor("b"); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > size+size/50 {
		t.Errorf("one tensor of %d bytes took %d", size, got)
	}
}

// TestReproducible checks that the order in which tensors are handed over does
// not show, and that a file read and written again is the same file.
func TestReproducible(t *testing.T) {
	b := small(t)
	metadata, tensors := mustRead(t, b)
	slices.Reverse(tensors)
	if again := sealed(t, metadata, tensors...); !bytes.Equal(b, again) {
		t.Error("the same tensors gave another file")
	}
}

// TestReseal gives a new seal to files that other tools wrote.
func TestReseal(t *testing.T) {
	good := small(t)
	metadata, tensors := mustRead(t, good)
	reseal := func(b []byte) (format.Resealed, []byte) {
		t.Helper()
		var out bytes.Buffer
		r, err := format.Reseal(&out, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return r, out.Bytes()
	}
	if r, b := reseal(good); !bytes.Equal(b, good) || len(r.Tensors) != 5 || len(r.Same) != 5 {
		t.Errorf("a whole file: %+v, or another file", r)
	}
	if r, b := reseal(write(t, metadata, tensors...)); !bytes.Equal(b, good) || r.Same != nil {
		t.Errorf("a plain file: %+v, or not the one that was sealed", r)
	}
	// Another tool: its own order, the seal among the tensors, a changed weight.
	changed := slices.Clone(tensors)
	slices.Reverse(changed)
	for i := range changed {
		if changed[i].Name == "h.0.bias" {
			changed[i].Data = bytes.Clone(changed[i].Data)
			changed[i].Data[2] ^= 1
		}
	}
	seal := format.FromUint8s(format.SealName, []int{344}, good[4096+1024:])
	rewritten := write(t, metadata, append([]format.Tensor{seal}, changed...)...)
	if everything(rewritten) == nil {
		t.Fatal("it is read with the old seal")
	}
	r, b := reseal(rewritten)
	if len(r.Same) != 4 || slices.Contains(r.Same, "h.0.bias") {
		t.Errorf("same as before: %v", r.Same)
	}
	f, err := format.NewMemoryReader(b)
	if err != nil || f.Verify() != nil || *f.Seal() != r.Seal {
		t.Errorf("%v; %+v", err, r.Seal)
	}
	if _, err := format.Reseal(io.Discard, bytes.NewReader(good[:5000]), 5000); err == nil {
		t.Error("half a file got a seal")
	}
}

// TestForgedSeal checks files that somebody made who knows how seals are made:
// root and last bytes are right, something else is not.
func TestForgedSeal(t *testing.T) {
	le := binary.LittleEndian
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, c := range []struct {
		name, want string
		change     func(head, data, seal []byte)
	}{
		{"a CRC-32C that fits changed data", "do not match their SHA-256", func(_, data, seal []byte) {
			data[0] ^= 1
			le.PutUint32(seal[136:], crc32.Checksum(data[:12], table))
		}},
		{"another content id", "the content id does not match the tensors", func(_, _, seal []byte) { seal[64] ^= 1 }},
		{"a header with a blank", "not in canonical form", func(head, _, _ []byte) {
			copy(head[10:], bytes.Clone(head[9:len(head)-1]))
			head[9] = ' '
		}},
		{"another number of tensors", "the seal is not for 5 tensors", func(_, _, seal []byte) { seal[96]++ }},
		{"another length of the file", "the seal is not for 5 tensors in 5464 bytes", func(_, _, seal []byte) { seal[16]++ }},
		{"another length of the header", "does not match its SHA-256", func(_, _, seal []byte) { seal[24]++ }},
		{"a seal of version 2", "a seal of version 2", func(_, _, seal []byte) { seal[8]++ }},
		{"larger chunks", "chunks of 2^21 bytes", func(_, _, seal []byte) { seal[12]++ }},
		{"another beginning of the seal", "does not begin with ATTNXSEA", func(_, _, seal []byte) { seal[0]++ }},
		{"nothing else", "", func(_, _, _ []byte) {}},
	} {
		b := small(t)
		head, seal := b[:4096], b[4096+1024:]
		c.change(head, b[4096:4096+1024], seal)
		sum := sha256.Sum256(head)
		copy(seal[32:], sum[:])
		footer := seal[len(seal)-64:]
		root := sha256.Sum256(seal[:len(seal)-64])
		copy(footer[24:], root[:])
		le.PutUint32(footer[60:], crc32.Checksum(footer[:60], table))
		r, err := format.NewMemoryReader(b)
		if err == nil {
			err = r.Verify()
		}
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
