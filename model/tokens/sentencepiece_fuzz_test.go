package tokens

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// A file of SentencePiece's is read or refused by a typed error, whatever its bytes are, and
// what is read cuts any text.
func FuzzSentencePiece(f *testing.F) {
	piece := func(text string, kind uint64) (b []byte) {
		var p []byte
		p = protowire.AppendString(protowire.AppendTag(p, 1, protowire.BytesType), text)
		p = protowire.AppendFixed32(protowire.AppendTag(p, 2, protowire.Fixed32Type), 0xbf800000)
		p = protowire.AppendVarint(protowire.AppendTag(p, 3, protowire.VarintType), kind)
		return protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), p)
	}
	var small []byte
	for i, text := range []string{"<unk>", "▁", "a", "▁a", "b"} {
		kind := uint64(1)
		if i == 0 {
			kind = 2
		}
		small = append(small, piece(text, kind)...)
	}
	f.Add(small, "ab a é")
	if real, err := os.ReadFile(filepath.Join("..", "huggingface", "testdata", "sentencepiece", "marian", "source.spm")); err == nil {
		f.Add(real, "ab a é")
	}
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		p, err := parsePieces(file)
		if err == nil {
			var m *pieceSegmenter
			if m, err = p.segmenter(); err == nil {
				m.segment(m.normalize(text), func(string, int32) {})
				return
			}
		}
		if !errors.As(err, new(*FormatError)) && !errors.As(err, new(*UnsupportedError)) {
			t.Fatalf("an error of another type: %v", err)
		}
	})
}
