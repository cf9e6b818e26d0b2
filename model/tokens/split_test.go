package tokens

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// TestPieces compares the scanners with the patterns that they stand for, as
// the Python library runs them.
func TestPieces(t *testing.T) {
	b, err := os.ReadFile("testdata/pieces.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		GPT2  [][]string `json:"gpt2"`
		Words [][]string `json:"words"`
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile("testdata/texts.jsonl"); err != nil {
		t.Fatal(err)
	}
	i := 0
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); i++ {
		var text string
		if err := json.Unmarshal(s.Bytes(), &text); err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(gpt2Pieces(text)); !slices.Equal(got, want.GPT2[i]) {
			t.Errorf("gpt2Pieces(%q)\n got %q\nwant %q", text, got, want.GPT2[i])
		}
		var got []string
		for at, word := range words(text) {
			if got = append(got, word); text[at:at+len(word)] != word {
				t.Errorf("words(%q): %q is not at byte %d", text, word, at)
			}
		}
		if !slices.Equal(got, want.Words[i]) {
			t.Errorf("words(%q)\n got %q\nwant %q", text, got, want.Words[i])
		}
	}
	if i == 0 || i != len(want.GPT2) || i != len(want.Words) {
		t.Errorf("%d texts, %d and %d golden rows", i, len(want.GPT2), len(want.Words))
	}
}
