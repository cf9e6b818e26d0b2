package tokens

import "testing"

// A document that is read again while its tokenizer is in use is not parsed again; any
// other document is.
func TestParseAgain(t *testing.T) {
	file := func(second string) []byte {
		return []byte(`{"version":"1.0","model":{"type":"WordLevel","vocab":{"[UNK]":0,"` + second + `":1},"unk_token":"[UNK]"}}`)
	}
	read := func(data []byte) *Tokenizer {
		t.Helper()
		tok, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	text := file("a")
	first := read(text)
	if read(file("a")) != first {
		t.Error("the same document is parsed twice")
	}
	copy(text, file("b")) // in the memory of the first
	other := read(text)
	if other == first || other.Token(1) != "b" || first.Token(1) != "a" {
		t.Errorf("another document has the token %q, the first %q", other.Token(1), first.Token(1))
	}
	if _, err := Parse(text[1:]); err == nil {
		t.Error("a damaged document is read")
	}
}
