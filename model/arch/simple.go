package arch

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Simple is self-attention as textbooks introduce it: embeddings X to queries,
// keys and values with bias, scores by softmax, contextual embeddings H' =
// scores·V, a further layer H = H'Wo + bo, and a two-layer network to the
// logits.
type Simple struct {
	Vocab     int  `json:"vocab_size"`          // V
	Context   int  `json:"n_positions"`         // the longest sequence
	Width     int  `json:"n_embd"`              // C
	Heads     int  `json:"n_head"`              // H; divides C
	Inner     int  `json:"n_inner"`             // F
	Positions bool `json:"position_embeddings"` // adds learned positions to the embeddings
}

// Architecture returns "simple".
func (Simple) Architecture() string { return "simple" }

// Check returns the first invalid size.
func (c Simple) Check() error {
	err := checkSizes(
		size{"vocab_size", c.Vocab, maxSize}, size{"n_positions", c.Context, maxContext}, size{"n_embd", c.Width, maxSize},
		size{"n_head", c.Heads, maxSize}, size{"n_inner", c.Inner, maxSize})
	switch {
	case err != nil:
		return err
	case c.Vocab < 2:
		return errOneToken
	case c.Width%c.Heads != 0:
		return fmt.Errorf("n_head %d does not divide n_embd %d", c.Heads, c.Width)
	}
	return nil
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (c Simple) Forward(b *nn.Builder) {
	if err := c.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	ids := b.Tokens(c.Context)                                                                     // (B,T)
	x := b.Name("token_embeddings", b.Embedding("wte", ids, c.Vocab, c.Width, graph.Normal(0.02))) // (B,T,C)
	if c.Positions {
		p := b.Embedding("wpe", b.Positions(), c.Context, c.Width, graph.Normal(0.02)) // (T,C)
		x = b.Name("embeddings", b.Add(x, b.Name("positions", p)))                     // (B,T,C)
	}
	// Without residuals and norms the initial weights must keep the size of
	// the signal from layer to layer: normal(1/√in).
	fanIn := func(in int) graph.Init { return graph.Normal(1 / math.Sqrt(float64(in))) }

	q := b.Linear("attn.q", x, c.Width, c.Width, fanIn(c.Width)) // (B,T,C)
	k := b.Linear("attn.k", x, c.Width, c.Width, fanIn(c.Width)) // (B,T,C)
	v := b.Linear("attn.v", x, c.Width, c.Width, fanIn(c.Width)) // (B,T,C)
	heads := nn.Attention{Heads: c.Heads, Width: c.Width / c.Heads, Causal: true}
	y := b.Attention("attn", heads, q, k, v)                           // H' (B,T,C)
	y = b.Linear("attn.o", y, c.Width, c.Width, fanIn(c.Width))        // H  (B,T,C)
	y = b.Relu(b.Linear("mlp.1", y, c.Width, c.Inner, fanIn(c.Width))) // Z1 (B,T,F)
	y = b.Linear("mlp.2", y, c.Inner, c.Vocab, fanIn(c.Inner))         // Z2 (B,T,V)
	b.Logits(b.Name("logits", y))
}

// simpleOf returns a network of one layer with heads, width and context of a
// preset.
func simpleOf(s Sizes, vocab int) nn.Network {
	return Simple{Vocab: vocab, Context: s.Context, Width: s.Width, Heads: s.Heads, Inner: s.inner(), Positions: true}
}

// parseSimple reads the configuration in a checkpoint.
func parseSimple(text []byte) (nn.Network, error) {
	var c Simple
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	return c, c.Check()
}
