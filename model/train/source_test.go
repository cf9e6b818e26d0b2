package train

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// writeFiles writes files below a new folder.
func writeFiles(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestReadText(t *testing.T) {
	folder := writeFiles(t, map[string]string{"b.txt": "zwei", "a.txt": "eins ", "sub/c.txt": " drei", "d.md": "no", "e.txt": "é"})
	in := func(name string) string { return filepath.Join(folder, name) }
	// A character that comes in two pieces is whole.
	stdin := iotest.OneByteReader(strings.NewReader(" größer"))
	text, err := ReadText(t.Context(), []string{in("e.txt"), folder, Stdin, in("d.md")}, Reading{Glob: "*.txt", Stdin: stdin, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if want := "é" + "eins zweié drei größerno"; text.Text != want {
		t.Errorf("it read %q, want %q", text.Text, want)
	}
	if want := []string{in("e.txt"), in("a.txt"), in("b.txt"), in("e.txt"), in("sub/c.txt"), "standard input", in("d.md")}; !slices.Equal(text.Names, want) {
		t.Errorf("it read %q, want %q", text.Names, want)
	}
	if text.Source != nil {
		t.Errorf("what came from a pipe is looked for at %v", text.Source)
	}

	text, err = ReadText(t.Context(), []string{in("e.txt"), folder}, Reading{Glob: "*.txt", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(text.Source)
	if err != nil {
		t.Fatal(err)
	}
	source, err := ParseSource(kept)
	if err != nil {
		t.Fatal(err)
	}
	again, err := source.Read(t.Context(), Reading{})
	if err != nil || again.Text != text.Text || again.SHA256 != text.SHA256 {
		t.Errorf("read again: %v, %v", again, err)
	}
}

func TestTextIsRefused(t *testing.T) {
	folder := writeFiles(t, map[string]string{"text": "some text", "latin": "caf\xe9", "cut": "caf\xc3", "zero": "a\x00b", "blank": " \n"})
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(folder, name))
		}
		return paths
	}
	endless := iotest.DataErrReader(strings.NewReader(strings.Repeat("y\n", 1<<20)))
	for _, c := range []struct {
		paths []string
		glob  string
		limit int64
		want  string
	}{
		{in("latin"), "*", 100, "latin: it is not UTF-8 text at byte 3"},
		{in("cut"), "*", 100, "cut: it is not UTF-8 text at byte 3"},
		{in("zero"), "*", 100, "zero: it holds a zero byte"},
		{in("blank"), "*", 100, "blank: the text is empty"},
		{in("text"), "*", 8, "the most that fits in memory"},
		{in("text", "text"), "*", 17, "the most that fits in memory"},
		{in("."), "t*", 8, "the most that fits in memory"},
		{[]string{Stdin}, "*", 1 << 20, "standard input: the text has more than 0.00 GB"},
		{in("."), "*.go", 100, `no file below it matches "*.go"`},
		{in("nowhere"), "*", 100, "nowhere"},
		{in("text"), "[", 100, "syntax error in pattern"},
	} {
		_, err := ReadText(t.Context(), c.paths, Reading{Glob: c.glob, Stdin: endless, Limit: c.limit})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %s: got %v, want %q", c.paths, c.glob, err, c.want)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := ReadText(stopped, in("text"), Reading{Glob: "*", Limit: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// A source comes from a file: what it names is looked at before it is read.
func TestSourceIsRefused(t *testing.T) {
	folder := writeFiles(t, map[string]string{"text": "some text"})
	at := filepath.Join(folder, "text")
	for _, s := range []*Source{
		{Paths: []string{at}, Glob: "*", Files: 1, Bytes: 8},
		{Paths: []string{at}, Glob: "*", Files: 2, Bytes: 9},
		{Paths: []string{folder}, Glob: "*.go", Files: 1, Bytes: 9},
		{Paths: []string{at, os.DevNull}, Glob: "*", Files: 2, Bytes: 9},
		{Paths: []string{filepath.Join(folder, "gone")}, Glob: "*", Files: 1, Bytes: 9},
	} {
		if text, err := s.Read(t.Context(), Reading{}); !errors.As(err, new(*MovedError)) {
			t.Errorf("%v: %v, %v", s, text, err)
		}
	}
	for _, text := range []string{
		`{"paths":["text"],"glob":"*","files":1,"bytes":9}`,
		`{"paths":["/a\u001b[2J"],"glob":"*","files":1,"bytes":9}`,
		`{"paths":[],"glob":"*","files":1,"bytes":9}`,
		`{"paths":["/a"],"glob":"[","files":1,"bytes":9}`,
		`{"paths":["/a"],"glob":"*","files":0,"bytes":-9}`,
		`[`,
		strings.Repeat(" ", MaxSource+1),
	} {
		if s, err := ParseSource([]byte(text)); err == nil {
			t.Errorf("%.80s: taken as %v", text, s)
		}
	}
}

func TestJSONLines(t *testing.T) {
	for text, want := range map[string]bool{
		"{\"a\":1}\n{\"b\":2}\n":          true,
		"\n {\"a\":1}\r\n\n{\"b\":2}\nno": true,
		"{\"a\":1}\n":                     false,
		"{\n\"a\":1\n}\n":                 false,
		"[1]\n[2]\n":                      false,
		"{a}\n{b}\n":                      false,
		"":                                false,
	} {
		if got := isJSONLines(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
