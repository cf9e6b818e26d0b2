package tokens_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// TestGaps reads vocabularies that leave out ids: the ids and texts are those
// of the Python library, and a file that is written anew means the same.
func TestGaps(t *testing.T) {
	var all []struct {
		Tokenizer     json.RawMessage
		Texts, Decode []row
	}
	if err := json.Unmarshal(read(t, "gaps.json"), &all); err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		first, err := tokens.Parse(g.Tokenizer)
		if err != nil {
			t.Fatal(err)
		}
		written, err := first.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := tokens.Parse(written)
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range []*tokens.Tokenizer{first, again} {
			for _, want := range g.Texts {
				if ids := tok.Encode(want.Text); !slices.Equal(ids, want.IDs) {
					t.Errorf("%q: ids %d, want %d", want.Text, ids, want.IDs)
				}
			}
			for _, want := range g.Decode {
				if text, err := tok.Decode(want.IDs); err != nil || text != want.Text {
					t.Errorf("%d: %q, %v, want %q", want.IDs, text, err, want.Text)
				}
				d, text := tok.NewDecoder(), ""
				for _, id := range want.IDs {
					piece, err := d.Next(id)
					if err != nil {
						t.Fatal(err)
					}
					text += piece
				}
				if text += d.Flush(); text != want.Text {
					t.Errorf("%d one by one: %q, want %q", want.IDs, text, want.Text)
				}
			}
		}
	}
}

// An id that is left out has no token, and an added token may not take one
// that is given away: the Python library would lose a token there.
func TestGapsRefused(t *testing.T) {
	tok, err := tokens.Parse(edit(t, tokens.Word, `"abc":2`, `"abc":9`))
	if err != nil {
		t.Fatal(err)
	}
	if tok.VocabSize() != 10 || tok.Token(5) != "" || tok.Token(9) != "abc" {
		t.Errorf("%d ids, tokens %q and %q", tok.VocabSize(), tok.Token(5), tok.Token(9))
	}
	if _, ok := tok.ID(""); ok {
		t.Error("the empty token has an id")
	}
	taken := edit(t, tokens.Word, `"abc":2`, `"abc":3`)
	taken = []byte(strings.Replace(string(taken), `"added_tokens":[]`,
		`"added_tokens":[{"id":3,"content":"<x>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}]`, 1))
	checkRefusal(t, "a taken id", taken, "added_tokens[0].id", `would take the id 3 from "abc"`, true)
}
