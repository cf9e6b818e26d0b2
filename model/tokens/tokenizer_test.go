package tokens_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

func TestParseKind(t *testing.T) {
	for _, kind := range []tokens.Kind{tokens.Word, tokens.Char, tokens.BPE} {
		if got, err := tokens.ParseKind(kind.String()); err != nil || got != kind {
			t.Errorf("ParseKind(%q) = %v, %v", kind, got, err)
		}
	}
	for _, s := range []string{"", "Word", "bytes", "Kind(0)"} {
		if got, err := tokens.ParseKind(s); err == nil || !strings.Contains(err.Error(), "word, char or bpe") {
			t.Errorf("ParseKind(%q) = %v, %v, want an error that names the kinds", s, got, err)
		}
	}
}

func TestWord(t *testing.T) {
	tok := train(t, tokens.Word, "I do not like it. I do, it is!", 0)
	// By frequency, then by bytes: "I", "do" and "it" occur twice.
	want := []string{"[UNK]", "I", "do", "it", "!", ",", ".", "is", "like", "not"}
	if got := names(tok, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}); !slices.Equal(got, want) || tok.VocabSize() != len(want) {
		t.Errorf("vocabulary %q of %d, want %q", got, tok.VocabSize(), want)
	}
	ids := tok.Encode("do I  like\nthe IT, not?")
	if want := []int64{2, 1, 8, 0, 0, 5, 9, 0}; !slices.Equal(ids, want) {
		t.Errorf("ids %d, want %d", ids, want)
	}
	if got, err := tok.Decode(ids); err != nil || got != "do I like [UNK] [UNK], not [UNK]" {
		t.Errorf("Decode = %q, %v", got, err)
	}
	if id, ok := tok.Unknown(); !ok || id != 0 {
		t.Errorf("Unknown() = %d, %v", id, ok)
	}
	if _, ok := tok.EndOfText(); ok {
		t.Error("a word tokenizer has no end of text")
	}
}

// The rarest go first when the vocabulary is bounded.
func TestVocabularySize(t *testing.T) {
	word := train(t, tokens.Word, "a a a b b c", 3)
	if got, want := word.Encode("a b c"), []int64{1, 2, 0}; word.VocabSize() != 3 || !slices.Equal(got, want) {
		t.Errorf("%d tokens, ids %d, want 3 and %d", word.VocabSize(), got, want)
	}
	char := train(t, tokens.Char, "aaabbc", 3)
	if got, want := char.Encode("abc"), []int64{1, 2, 0}; char.VocabSize() != 3 || !slices.Equal(got, want) {
		t.Errorf("%d tokens, ids %d, want 3 and %d", char.VocabSize(), got, want)
	}
	// "ab" occurs three times. Then "Ġab" and "abc" twice each: the pair of
	// smaller ids is merged, and no other pair is left twice.
	bpe := train(t, tokens.BPE, "abc abc ab", 0)
	if got, want := names(bpe, bpe.Encode("abc ab c")), []string{"ab", "c", "Ġab", "Ġ", "c"}; !slices.Equal(got, want) {
		t.Errorf("pieces %q, want %q", got, want)
	}
	if small := train(t, tokens.BPE, "abc abc ab", 258); small.VocabSize() != 258 {
		t.Errorf("%d tokens, want 258", small.VocabSize())
	}
}

