package arch

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Marian is the network of Vaswani and others (2017, arXiv:1706.03762) as Marian NMT
// trains it for translation: an encoder and a decoder with sinusoidal positions, and
// norms after each addition to the residual stream. Weights have transformers' names,
// without the prefix "model.", and its layout [out, in]. Training changes the bias of
// the logits, as Marian NMT does, and the embedding of the token that begins a target;
// transformers keeps the first, and through padding_idx the second where it is padding.
type Marian struct {
	Vocab         int    `json:"vocab_size"`              // of the source
	TargetVocab   int    `json:"decoder_vocab_size"`      // of the target
	Context       int    `json:"max_position_embeddings"` // the longest source, and the longest target
	Width         int    `json:"d_model"`                 // C
	Layers        int    `json:"encoder_layers"`
	Inner         int    `json:"encoder_ffn_dim"`
	Heads         int    `json:"encoder_attention_heads"`
	DecoderLayers int    `json:"decoder_layers"`
	DecoderInner  int    `json:"decoder_ffn_dim"`
	DecoderHeads  int    `json:"decoder_attention_heads"`
	Activation    string `json:"activation_function"`
	Scaled        bool   `json:"scale_embedding"`                  // token embeddings are multiplied by √C
	Shared        bool   `json:"share_encoder_decoder_embeddings"` // one table for source and target
	Tied          bool   `json:"tie_word_embeddings"`              // the head is the target's table
}

// marianEpsilon is PyTorch's default: no configuration sets another.
const marianEpsilon = 1e-5

// maxPlaces is the most numbers of the table of positions, which is part of the
// graph.
const maxPlaces = 1 << 24

// Architecture returns Hugging Face's model_type.
func (Marian) Architecture() string { return "marian" }

// Depth returns the number of layers.
func (n Marian) Depth() int { return n.Layers + n.DecoderLayers }

// WithSource returns the network with a vocabulary for sources of its own, of the given size.
func (n Marian) WithSource(vocab int) nn.Network {
	n.Vocab, n.Shared = vocab, false
	return n
}

// Check returns the first invalid size.
func (n Marian) Check() error {
	err := checkSizes(
		size{"vocab_size", n.Vocab, maxSize}, size{"decoder_vocab_size", n.TargetVocab, maxSize}, size{"max_position_embeddings", n.Context, maxContext},
		size{"d_model", n.Width, maxSize}, size{"encoder_layers", n.Layers, maxLayers}, size{"encoder_ffn_dim", n.Inner, maxSize}, size{"encoder_attention_heads", n.Heads, maxSize},
		size{"decoder_layers", n.DecoderLayers, maxLayers}, size{"decoder_ffn_dim", n.DecoderInner, maxSize}, size{"decoder_attention_heads", n.DecoderHeads, maxSize})
	switch {
	case err != nil:
		return err
	case n.TargetVocab < 2:
		return errOneToken
	case n.Shared && n.Vocab != n.TargetVocab:
		return fmt.Errorf("decoder_vocab_size is %d and vocab_size %d, but share_encoder_decoder_embeddings makes their tables one", n.TargetVocab, n.Vocab)
	case n.Width%n.Heads != 0:
		return fmt.Errorf("encoder_attention_heads %d does not divide d_model %d", n.Heads, n.Width)
	case n.Width%n.DecoderHeads != 0:
		return fmt.Errorf("decoder_attention_heads %d does not divide d_model %d", n.DecoderHeads, n.Width)
	case n.Context > maxPlaces/n.Width:
		return fmt.Errorf("max_position_embeddings %d times d_model %d is more than %d", n.Context, n.Width, maxPlaces)
	}
	return checkActivation("activation_function", n.Activation)
}

