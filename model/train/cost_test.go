package train_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// attending is a network with attentions of one kind.
type attending struct {
	layers, heads, groups, width int // groups 0: each head has keys of its own
	causal                       bool
	source                       bool // keys and values are of a second text
	features                     int  // rows of 8 numbers instead of tokens; 0: tokens
}

func (attending) Architecture() string { return "test/attending" }

func (n attending) Forward(b *nn.Builder) {
	const vocab = 5
	init, wide := graph.Normal(1), n.heads*n.width
	groups := n.groups
	if groups == 0 {
		groups = n.heads
	}
	var x *graph.Value // (B,T,C)
	if n.features > 0 {
		x = b.Project("in", b.Features(n.features, 8), 8, wide, init)
	} else {
		x = b.Embedding("tokens", b.Tokens(64), vocab, wide, init)
	}
	keys := x
	if n.source {
		keys = b.Embedding("source", b.InputFor(role.Of(role.SourceTokens), format.Int64, nn.B, graph.Sym("S")), vocab, wide, init)
	}
	for i := range n.layers {
		b := b.Scope(string(rune('a' + i)))
		a := nn.Attention{Heads: n.heads, KVHeads: groups, Width: n.width, Causal: n.causal}
		x = b.Attention("attention", a, b.Project("q", x, wide, wide, init), b.Project("k", keys, wide, groups*n.width, init), b.Project("v", keys, wide, groups*n.width, init))
	}
	if n.features > 0 {
		b.Prediction(x)
		return
	}
	b.Logits(b.Project("head", x, wide, vocab, init))
}

// The operations of a token are 6N + 12·L·H·Q·T, as PaLM's paper counts them
// (arXiv:2204.02311, appendix B), whatever an attention sees: the heads and widths
// are those of the attentions, not those of the embedding or of the keys, and T is
// the number of keys.
func TestTokenFLOP(t *testing.T) {
	const tokens, source = 6, 10
	ids := func(name string, size int) format.Tensor {
		return format.FromInt64s(name, []int{20, size}, make([]int64, 20*size))
	}
	text := train.Batch{role.Tokens: ids("", tokens), role.Labels: ids("", tokens)}
	two := train.Batch{role.Tokens: ids("", tokens), role.SourceTokens: ids("", source), role.Labels: ids("", tokens)}
	for name, c := range map[string]struct {
		network attending
		data    train.Batch
		want    float64 // of attention
	}{
		"causal":        {attending{layers: 3, heads: 2, width: 4, causal: true}, text, 12 * 3 * 2 * 4 * tokens},
		"both sides":    {attending{layers: 3, heads: 2, width: 4}, text, 12 * 3 * 2 * 4 * tokens},
		"grouped":       {attending{layers: 2, heads: 4, groups: 2, width: 3}, text, 12 * 2 * 4 * 3 * tokens},
		"a second text": {attending{layers: 2, heads: 2, width: 4, source: true}, two, 12 * 2 * 2 * 4 * source},
		"no tokens":     {attending{layers: 2, heads: 2, width: 4, features: 7}, train.Batch{role.Features: format.FromFloat32s("", []int{20, 7, 8}, make([]float32, 20*7*8)), role.Labels: format.FromFloat32s("", []int{20, 7, 8}, make([]float32, 20*7*8))}, 7 * 12 * 2 * 2 * 4 * 7},
		"no attention":  {attending{heads: 2, width: 4}, text, 0},
	} {
		m, err := model.New(c.network, 1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := train.NewExamples(c.data)
		if err != nil {
			t.Fatal(err)
		}
		n, err := m.Parameters()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := train.TokenFLOP(m, data); got != 6*float64(n)+c.want || err != nil {
			t.Errorf("%s: %g, %v, want %g + %g", name, got, err, 6*float64(n), c.want)
		}
	}
	m, err := model.New(attending{layers: 1, heads: 2, width: 4, source: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := train.NewExamples(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := train.TokenFLOP(m, data); err == nil {
		t.Errorf("data without the second text: %g", got)
	}
}
