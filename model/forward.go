package model

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// The named dimensions of a network: B sequences of T tokens, P before them.
var (
	B = graph.Sym("B")
	T = graph.Sym("T")
)

// Build returns the forward pass of the network: tokens, int64 (B,T), to
// logits (B,T,V). Row t holds the scores of the token after token t.
func Build(c Config) (*graph.Graph, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	b := graph.NewBuilder()
	b.Context(c.Context)
	ids := b.InputFor(role.Of(role.Tokens), format.Int64, B, T)
	b.OutputFor(role.Of(role.Logits), network(b, c, ids))
	return b.Graph()
}

// network writes the architecture of c, which Check has passed, from ids (B,T)
// to logits (B,T,V).
func network(b *graph.Builder, c Config, ids *graph.Value) *graph.Value {
	if c.Arch == Simple {
		return simple(b, c, ids)
	}
	return gpt2(b, c, ids)
}

// gpt2 is GPT-2: pre-norm blocks, learned positions, tanh GELU, and a head
// that shares the token embedding. Names and layouts [in, out] are Hugging
// Face's, and so is the distribution of the first weights: normal(0.02), the two
// projections into the residual stream divided by √(2L).
func gpt2(b *graph.Builder, c Config, ids *graph.Value) *graph.Value {
	wte := b.Param("wte.weight", graph.Normal(0.02), c.Vocab, c.Width)   // (V,C)
	wpe := b.Param("wpe.weight", graph.Normal(0.02), c.Context, c.Width) // (context,C)

	x := b.Name("token_embeddings", b.Gather(wte, ids))        // (B,T,C)
	x = b.Name("embeddings", b.Add(x, positions(b, wpe, ids))) // (B,T,C)
	for i := range c.Layers {
		x = block(b.Scope(fmt.Sprintf("h.%d", i)), c, x) // (B,T,C)
	}
	x = layerNorm(b, "ln_f", x, c)                               // (B,T,C)
	return b.Name("logits", b.MatMul(x, b.Transpose(wte, 1, 0))) // (B,T,V)
}

// block is one layer of GPT-2: attention, then a feed-forward network, each
// added to the residual stream.
func block(b *graph.Builder, c Config, x *graph.Value) *graph.Value {
	residual := graph.Normal(0.02 / math.Sqrt(2*float64(c.Layers)))

	y := layerNorm(b, "ln_1", x, c)                                         // (B,T,C)
	y = linear(b, "attn.c_attn", y, c.Width, 3*c.Width, graph.Normal(0.02)) // (B,T,3C)
	qkv := b.Split(y, -1, c.Width, c.Width, c.Width)                        // 3 × (B,T,C)
	y = attention(b, c, qkv[0], qkv[1], qkv[2])                             // (B,T,C)
	y = linear(b, "attn.c_proj", y, c.Width, c.Width, residual)             // (B,T,C)
	x = b.Name("attn.residual", b.Add(x, y))                                // (B,T,C)

	y = layerNorm(b, "ln_2", x, c)                                     // (B,T,C)
	y = linear(b, "mlp.c_fc", y, c.Width, c.Inner, graph.Normal(0.02)) // (B,T,F)
	y = b.Name("mlp.gelu", b.GeluTanh(y))                              // (B,T,F)
	y = linear(b, "mlp.c_proj", y, c.Inner, c.Width, residual)         // (B,T,C)
	return b.Name("mlp.residual", b.Add(x, y))                         // (B,T,C)
}

// simple is self-attention as it is first taught: embeddings X to queries,
// keys and values with bias, scores by softmax, contextual embeddings
// H' = scores·V, a further layer H = H'Wo + bo, and a network of two layers to
// the logits.
func simple(b *graph.Builder, c Config, ids *graph.Value) *graph.Value {
	wte := b.Param("wte.weight", graph.Normal(0.02), c.Vocab, c.Width) // (V,C)
	x := b.Name("token_embeddings", b.Gather(wte, ids))                // (B,T,C)
	if c.Positions {
		wpe := b.Param("wpe.weight", graph.Normal(0.02), c.Context, c.Width) // (context,C)
		x = b.Name("embeddings", b.Add(x, positions(b, wpe, ids)))           // (B,T,C)
	}
	// Without residuals and norms a signal must keep its size from layer to
	// layer by itself: normal(1/√in).
	fanIn := func(in int) graph.Init { return graph.Normal(1 / math.Sqrt(float64(in))) }

	q := linear(b, "attn.q", x, c.Width, c.Width, fanIn(c.Width))                    // (B,T,C)
	k := linear(b, "attn.k", x, c.Width, c.Width, fanIn(c.Width))                    // (B,T,C)
	v := linear(b, "attn.v", x, c.Width, c.Width, fanIn(c.Width))                    // (B,T,C)
	y := attention(b, c, q, k, v)                                                    // H' (B,T,C)
	y = linear(b, "attn.o", y, c.Width, c.Width, fanIn(c.Width))                     // H  (B,T,C)
	y = b.Relu(linear(b, "mlp.1", y, c.Width, c.Inner, fanIn(c.Width)))              // Z1 (B,T,F)
	return b.Name("logits", linear(b, "mlp.2", y, c.Inner, c.Vocab, fanIn(c.Inner))) // Z2 (B,T,V)
}