// Forward writes the network: a source (B,S) and a target (B,T) to logits (B,T,V).
func (n Marian) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	source, shown := b.Source(), b.SourceMask()
	ids := b.Tokens(n.Context)
	var table, targets *graph.Value
	if n.Shared {
		table = b.Param("shared.weight", normal, n.Vocab, n.Width)
		targets = table
	} else {
		table = b.Param("encoder.embed_tokens.weight", normal, n.Vocab, n.Width)
		targets = b.Param("decoder.embed_tokens.weight", normal, n.TargetVocab, n.Width)
	}
	places := b.Name("places", b.Sinusoids(n.Context, n.Width))

	e := b.Scope("encoder")
	x := n.embedded(e, table, places, source) // (B,S,C)
	for i := range n.Layers {
		layer := e.Scope(fmt.Sprintf("layers.%d", i))
		x = n.attention(layer, "self_attn", nn.Attention{Heads: n.Heads, Mask: shown}, x, x)
		x = n.feedForward(layer, x, n.Inner)
	}
	states := e.Name("states", x)
	b.SourceStates(states)

	d := b.Scope("decoder")
	x = n.embedded(d, targets, places, ids) // (B,T,C)
	for i := range n.DecoderLayers {
		layer := d.Scope(fmt.Sprintf("layers.%d", i))
		x = n.attention(layer, "self_attn", nn.Attention{Heads: n.DecoderHeads, Causal: true}, x, x)
		x = n.attention(layer, "encoder_attn", nn.Attention{Heads: n.DecoderHeads, Mask: shown}, x, states)
		x = n.feedForward(layer, x, n.DecoderInner)
	}
	if !n.Tied {
		targets = b.Param("lm_head.weight", normal, n.TargetVocab, n.Width)
	}
	scores := b.MatMul(x, b.Transpose(targets, 1, 0))
	b.Logits(b.Name("scores", b.Add(scores, b.Param("final_logits_bias", graph.Constant(0), 1, n.TargetVocab))))
}

// embedded returns the embeddings of tokens and of their positions, (B,T,C).
func (n Marian) embedded(stack *nn.Builder, table, places, ids *graph.Value) *graph.Value {
	x := stack.Gather(table, ids)
	if n.Scaled {
		x = stack.Mul(x, stack.Scalar(math.Sqrt(float64(n.Width))))
	}
	at := stack.Name("positions", stack.Gather(places, stack.Builder.Positions(ids)))
	return stack.Name("embeddings", stack.Add(x, at))
}

// attention adds what queries from x (B,T,C) find in states (B,S,C).
func (n Marian) attention(layer *nn.Builder, name string, heads nn.Attention, x, states *graph.Value) *graph.Value {
	heads.Width = n.Width / heads.Heads
	normal := graph.Normal(0.02)
	a := layer.Scope(name)
	q := a.Dense("q_proj", x, n.Width, n.Width, true, normal)      // (B,T,C)
	k := a.Dense("k_proj", states, n.Width, n.Width, true, normal) // (B,S,C)
	v := a.Dense("v_proj", states, n.Width, n.Width, true, normal) // (B,S,C)
	y := layer.Attention(name, heads, q, k, v)                     // (B,T,C)
	y = a.Dense("out_proj", y, n.Width, n.Width, true, normal)     // (B,T,C)
	return layer.LayerNorm(name+"_layer_norm", layer.Name(name+".residual", layer.Add(x, y)), n.Width, marianEpsilon)
}

// feedForward is the last part of a layer.
func (n Marian) feedForward(layer *nn.Builder, x *graph.Value, inner int) *graph.Value {
	normal := graph.Normal(0.02)
	y := activations[n.Activation](layer, layer.Dense("fc1", x, n.Width, inner, true, normal)) // (B,T,F)
	y = layer.Dense("fc2", y, inner, n.Width, true, normal)                                    // (B,T,C)
	return layer.LayerNorm("final_layer_norm", layer.Name("fc2.residual", layer.Add(x, y)), n.Width, marianEpsilon)
}

// marianOf returns Marian with the sizes of a preset, and one vocabulary for both
// languages.
func marianOf(s Sizes, vocab int) nn.Network {
	return Marian{
		Vocab: vocab, TargetVocab: vocab, Context: s.Context, Width: s.Width, Layers: s.Layers, Inner: s.inner(), Heads: s.Heads,
		DecoderLayers: s.Layers, DecoderInner: s.inner(), DecoderHeads: s.Heads, Activation: "swish", Scaled: true, Shared: true, Tied: true,
	}
}
