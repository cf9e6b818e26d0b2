package gguf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model/tokens"
)

// FuzzMetadata reads files of any metadata as models: the network's settings, the
// tokenizer, the special ids and the chat template. Nothing may panic, or take more
// than the file pays for; a tokenizer that is accepted is one.
func FuzzMetadata(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.gguf"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		file, err := blocks.Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), headLength(file, data))]) // without most of the tensors: the file ends in its metadata
		for _, kind := range []string{"gpt2", "llama", "bert"} {
			var small bytes.Buffer
			meta := append(file.Metadata[:len(file.Metadata):len(file.Metadata)],
				blocks.Entry{Key: keyModel, Value: kind}, blocks.Entry{Key: keyPre, Value: "gpt-2"}, blocks.Entry{Key: keyTokens, Value: []string{"a", "b", "ab", "<s>", "▁a", "<0x0A>"}},
				blocks.Entry{Key: keyTypes, Value: []int32{1, 1, 1, 3, 4, 6}}, blocks.Entry{Key: keyScores, Value: []float32{0, -1, -2, 0, -1, 0}},
				blocks.Entry{Key: keyMerges, Value: []string{"a b"}}, blocks.Entry{Key: keyChat, Value: "{% for m in messages %}{{ m.content }}{% endfor %}"})
			if err := blocks.Write(&small, meta, []blocks.Tensor{{Info: blocks.Info{Name: "token_embd.weight", Shape: []int{6, 1}}, Data: make([]byte, 24)}}); err != nil {
				f.Fatal(err)
			}
			f.Add(small.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := blocks.Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		defer file.Close()
		check := func(err error) {
			if s := err.Error(); len(s) > 1000 || strings.ContainsAny(s, "\n\x00\x1b") {
				t.Errorf("the message is not one short line: %q", s)
			}
		}
		if _, _, err := Check("file.gguf", file); err != nil {
			check(err)
		}
		text, _, err := tokenizer(file)
		if err != nil {
			check(err)
			return
		}
		if len(text) > 0 {
			if _, err := tokens.Parse(text); err != nil {
				t.Errorf("a tokenizer that is accepted is none: %v", err)
			}
		}
	})
}

// headLength returns where the data of a file's tensors begin.
func headLength(f *blocks.File, data []byte) int {
	if len(f.Tensors) == 0 {
		return len(data)
	}
	raw, err := f.Raw(f.Tensors[0])
	if err != nil {
		return len(data)
	}
	return max(0, bytes.Index(data, raw))
}
