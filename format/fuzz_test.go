package format_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// FuzzReader reads files of any header: the text, how far the length word is
// off, and the length of the data. Nothing may panic; what is accepted must
// mean the same to a lenient parser, and must survive being written again.
func FuzzReader(f *testing.F) {
	for _, c := range hostiles() {
		if n := len(c.file); 8 <= n && n < 8<<10 {
			f.Add(c.file[8:], int64(binary.LittleEndian.Uint64(c.file))-int64(n-8), uint16(0))
		}
	}
	f.Add([]byte(`{"__metadata__":{"format":"pt"},`+at("a", 0, 2)+","+at("b", 2, 2)+"}  "), int64(0), uint16(2))
	f.Add([]byte(`{`+at("b", 4, 6)+`,"é\u0061":{"data_offsets":[0,4],"shape":[1,2],"dtype":"BF16"}}`), int64(0), uint16(6))
	f.Fuzz(func(t *testing.T, header []byte, off int64, data uint16) {
		b := file(string(header), int(data))
		binary.LittleEndian.PutUint64(b, uint64(int64(len(header))+off))
		metadata, tensors, err := read(b)
		if err != nil {
			if s := err.Error(); len(s) > 400 || strings.ContainsAny(s, "\n\x00\x1b") {
				t.Errorf("the message is not one short line: %q", s)
			}
			return
		}
		agree(t, b, metadata, tensors)

		again := write(t, metadata, tensors...)
		gotMetadata, got, err := read(again)
		if err != nil || !same(metadata, tensors, gotMetadata, got) {
			t.Errorf("%v: wrote %q %v, read %q %v", err, metadata, tensors, gotMetadata, got)
		}
	})
}

// agree checks what was read against package encoding/json, which takes the
// last of two equal names and much else: whatever it could see in another way
// must have been refused.
func agree(t *testing.T, b []byte, metadata map[string]string, tensors []format.Tensor) {
	n := binary.LittleEndian.Uint64(b)
	data := b[8+n:]
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &members); err != nil {
		t.Fatal(err)
	}
	if raw, ok := members["__metadata__"]; ok || len(metadata) > 0 {
		var want map[string]string
		if err := json.Unmarshal(raw, &want); err != nil || !same(metadata, nil, want, nil) {
			t.Errorf("metadata: %v: read %q, want %q", err, metadata, want)
		}
		delete(members, "__metadata__")
	}
	if len(members) != len(tensors) {
		t.Errorf("read %d tensors, want %d", len(tensors), len(members))
	}
	total := 0
	for _, x := range tensors {
		var want struct {
			DType   string    `json:"dtype"`
			Shape   []int     `json:"shape"`
			Offsets [2]uint64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(members[x.Name], &want); err != nil {
			t.Fatal(err)
		}
		if x.DType.String() != want.DType || !slices.Equal(x.Shape, want.Shape) || !bytes.Equal(x.Data, data[want.Offsets[0]:want.Offsets[1]]) {
			t.Errorf("read %v, want %+v", x, want)
		}
		if err := x.Check(); err != nil {
			t.Error(err)
		}
		total += len(x.Data)
	}
	if total != len(data) {
		t.Errorf("the tensors have %d bytes, the data section %d", total, len(data))
	}
}

// FuzzSeal puts any bytes in the place of a file's seal. With mend set, what a
// seal says of itself and of the header is made true first, so that the fuzzer
// gets beyond the checksums. Nothing may panic, and no other seal than the one
// that a Writer writes may be taken.
func FuzzSeal(f *testing.F) {
	good := small(f)
	start := 4096 + 1024 // of the seal
	genuine := good[start:]
	f.Add(genuine, false)
	f.Add(genuine, true)
	f.Add(genuine[:200], true)
	f.Add(append(slices.Clone(genuine[:280]), genuine[100:]...), true)
	f.Add([]byte("ATTNXSEA"), true)
	f.Fuzz(func(t *testing.T, seal []byte, mend bool) {
		if len(seal) > 1<<12 {
			return
		}
		header := bytes.TrimRight(good[8:4096], " ")
		end := fmt.Sprintf(`"attnx.seal":{"dtype":"U8","shape":[%d],"data_offsets":[1024,%d]}}`, len(seal), 1024+len(seal))
		header = append(header[:bytes.Index(header, []byte(`"attnx.seal"`)):4088], end...)
		header = append(header, bytes.Repeat([]byte{' '}, 4088-len(header))...)
		b := binary.LittleEndian.AppendUint64(nil, 4088)
		b = append(append(append(b, header...), good[4096:start]...), seal...)
		if n := len(seal); mend && n >= 104+64 {
			s, le := b[len(b)-n:], binary.LittleEndian
			le.PutUint64(s[16:], uint64(len(b)))
			le.PutUint64(s[24:], 4088)
			head := sha256.Sum256(b[:4096])
			copy(s[32:], head[:])
			footer := s[n-64:]
			copy(footer, "ATTNXEND")
			le.PutUint64(footer[8:], uint64(len(b)))
			le.PutUint64(footer[16:], uint64(n))
			root := sha256.Sum256(s[:n-64])
			copy(footer[24:], root[:])
			le.PutUint32(footer[60:], crc32.Checksum(footer[:60], crc32.MakeTable(crc32.Castagnoli)))
		}
		r, err := format.NewMemoryReader(b)
		if err == nil {
			err = r.Verify()
		}
		if err == nil && !bytes.Equal(b, good) {
			t.Errorf("another seal is taken: %x", b[start:])
		}
		if err != nil {
			if s := err.Error(); len(s) > 400 || strings.ContainsAny(s, "\n\x00\x1b") {
				t.Errorf("the message is not one short line: %q", s)
			}
		}
	})
}
