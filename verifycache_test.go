package attnx

import (
	"slices"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
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

// A network that structure proves computes a long text each way once, at one of the levels, and a
// short one each way at each level. Without the proof both do.
func TestLongTextsGoEachWayOnce(t *testing.T) {
	c, err := model.New(arch.GPT2{Vocab: 5, Context: longText, Layers: 1, Heads: 1, Width: 4, Inner: 4, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	all := entrants()
	e := all[slices.IndexFunc(all, func(e entrant) bool { return e.String() == "ort-cpu-cache" })]
	for _, prove := range []bool{true, false} {
		v, err := newVerification(c, nil, VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if prove {
			v.proveExports([]entrant{e})
		}
		levels := v.cachedCandidates(e, false)
		if len(levels) != 3 || v.proved() != prove {
			t.Fatalf("%d levels, proved: %t", len(levels), v.proved())
		}
		for _, length := range []int{longText - 1, longText} {
			want := len(levels)
			if prove && length == longText {
				want = 1
			}
			runs := map[string]int{}
			for _, l := range levels {
				for _, f := range l.Forms {
					if f.Cases == nil && (f.Runs == nil || f.Runs(runtime.Case{Batch: 1, Length: length})) {
						runs[f.Name]++
					}
				}
			}
			for _, way := range cacheShape(c, nil).Ways() {
				if runs[string(way)] != want {
					t.Errorf("proved: %t; a text of %d tokens goes %q %d times, want %d", prove, length, way, runs[string(way)], want)
				}
			}
		}
	}
}
