package tokens

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A piece that is cut between characters that no merge joins gives the ids of the
// whole, with and without an ending of its last character, and also from memory.
func TestCutPieces(t *testing.T) {
	for _, suffix := range []string{"", "</w>"} {
		vocab := []string{"?", "a", "b", "c", "é", "ab", "ca", "abc"}
		merges := [][2]string{{"a", "b"}, {"c", "a"}, {"ab", "c"}}
		if suffix != "" {
			vocab = append(vocab, "a</w>", "b</w>", "ab</w>", "éa</w>", "</w>")
			merges = append([][2]string{{"a", "b</w>"}, {"é", "a</w>"}}, merges...)
		}
		ids := map[string]int32{}
		for i, token := range vocab {
			ids[token] = int32(i)
		}
		m := &charMerger{merger: &merger{rules: map[uint64]rule{}}, ids: ids, suffix: suffix, unknown: 0}
		for rank, p := range merges {
			m.rules[pairKey(ids[p[0]], ids[p[1]])] = rule{int32(rank), ids[p[0]+p[1]]}
		}
		m.join(vocab)
		r := rand.New(rand.NewPCG(5, 6))
		var s, fresh mergeScratch
		for range 3000 {
			var piece []rune
			for range 1 + r.IntN(9) {
				piece = append(piece, []rune("abcéx")[r.IntN(5)])
			}
			want := m.part(nil, string(piece), suffix, &fresh)
			if got := m.encode(nil, string(piece), &s); !slices.Equal(got, want) {
				t.Fatalf("%q with %q: %v, expected %v", string(piece), suffix, got, want)
			}
		}
	}
}

// Of added tokens that begin alike the longest counts, down to a single byte.
func TestLongestAddedToken(t *testing.T) {
	contents := []string{"\n", "\n\n", "\n\n\n\n\n", "<b", "<body>"}
	added := make([]*addedToken, len(contents))
	for i := range added {
		added[i] = &addedToken{id: int32(i)}
	}
	f := newFinder(added, contents)
	for text, want := range map[string]int{"\n": 1, "\nx": 1, "\n\n\n": 2, "\n\n\n\n": 2, "\n\n\n\n\n\n": 5, "<body": 2, "<body>": 6, "<a": 0, "x": 0} {
		if _, n := f.match(text); n != want {
			t.Errorf("%q: %d bytes, expected %d", text, n, want)
		}
	}
}
