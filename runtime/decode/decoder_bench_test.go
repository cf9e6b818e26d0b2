package decode

import (
	"fmt"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// BenchmarkLoop is what a token costs outside of Run: two layers, one
// sequence, 256 tokens to choose from, on a device that computes nothing.
func BenchmarkLoop(b *testing.B) {
	tiny := network{layers: 2, heads: 2, width: 16, vocab: 256, context: 128}
	for _, cache := range []string{role.CacheConcat, role.CacheShared} {
		for _, visible := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/visible=%t", cache, visible), func(b *testing.B) {
				f := newFakeDevice(tiny, tiny.declare(cache, true, true, format.Float32), visible)
				f.silent, f.lazy = true, true
				d, err := New(f, Options{Batch: 1, Context: tiny.context})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for n := 0; n < b.N; n += 100 {
					o := GenerateOptions{MaxTokens: 100, Pick: picked(greedy)}
					if _, err := Generate(b.Context(), d, [][]int64{{1}}, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
