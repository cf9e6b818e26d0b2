package train

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// What goes into a store comes out, in two bytes where the vocabulary fits and
// in four where it does not, across its blocks.
func TestIDs(t *testing.T) {
	for _, vocab := range []int{1, 2, 65536, 65537, math.MaxInt32} {
		ids := make([]int64, 2*blockLen+7)
		for i := range ids {
			ids[i] = int64(uint64(i) * 2654435761 % uint64(vocab))
		}
		ids[3] = int64(vocab) - 1
		store := newIDStore(vocab)
		for rest := ids; len(rest) > 0; rest = rest[min(len(rest), 4097):] {
			if err := store.add(rest[:min(len(rest), 4097)]); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]int64, len(ids)-2)
		if store.read(1, got); !slices.Equal(got, ids[1:len(ids)-1]) || store.len() != len(ids) {
			t.Errorf("vocabulary %d: other ids came out", vocab)
		}
		for _, id := range []int64{-1, int64(vocab), math.MaxInt64} {
			if err := store.add([]int64{id}); err == nil {
				t.Errorf("vocabulary %d: id %d was taken", vocab, id)
			}
		}
	}
}

// Tokenizing takes two bytes a token and little else: the ids of characters are
// the largest that a text can have.
func TestTokenizeMemory(t *testing.T) {
	text := strings.Repeat("we do not like rain\n", 1<<17)
	for _, kind := range []tokens.Kind{tokens.Char, tokens.BPE} {
		tok, err := tokens.Train(kind, text[:1000], 0)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		last := 0
		data, err := Tokenize(t.Context(), text, tok, 16, func(bytes int) { last = bytes })
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		n := data.train.(window).ids.len()
		if took := int(after.TotalAlloc - before.TotalAlloc); took > 2*n+3<<20 {
			t.Errorf("%v: %d tokens took %d bytes", kind, n, took)
		}
		if last != len(text) {
			t.Errorf("%v: progress ended at byte %d of %d", kind, last, len(text))
		}
	}
}
