package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// prose returns about n bytes of made-up words, their frequencies as in
// natural text (Zipf), with punctuation and lines.
func prose(n int) string {
	rng := rand.New(rand.NewPCG(1, 1))
	words := make([]string, 20000)
	for i := range words {
		var w strings.Builder
		for range 1 + rng.IntN(4) {
			w.WriteByte("bcdfghklmnprstvwyz"[rng.IntN(18)])
			w.WriteByte("aeiou"[rng.IntN(5)])
		}
		words[i] = w.String()
	}
	zipf := rand.NewZipf(rng, 1.1, 2, uint64(len(words)-1))
	var s strings.Builder
	for s.Len() < n {
		s.WriteString(words[zipf.Uint64()])
		s.WriteString([]string{" ", " ", " ", " ", " ", " ", ", ", ". ", "'s ", "\n", " 12 "}[rng.IntN(11)])
	}
	return s.String()
}

func BenchmarkTrain(b *testing.B) {
	text := prose(1 << 20)
	for _, kind := range []tokens.Kind{tokens.Word, tokens.Char, tokens.BPE} {
		b.Run(kind.String(), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				train(b, kind, text, 0)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	text := prose(1 << 20)
	for _, kind := range []tokens.Kind{tokens.Word, tokens.Char, tokens.BPE} {
		tok := train(b, kind, text, 0)
		b.Run(kind.String(), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Encode(text)
			}
		})
	}
	// A text without a space is one piece.
	tok := train(b, tokens.BPE, text, 0)
	long := strings.Repeat("bacade", 1<<20/6)
	b.Run(fmt.Sprintf("%v-one-piece", tok.Kind()), func(b *testing.B) {
		b.SetBytes(int64(len(long)))
		for b.Loop() {
			tok.Encode(long)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := prose(1 << 20)
	tok := train(b, tokens.BPE, text, 0)
	ids := tok.Encode(text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := tok.Decode(ids); err != nil {
			b.Fatal(err)
		}
	}
}
