package tokens

import (
	"slices"
	"strings"
	"testing"
)

// EncodeSeq yields what Encode returns, and ends when its caller does.
func TestEncodeSeq(t *testing.T) {
	line := "Die Größe, it's 42\t x<|endoftext|> \x00\xff  don't\n"
	text := strings.Repeat(line, 4*runIDs/len(line))
	for _, kind := range []Kind{Word, Char, BPE} {
		tok, err := Train(kind, "Die Größe it's 4x don't <|endoftext|>\n", 300)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		done, runs := 0, 0
		for ids, bytes := range tok.EncodeSeq(text) {
			if len(ids) == 0 || bytes <= done {
				t.Fatalf("%v: %d ids up to byte %d, after byte %d", kind, len(ids), bytes, done)
			}
			got, done, runs = append(got, ids...), bytes, runs+1
			if kind != BPE && !slices.Equal(got, tok.Encode(text[:done])) { // bpe looks ahead at white space
				t.Fatalf("%v: %d ids are not those of %d bytes", kind, len(got), done)
			}
		}
		if want := tok.Encode(text); !slices.Equal(got, want) || done != len(text) || runs < 2 {
			t.Errorf("%v: %d ids in %d runs to byte %d, want %d to byte %d", kind, len(got), runs, done, len(want), len(text))
		}
		for range tok.EncodeSeq(text) {
			break
		}
		for range tok.EncodeSeq("") {
			t.Errorf("%v: an empty text has ids", kind)
		}
	}
}
