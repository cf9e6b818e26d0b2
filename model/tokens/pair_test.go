package tokens

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

// A file of two tokenizers is read, written as it was, and split again.
func TestPair(t *testing.T) {
	var files [2][]byte
	for i, text := range []string{"a b c", "x y z w"} {
		tok, err := Train(Word, text, 0)
		if err == nil {
			files[i], err = tok.MarshalJSON()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	both := Pair(files[0], files[1])
	tok, err := Parse(both)
	if err != nil {
		t.Fatal(err)
	}
	again, err := tok.MarshalJSON()
	source, target, ok := SplitPair(both)
	if err != nil || string(again) != string(both) || !ok || string(source) != string(files[0]) || string(target) != string(files[1]) {
		t.Errorf("written again as %d bytes of %d: %v", len(again), len(both), err)
	}
	if !tok.Separate() || tok.Target().Separate() || tok.VocabSize() == tok.Target().VocabSize() || tok.Token(tok.Encode("a c")[0]) != "a" {
		t.Errorf("%d and %d tokens", tok.VocabSize(), tok.Target().VocabSize())
	}
	if text, err := tok.Target().Decode(tok.Target().Encode("w x")); err != nil || text != "w x" {
		t.Errorf("decoded as %q: %v", text, err)
	}
	if _, _, ok := SplitPair(files[0]); ok {
		t.Error("one tokenizer is split")
	}
	alone, err := Parse(files[0])
	if err != nil {
		t.Fatal(err)
	}
	same := Pair(files[0], files[0])
	var wait sync.WaitGroup
	for range 2 { // one document is read by several at the same time
		wait.Go(func() {
			tok, err := Parse(same)
			if err != nil || !tok.Separate() || tok.Target() == tok || tok.Target().Separate() {
				t.Errorf("equal sides are read as one: %v", err)
			}
		})
	}
	wait.Wait()
	if alone.Separate() {
		t.Error("the tokenizer of a side has become the pair")
	}
	for want, data := range map[string][]byte{
		"it has two tokenizers": Pair(both, files[0]),
		"target":                Pair(files[0], []byte(`{"version":"2.0"}`)),
		"source":                Pair([]byte(`[]`), files[0]),
	} {
		var format *FormatError
		var other *UnsupportedError
		if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &format) && !errors.As(err, &other) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}
