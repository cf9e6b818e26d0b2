package attnx

import (
	"slices"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

type windowed struct{ Window int }

func (windowed) Architecture() string { return "windowed" }

func (w windowed) Forward(b *nn.Builder) {
	x := b.Embedding("wte", b.Tokens(16), 11, 8, graph.Normal(1))
	heads := nn.Attention{Heads: 2, Width: 4, Causal: true, Window: w.Window}
	b.Logits(b.Attention("attn", heads, x, x, x))
}

// A window counts the columns of a past, so that a text with holes between its
// columns is another text to it.
func TestWindowIsNotVerifiedWithHoles(t *testing.T) {
	for _, window := range []int{0, 3} {
		c, err := model.Of(windowed{window})
		if err != nil {
			t.Fatal(err)
		}
		if holes := slices.Contains(cacheShape(c, nil).Ways(), runtime.Holes); holes != (window == 0) {
			t.Errorf("a window of %d: run with holes in the mask: %t", window, holes)
		}
	}
}
