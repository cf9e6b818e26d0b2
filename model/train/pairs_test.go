package train

import (
	"fmt"
	"slices"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

// Each batch has the sizes of one bucket, sources are padded and masked, targets are
// shifted by the start, every pair is drawn, and equal numbers give equal batches.
func TestPairs(t *testing.T) {
	const start, pad, end = 0, 1, 2
	var learn []PairIDs
	for i := range 64 {
		n := 1 + i%16
		s := append(slices.Repeat([]int64{int64(10 + i)}, n), end)
		learn = append(learn, PairIDs{s, append(slices.Repeat([]int64{int64(100 + i)}, n/2), end)})
	}
	d, err := NewPairs(learn, learn[:3], start, pad, pad)
	if err != nil {
		t.Fatal(err)
	}
	var b, again Batch
	stream := model.NewStream(1, "test")
	seen, sizes := map[int64]bool{}, map[string]bool{}
	for n := range 200 {
		d.draw(d.train, 4, stream, n, &b)
		S, T := b[role.SourceTokens].Shape[1], b[role.Tokens].Shape[1]
		sizes[fmt.Sprint(S, T)] = true
		for row := range 4 {
			of := func(k role.Kind, n int) []int64 { return b.int64s(k)[row*n : (row+1)*n] }
			source, mask, tokens, labels := of(role.SourceTokens, S), of(role.SourceMask, S), of(role.Tokens, T), of(role.Labels, T)
			p := learn[source[0]-10]
			seen[source[0]] = true
			length := len(p.Source)
			if !slices.Equal(source[:length], p.Source) || slices.Contains(mask[:length], 0) || slices.Contains(mask[length:], 1) || slices.ContainsFunc(source[length:], func(x int64) bool { return x != pad }) {
				t.Fatalf("source %v, mask %v for %v", source, mask, p.Source)
			}
			length = len(p.Target)
			if !slices.Equal(labels[:length], p.Target) || slices.ContainsFunc(labels[length:], func(x int64) bool { return x != model.IgnoreIndex }) {
				t.Fatalf("labels %v for %v", labels, p.Target)
			}
			if tokens[0] != start || !slices.Equal(tokens[1:length], p.Target[:length-1]) {
				t.Fatalf("tokens %v for %v", tokens, p.Target)
			}
		}
	}
	if len(seen) != len(learn) || len(sizes) < 2 || len(sizes) > smallestBucket {
		t.Errorf("%d of %d pairs were drawn, in batches of the sizes %v", len(seen), len(learn), sizes)
	}
	d.draw(d.train, 4, stream, 7, &b)
	d.draw(d.train, 4, stream, 3, &again)
	d.draw(d.train, 4, stream, 7, &again)
	if !slices.Equal(b.int64s(role.SourceTokens), again.int64s(role.SourceTokens)) {
		t.Error("batch 7 depends on what was drawn before")
	}
	if d.SHA256() == "" {
		t.Error("no hash")
	}
	if _, err := NewPairs(learn, []PairIDs{{nil, learn[0].Target}}, start, pad, pad); err == nil {
		t.Error("an empty side is accepted")
	}
}
