package format_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
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
