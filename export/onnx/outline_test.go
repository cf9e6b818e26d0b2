package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The outline of a file is what decoding it says.
func TestOutline(t *testing.T) {
	message := func(n protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), bytes.Join(parts, nil))
	}
	entry := func(n protowire.Number, key, value string) []byte {
		return message(n, message(1, []byte(key)), message(2, []byte(value)))
	}
	number := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 8)
	whole := bytes.Join([][]byte{
		number,
		message(2, []byte("somebody")),
		message(7,
			message(5, number, entry(13, "offset", "4"), entry(13, "location", "a.bin"), message(9, make([]byte, 100))),
			message(5, entry(13, "location", "a.bin")),
			message(15, message(1, entry(13, "location", "b.bin")), message(2, entry(13, "location", "c.bin"))),
		),
		entry(14, "one", "1"), entry(14, "two", "2"),
	}, nil)
	path := filepath.Join(t.TempDir(), "file")
	read := func(b []byte) (Outline, error) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return ReadOutline(path)
	}
	o, err := read(whole)
	if err != nil || o.Producer != "somebody" || !slices.Equal(o.Metadata, []string{"one", "two"}) || !slices.Equal(o.Data, []string{"a.bin", "b.bin", "c.bin"}) {
		t.Errorf("%+v, %v", o, err)
	}
	for n := range whole { // whatever it is cut to, nothing is read beyond its end
		_, _ = read(whole[:n])
	}
	for name, bad := range map[string][]byte{
		"a length beyond the end": {0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"a negative length":       {0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"no tag":                  {0xff},
		"a million fields":        bytes.Repeat([]byte{0x08, 0x00}, 1<<20+1),
	} {
		if o, err := read(bad); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if _, err := ReadOutline(t.TempDir()); err == nil {
		t.Error("a folder has an outline")
	}
}
