package tokens

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A long piece gives the ids that it gives as a whole, however short its parts.
func TestLongPiece(t *testing.T) {
	for i, text := range trainingTexts() {
		tok, err := Train(BPE, text, 420)
		if err != nil {
			t.Fatal(err)
		}
		for k, other := range append(trainingTexts(), text+text) {
			other = other[:min(len(other), 2000)]
			want := tok.bpe.encode(nil, other, &mergeScratch{})
			for _, size := range []int{2, 7, 300} {
				e := encoder{t: tok}
				e.longPiece(other, parts{size, len(other)})
				if !slices.Equal(e.ids, want) || e.done != len(other) {
					t.Fatalf("tokenizer %d, text %d, parts of %d bytes: %d ids of %d bytes, want %d", i, k, size, len(e.ids), e.done, len(want))
				}
			}
		}
	}
}

// So do tokens longer than a part, which are made of short ones first.
func TestLongTokens(t *testing.T) {
	period := fmt.Sprint(trainingTexts()[4][:700])
	for _, unit := range []string{"a", "ab", period} {
		text := strings.Repeat(unit, 5*maxShort/len(unit)*4)
		tok, err := Train(BPE, text, 1200)
		if err != nil {
			t.Fatal(err)
		}
		if tok.bpe.short == everyRule || len(tok.bpe.joints) == 0 {
			t.Errorf("%.10q: no token is long", unit)
		}
		for _, other := range []string{text, text[1:], text[:len(text)/3] + "x" + text[7:] + "aab", period + text + period[5:]} {
			want := tok.bpe.encode(nil, other, &mergeScratch{})
			e := encoder{t: tok}
			e.longPiece(other, parts{4 * maxShort, 64})
			if !slices.Equal(e.ids, want) || e.done != len(other) {
				t.Errorf("%.10q: %d ids of %d bytes, want %d", unit, len(e.ids), e.done, len(want))
			}
		}
	}
}
