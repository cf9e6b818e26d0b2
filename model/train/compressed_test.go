package train

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// compressed returns a text as gzip, in two members, and as zstd, in two frames.
func compressed(t *testing.T, text string) map[string][]byte {
	t.Helper()
	half := len(text) / 2
	var gz bytes.Buffer
	for _, part := range []string{text[:half], text[half:]} {
		w := gzip.NewWriter(&gz)
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zst := w.EncodeAll([]byte(text[half:]), w.EncodeAll([]byte(text[:half]), nil))
	return map[string][]byte{"gzip": gz.Bytes(), "zstd": zst}
}

func TestCompressedText(t *testing.T) {
	text := strings.Repeat("größer als zuvor\n", 9999)
	folder := t.TempDir()
	put := func(name string, b []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for kind, packed := range compressed(t, text) {
		path := put(kind, packed) // the name says nothing
		plain := put("plain", []byte("so: "))
		read, err := ReadText(t.Context(), []string{plain, path}, Reading{Glob: "*", Limit: 1 << 20})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if read.Text != "so: "+text {
			t.Errorf("%s: %d bytes are read, expected %d", kind, len(read.Text), len(text)+4)
		}
		again, err := read.Source.Read(t.Context(), Reading{})
		if err != nil || again.SHA256 != read.SHA256 {
			t.Errorf("%s: read again: %v", kind, err)
		}
		if _, err := ReadText(t.Context(), []string{path}, Reading{Glob: "*", Limit: int64(len(text)) - 1}); err == nil || !strings.Contains(err.Error(), "the most that fits in memory") {
			t.Errorf("%s: a text above the limit: %v", kind, err)
		}
		whole := 0 // cut files that end with the first of the two parts
		for end := range len(packed) {
			if end < 4 || end > 40 && end%31 != 0 {
				continue
			}
			path := put("cut", packed[:end])
			_, err := ReadText(t.Context(), []string{path}, Reading{Glob: "*", Limit: 1 << 20})
			switch {
			case err == nil:
				whole++
			case !strings.Contains(err.Error(), path+": its "+kind+" data end early"):
				t.Errorf("%s, cut off after %d bytes: %v", kind, end, err)
			}
		}
		if whole > 1 {
			t.Errorf("%s: %d cut files are read", kind, whole)
		}
		bad := bytes.Clone(packed)
		bad[len(bad)-6] ^= 0x55
		if _, err := ReadText(t.Context(), []string{put("bad", bad)}, Reading{Glob: "*", Limit: 1 << 20}); err == nil || !strings.Contains(err.Error(), "data are damaged") {
			t.Errorf("%s, with another byte: %v", kind, err)
		}
	}
}

// A pattern names files, in the order of their paths; a file of that name counts
// more.
func TestPatterns(t *testing.T) {
	folder := writeFiles(t, map[string]string{"b1.txt": "zwei", "a1.txt": "eins", "[ab]": "selbst", "sub1.txt/x": "no"})
	for path, want := range map[string]string{"?1.txt": "einszwei", "*1.txt": "einszwei", "[ab]": "selbst"} {
		text, err := ReadText(t.Context(), []string{filepath.Join(folder, path)}, Reading{Glob: "*", Limit: 100})
		if err != nil || text.Text != want {
			t.Errorf("%s: %v, %v, expected %q", path, text, err, want)
			continue
		}
		if again, err := text.Source.Read(t.Context(), Reading{}); err != nil || again.Text != want {
			t.Errorf("%s, read again: %v, %v", path, again, err)
		}
	}
	for path, want := range map[string]string{"c*": "no file matches this pattern", "[x": "syntax error in pattern", "sub*": "no file matches"} {
		if _, err := ReadText(t.Context(), []string{filepath.Join(folder, path)}, Reading{Glob: "*", Limit: 100}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", path, err, want)
		}
	}
}

// Empty members of a gzip file are nothing, however many they are.
func TestEmptyMembers(t *testing.T) {
	var file bytes.Buffer
	for i := range 300 {
		w := gzip.NewWriter(&file)
		if i == 299 {
			if _, err := w.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, closing, err := decompress(&file)
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	if got, err := bufio.NewReader(text).ReadString(0); got != "text" || err != io.EOF {
		t.Errorf("%q, %v", got, err)
	}
}