func TestEndOfText(t *testing.T) {
	tok := train(t, tokens.BPE, "one text<|endoftext|>another text<|endoftext|>", 300)
	end, ok := tok.EndOfText()
	if !ok || end != int64(tok.VocabSize())-1 {
		t.Errorf("EndOfText() = %d, %v; it is the last of %d tokens", end, ok, tok.VocabSize())
	}
	if got := tok.Encode("a<|endoftext|>"); len(got) != 2 || got[1] != end {
		t.Errorf("ids %d, want one of them for the end of text, %d", got, end)
	}
	for id := range end {
		if strings.Contains(tok.Token(id), "<|") {
			t.Errorf("token %q was learned from the end of text", tok.Token(id))
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	for _, c := range []struct {
		why  string
		kind tokens.Kind
		text string
		size int
		want string
	}{
		{"no text", tokens.Word, "", 0, "the text is empty"},
		{"no text", tokens.Char, "", 0, "the text is empty"},
		{"no text", tokens.BPE, "", 0, "the text is empty"},
		{"no word", tokens.Word, " \n ", 0, "0 different words"},
		{"one word", tokens.Word, "a a a", 0, "at least 2"},
		{"one character", tokens.Char, "aaa", 0, "at least 2"},
		{"room for one token", tokens.Word, "a b", 1, "give 0"},
		{"negative", tokens.Char, "a b", -1, "negative"},
		{"less than the bytes", tokens.BPE, "a b", 256, "at least 257"},
		{"no UTF-8", tokens.Char, "ab\ufffd\xff", 0, "not UTF-8 at byte 5"},
		{"no UTF-8", tokens.Word, "ab \xc3", 0, "not UTF-8 at byte 3"},
		{"no such kind", tokens.Kind(0), "a b", 0, "take word, char or bpe"},
	} {
		tok, err := tokens.Train(c.kind, c.text, c.size)
		if err == nil || tok != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Train(%v, %q, %d) = %v, want one line with %q", c.why, c.kind, c.text, c.size, err, c.want)
		}
	}
}

func TestIDsOutOfRange(t *testing.T) {
	tok := train(t, tokens.Char, "ab", 0)                        // 3 tokens
	for _, id := range []int64{-1, 1 << 32, 1 << 40, -1 << 63} { // OverflowError in Python
		if _, err := tok.Decode([]int64{0, id}); err == nil || !strings.Contains(err.Error(), "0 to 4294967295") {
			t.Errorf("Decode of id %d: %v, want an error that names the range", id, err)
		}
		if _, err := tok.NewDecoder().Next(id); err == nil {
			t.Errorf("Next(%d): no error", id)
		}
		if s := tok.Token(id); s != "" {
			t.Errorf("Token(%d) = %q", id, s)
		}
	}
	if id, ok := tok.ID("b"); !ok || id != 2 {
		t.Errorf("ID(b) = %d, %v", id, ok)
	}
	if _, ok := tok.ID("c"); ok {
		t.Error("ID(c) is in the vocabulary")
	}
}

// A character of several tokens comes with the last of them.
func TestDecoderHoldsBack(t *testing.T) {
	tok := train(t, tokens.BPE, "ab", 257) // bytes only
	ids := tok.Encode("é😀a")
	d := tok.NewDecoder()
	var got []string
	for _, id := range ids {
		s, err := d.Next(id)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if want := []string{"", "é", "", "", "", "😀", "a"}; !slices.Equal(got, want) {
		t.Errorf("pieces %q, want %q", got, want)
	}
	// Two of four bytes, then a letter: the character will never be complete.
	var broken strings.Builder
	for _, id := range []int64{ids[2], ids[3], ids[6], ids[2]} {
		s, _ := d.Next(id)
		broken.WriteString(s + "|")
	}
	if want := "||\ufffda||"; broken.String() != want {
		t.Errorf("pieces %q, want %q", broken.String(), want)
	}
	if got := d.Flush(); got != "\ufffd" {
		t.Errorf("Flush() = %q, want U+FFFD", got)
	}
	if got := d.Flush(); got != "" {
		t.Errorf("a second Flush() = %q", got)
	}
}

// To go on after a prompt, the prompt goes through the Decoder first.
func TestDecoderContinuesWords(t *testing.T) {
	tok := train(t, tokens.Word, "do not like it .", 0)
	d := tok.NewDecoder()
	var got []string
	for _, id := range tok.Encode("do not like .") {
		s, err := d.Next(id)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if want := []string{"do", " not", " like", "."}; !slices.Equal(got, want) {
		t.Errorf("pieces %q, want %q", got, want)
	}
}

// Bytes that are no UTF-8 are bytes to BPE and unknown to the others.
func TestTextThatIsNotUTF8(t *testing.T) {
	const text = "a\xffb \xe3\x81"
	bpe := parse(t, "bpe.json")
	if got, want := names(bpe, bpe.Encode(text)), []string{"a", "ÿ", "b", "Ġ", "ã", "ģ"}; !slices.Equal(got, want) {
		t.Errorf("bpe: %q, want %q", got, want)
	}
	char := train(t, tokens.Char, "ab ", 0)
	if got, want := names(char, char.Encode(text)), []string{"a", "[UNK]", "b", " ", "[UNK]", "[UNK]"}; !slices.Equal(got, want) {
		t.Errorf("char: %q, want %q", got, want)
	}
	word := train(t, tokens.Word, "a b", 0)
	if got, want := names(word, word.Encode(text)), []string{"a", "[UNK]", "b", "[UNK]"}; !slices.Equal(got, want) {
		t.Errorf("word: %q, want %q", got, want)
	}
}
