package tokens_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// Added tokens get the next ids in every kind of tokenizer, and are found as
// they are written.
func TestAdd(t *testing.T) {
	for _, kind := range []tokens.Kind{tokens.Char, tokens.Word, tokens.BPE} {
		tok, err := tokens.Train(kind, strings.Repeat("ab ba abba\n", 20), 300)
		if err != nil {
			t.Fatal(err)
		}
		data, err := tok.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		more, err := tokens.Add(data, "<one>", " two ")
		if err != nil {
			t.Errorf("%v: %v", kind, err)
			continue
		}
		now, err := tokens.Parse(more)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(tok.VocabSize())
		ids := now.Encode("ab<one>ba two ab")
		if now.VocabSize() != int(n)+2 || !slices.Contains(ids, n) || !slices.Contains(ids, n+1) {
			t.Errorf("%v: ids %v of %d", kind, ids, now.VocabSize())
		}
		if !slices.Equal(now.Encode("abba ab"), tok.Encode("abba ab")) {
			t.Errorf("%v: another text has other ids", kind)
		}
		for _, bad := range [][]string{{"<one>"}, {""}, {"x", "x"}, {strings.Repeat("x", 300)}} {
			if _, err := tokens.Add(more, bad...); err == nil {
				t.Errorf("%v: %.20q was added", kind, bad)
			}
		}
	}
}
