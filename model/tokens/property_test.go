package tokens_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/attnx/attnx/model/tokens"
)

// anyText draws text that leans to what splitting is about.
func anyText() *rapid.Generator[string] {
	hard := rapid.SampledFrom([]string{" ", "  ", "\n", "\r\n", "\t", "\u00a0", "'s", "'re", "'", "1", "½", "_", "é", "e\u0301",
		"日", "😀", "👍🏽", "\ufffd", "\x00", "the", "The", "<|endoftext|>", "<|", "[UNK]", "##a"})
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOf(rapid.OneOf(hard, rapid.String())).Draw(t, "parts")
		return strings.Join(parts, "")
	})
}

func TestBPELosesNothing(t *testing.T) {
	tok := parse(t, "bpe.json")
	rapid.Check(t, func(t *rapid.T) {
		text := anyText().Draw(t, "text")
		if got, err := tok.Decode(tok.Encode(text)); err != nil || got != text {
			t.Fatalf("%q comes back as %q, %v", text, got, err)
		}
	})
}

func TestCharLosesNothingItKnows(t *testing.T) {
	tok := parse(t, "char.json")
	var known []rune
	for id := range int64(tok.VocabSize()) {
		if r := []rune(tok.Token(id)); len(r) == 1 {
			known = append(known, r[0])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom(known)).Draw(t, "text")
		if got, err := tok.Decode(tok.Encode(text)); err != nil || got != text {
			t.Fatalf("%q comes back as %q, %v", text, got, err)
		}
	})
}

// Nothing is left out: a character is an id, a word is an id.
func TestUnknownIsKept(t *testing.T) {
	char, word := train(t, tokens.Char, "ab", 0), train(t, tokens.Word, "a b", 0)
	rapid.Check(t, func(t *rapid.T) {
		text := anyText().Draw(t, "text")
		if got, want := len(char.Encode(text)), utf8.RuneCountInString(text); got != want {
			t.Fatalf("%q: %d ids for %d characters", text, got, want)
		}
		if got := len(word.Encode(text)); (got == 0) != (strings.TrimSpace(text) == "") || got < len(strings.Fields(text)) {
			t.Fatalf("%q: %d ids for %d fields", text, got, len(strings.Fields(text)))
		}
	})
}

// A Decoder's pieces are Decode's text, each of them valid UTF-8.
func TestDecoderGivesDecodesText(t *testing.T) {
	for _, name := range []string{"word.json", "char.json", "bpe.json"} {
		tok := parse(t, name)
		rapid.Check(t, func(t *rapid.T) {
			ids := rapid.SliceOf(rapid.Int64Range(0, int64(tok.VocabSize())-1)).Draw(t, "ids")
			want, err := tok.Decode(ids)
			if err != nil {
				t.Fatal(err)
			}
			d := tok.NewDecoder()
			for range 2 { // Flush makes the Decoder new
				var got strings.Builder
				for _, id := range ids {
					piece, err := d.Next(id)
					if err != nil || !utf8.ValidString(piece) {
						t.Fatalf("Next(%d) = %q, %v", id, piece, err)
					}
					got.WriteString(piece)
				}
				got.WriteString(d.Flush())
				if got.String() != want {
					t.Fatalf("ids %d: pieces %q, Decode %q", ids, got.String(), want)
				}
			}
		})
	}
}

// What is trained is written and read without a change.
func TestTrainedSurvivesItsFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]tokens.Kind{tokens.Word, tokens.Char, tokens.BPE}).Draw(t, "kind")
		text := anyText().Draw(t, "text")
		size := rapid.SampledFrom([]int{0, 300}).Draw(t, "size")
		tok, err := tokens.Train(kind, text, size)
		if err != nil {
			return // too little text
		}
		b, err := tok.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := tokens.Parse(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if c, _ := again.MarshalJSON(); !bytes.Equal(b, c) {
			t.Fatalf("written, read and written again the file differs:\n%s\n%s", b, c)
		}
		other := anyText().Draw(t, "other")
		if a, b := tok.Encode(other), again.Encode(other); !slices.Equal(a, b) {
			t.Fatalf("%q is %d, and %d after reading", other, a, b)
		}
	})
}
