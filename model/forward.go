package model

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// The letters of open axes.
var (
	B = graph.Sym("B")
	T = graph.Sym("T")
	P = graph.Sym("P")
)

// IgnoreIndex is the label of a position that does not count in the loss:
// PyTorch's number.
const IgnoreIndex = -100

// Build returns the forward pass of the network: input_ids, int64 (B,T), to
// logits (B,T,V). Row t holds the scores of the token after token t.
func Build(c Config) (*graph.Graph, error) {
	b, logits, err := forward(c)
	if err != nil {
		return nil, err
	}
	b.Output("logits", logits)
	return b.Graph()
}

// BuildLoss returns the forward pass up to the training loss: input_ids and
// labels, int64 (B,T), to loss, a scalar: the mean of -log p(label) over the
// labels that are not IgnoreIndex.
func BuildLoss(c Config) (*graph.Graph, error) {
	b, logits, err := forward(c)
	if err != nil {
		return nil, err
	}
	labels := b.Input("labels", format.Int64, B, T)                // (B,T)
	scores := b.Name("scores", b.Transpose(logits, 0, 2, 1))       // (B,V,T): ONNX has classes on axis 1
	loss := b.SoftmaxCrossEntropyLoss(scores, labels, IgnoreIndex) // ()
	b.Output("loss", b.Name("loss", loss))
	return b.Graph()
}

func forward(c Config) (*graph.Builder, *graph.Value, error) {
	if err := c.Check(); err != nil {
		return nil, nil, err
	}
	b := graph.NewBuilder()
	return b, network(b, c, b.Input("input_ids", format.Int64, B, T), nil), nil
}

// network writes the architecture of c, which Check has passed, from ids (B,T)
// to logits (B,T,V), or (B,1,V) where the cache wants the last ones only.
// Without a cache every sequence is whole and begins at position 0.
func network(b *graph.Builder, c Config, ids *graph.Value, cache *cache) *graph.Value {
	if c.Arch == Simple {
		return simple(b, c, ids, cache)
	}
	return gpt2(b, c, ids, cache)
}

// gpt2 is GPT-2: pre-norm blocks, learned positions, tanh GELU, and a head
// that shares the token embedding. Names and layouts [in, out] are Hugging
// Face's, and so is the law of the first weights: normal(0.02), the two
// projections into the residual stream divided by √(2L).
func gpt2(b *graph.Builder, c Config, ids *graph.Value, cache *cache) *graph.Value {
	wte := b.Param("wte.weight", graph.Normal(0.02), c.Vocab, c.Width)   // (V,C)
	wpe := b.Param("wpe.weight", graph.Normal(0.02), c.Context, c.Width) // (context,C)

	x := b.Name("token_embeddings", b.Gather(wte, ids))          // (B,T,C)
	x = b.Name("embeddings", b.Add(x, positions(b, wpe, cache))) // (B,T,C)
	mask := causalMask(b, c, cache)                              // (T,T) or (B,1,T,P+T)
	for i := range c.Layers {
		x = block(b.Scope(fmt.Sprintf("h.%d", i)), c, x, mask, cache.layer(i)) // (B,T,C)
	}
	x = cache.last(b, x)                                         // (B,T,C) or (B,1,C)
	x = layerNorm(b, "ln_f", x, c)                               // (B,T,C)
	return b.Name("logits", b.MatMul(x, b.Transpose(wte, 1, 0))) // (B,T,V)
}

// block is one layer of GPT-2: attention, then a feed-forward network, each
// added to the residual stream.
func block(b *graph.Builder, c Config, x, mask *graph.Value, past *past) *graph.Value {
	residual := graph.Normal(0.02 / math.Sqrt(2*float64(c.Layers)))

	y := layerNorm(b, "ln_1", x, c)                                         // (B,T,C)
	y = linear(b, "attn.c_attn", y, c.Width, 3*c.Width, graph.Normal(0.02)) // (B,T,3C)
	qkv := b.Split(y, -1, c.Width, c.Width, c.Width)                        // 3 × (B,T,C)
	y = attention(b, c, qkv[0], qkv[1], qkv[2], mask, past)                 // (B,T,C)
	y = linear(b, "attn.c_proj", y, c.Width, c.Width, residual)             // (B,T,C)
	x = b.Name("attn.residual", b.Add(x, y))                                // (B,T,C)

	y = layerNorm(b, "ln_2", x, c)                                     // (B,T,C)
	y = linear(b, "mlp.c_fc", y, c.Width, c.Inner, graph.Normal(0.02)) // (B,T,F)
	y = b.Name("mlp.gelu", b.Gelu(y))                                  // (B,T,F)
	y = linear(b, "mlp.c_proj", y, c.Inner, c.Width, residual)         // (B,T,C)
	return b.Name("mlp.residual", b.Add(x, y))                         // (B,T,C)
}

// simple is self-attention as it is first taught: embeddings X to queries,
// keys and values with bias, scores by softmax, contextual embeddings
// H' = scores·V, a further layer H = H'Wo + bo, and a network of two layers to
// the logits.
func simple(b *graph.Builder, c Config, ids *graph.Value, cache *cache) *graph.Value {
	wte := b.Param("wte.weight", graph.Normal(0.02), c.Vocab, c.Width) // (V,C)
	x := b.Name("token_embeddings", b.Gather(wte, ids))                // (B,T,C)
	if c.Positions {
		wpe := b.Param("wpe.weight", graph.Normal(0.02), c.Context, c.Width) // (context,C)
		x = b.Name("embeddings", b.Add(x, positions(b, wpe, cache)))         // (B,T,C)
	}
	// Without residuals and norms a signal must keep its size from layer to
	// layer by itself: normal(1/√in).
	fanIn := func(in int) graph.Init { return graph.Normal(1 / math.Sqrt(float64(in))) }

	q := linear(b, "attn.q", x, c.Width, c.Width, fanIn(c.Width))                    // (B,T,C)
	k := linear(b, "attn.k", x, c.Width, c.Width, fanIn(c.Width))                    // (B,T,C)
	v := linear(b, "attn.v", x, c.Width, c.Width, fanIn(c.Width))                    // (B,T,C)
	y := attention(b, c, q, k, v, causalMask(b, c, cache), cache.layer(0))           // H' (B,T,C)
	y = cache.last(b, y)                                                             // H' (B,T,C) or (B,1,C)
	y = linear(b, "attn.o", y, c.Width, c.Width, fanIn(c.Width))                     // H  (B,T,C)
	y = b.Relu(linear(b, "mlp.1", y, c.Width, c.Inner, fanIn(c.Width)))              // Z1 (B,T,F)
	return b.Name("logits", linear(b, "mlp.2", y, c.Inner, c.Vocab, fanIn(c.Inner))) // Z2 (B,T,V)
}
