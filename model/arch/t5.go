package arch

import (
	"fmt"
	"math"
	"strings"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// T5 is an encoder and a decoder with one bias of the scores for each distance
// between two tokens instead of positions (Raffel and others, 2020,
// arXiv:1910.10683). Norms are root mean squares, no layer has a bias, and scores are
// not divided by √D. T5 v1.1 and its descendants have a gated feed-forward network and
// a head of their own, and do not scale the states before it. Weights have
// transformers' names and its layout [out, in].
type T5 struct {
	Vocab         int     `json:"vocab_size"`                      // V
	Width         int     `json:"d_model"`                         // C
	HeadWidth     int     `json:"d_kv"`                            // D
	Inner         int     `json:"d_ff"`                            // F
	Layers        int     `json:"num_layers"`                      // of the encoder
	DecoderLayers int     `json:"num_decoder_layers"`              // of the decoder
	Heads         int     `json:"num_heads"`                       // H; H·D may be another width than C
	Buckets       int     `json:"relative_attention_num_buckets"`  // of distances
	MaxDistance   int     `json:"relative_attention_max_distance"` // from which on the last bucket has all
	Epsilon       float64 `json:"layer_norm_epsilon"`
	FeedForward   string  `json:"feed_forward_proj"`     // an activation, or "gated-" and one; "gated-gelu" has gelu_new
	Scaled        bool    `json:"scale_decoder_outputs"` // the states are divided by √C before the head
	Untied        bool    `json:"untied_head,omitempty"` // the head lm_head.weight is a matrix of its own, (V,C)
}

// Architecture returns Hugging Face's model_type.
func (T5) Architecture() string { return "t5" }

// Depth returns the number of layers.
func (n T5) Depth() int { return n.Layers + n.DecoderLayers }

// WithUntied returns the network with a head of its own, or without.
func (n T5) WithUntied(untied bool) nn.Network {
	n.Untied = untied
	return n
}

// Check returns the first invalid size.
func (n T5) Check() error {
	err := checkSizes(
		size{"vocab_size", n.Vocab, maxSize}, size{"d_model", n.Width, maxSize}, size{"d_kv", n.HeadWidth, maxSize}, size{"d_ff", n.Inner, maxSize},
		size{"num_layers", n.Layers, maxLayers}, size{"num_decoder_layers", n.DecoderLayers, maxLayers}, size{"num_heads", n.Heads, maxSize},
		size{"relative_attention_num_buckets", n.Buckets, maxSize}, size{"relative_attention_max_distance", n.MaxDistance, graph.MaxRelativeDistance})
	_, activation := n.activation()
	switch {
	case err != nil:
		return err
	case n.Vocab < 2:
		return errOneToken
	case n.Heads*n.HeadWidth > maxSize:
		return fmt.Errorf("d_kv %d times num_heads %d is more than %d", n.HeadWidth, n.Heads, maxSize)
	case n.Buckets < 4:
		return fmt.Errorf("relative_attention_num_buckets is %d, must be at least 4: two for each side", n.Buckets)
	case n.MaxDistance <= n.Buckets/2:
		return fmt.Errorf("relative_attention_max_distance is %d, must be more than half of relative_attention_num_buckets %d", n.MaxDistance, n.Buckets)
	case !(n.Epsilon > 0 && n.Epsilon < 1):
		return fmt.Errorf("layer_norm_epsilon is %g, must be between 0 and 1", n.Epsilon)
	}
	return checkActivation("feed_forward_proj", activation)
}

// activation returns the function of the feed-forward network, and whether a second
// projection gates it.
func (n T5) activation() (gated bool, name string) {
	name, gated = strings.CutPrefix(n.FeedForward, "gated-")
	if gated && name == "gelu" {
		name = "gelu_new"
	}
	return gated, name
}

// Forward writes the network: a source (B,S) and a target (B,T) to logits (B,T,V).
func (n T5) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	source, shown := b.Source(), b.SourceMask()
	ids := b.Tokens(0) // a text may have any length
	table := b.Param("shared.weight", graph.Normal(1), n.Vocab, n.Width)

	e := b.Scope("encoder")
	x := e.Name("embeddings", b.Gather(table, source)) // (B,S,C)
	bias := n.bias(e, nn.S, true)                      // (1,H,S,S)
	hidden := b.Where(shown, bias, b.Scalar(graph.MaskedScore))
	for i := range n.Layers {
		layer := e.Scope(fmt.Sprintf("block.%d.layer", i))
		x = n.attention(layer.Scope("0"), "SelfAttention", nn.Attention{Mask: hidden}, x, nil)
		x = n.feedForward(layer.Scope("1"), x)
	}
	states := e.Name("states", e.RMSNorm("final_layer_norm", x, n.Width, n.Epsilon)) // (B,S,C)
	b.SourceStates(states)

	d := b.Scope("decoder")
	x = d.Name("embeddings", b.Gather(table, ids)) // (B,T,C)
	bias = n.bias(d, nn.T, false)                  // (1,H,T,T)
	for i := range n.DecoderLayers {
		layer := d.Scope(fmt.Sprintf("block.%d.layer", i))
		x = n.attention(layer.Scope("0"), "SelfAttention", nn.Attention{Mask: bias, Causal: true}, x, nil)
		x = n.attention(layer.Scope("1"), "EncDecAttention", nn.Attention{Mask: shown}, x, states)
		x = n.feedForward(layer.Scope("2"), x)
	}
	x = d.RMSNorm("final_layer_norm", x, n.Width, n.Epsilon)
	if n.Scaled {
		x = d.Name("scaled", b.Mul(x, b.Scalar(1/math.Sqrt(float64(n.Width)))))
	}
	if n.Untied {
		table = b.Param("lm_head.weight", graph.Normal(1), n.Vocab, n.Width)
	}
	b.Logits(headed(b, x, table))
}

// bias returns the bias of the scores in all layers of a stack over texts of the
// given length. Its table is the first layer's.
func (n T5) bias(stack *nn.Builder, length graph.Dim, both bool) *graph.Value {
	init := graph.Normal(1 / math.Sqrt(float64(n.Width)))
	table := stack.Param("block.0.layer.0.SelfAttention.relative_attention_bias.weight", init, n.Buckets, n.Heads)
	return stack.Name("bias", stack.RelativePositionBias(graph.RelativePositionBias{Queries: length, Keys: length, MaxDistance: n.MaxDistance, Bidirectional: both}, table))
}

// attention is a layer whose queries come from x (B,T,C), and keys and values from
// states, or from x too if states is nil.
func (n T5) attention(layer *nn.Builder, name string, heads nn.Attention, x, states *graph.Value) *graph.Value {
	width, all := float64(n.Width), n.Heads*n.HeadWidth
	heads.Heads, heads.Width, heads.Scale = n.Heads, n.HeadWidth, 1
	y := layer.RMSNorm("layer_norm", x, n.Width, n.Epsilon)
	if states == nil {
		states = y
	}
	a := layer.Scope(name)
	q := a.Dense("q", y, n.Width, all, false, graph.Normal(1/math.Sqrt(width*float64(n.HeadWidth)))) // (B,T,H·D)
	k := a.Dense("k", states, n.Width, all, false, graph.Normal(1/math.Sqrt(width)))                 // (B,S,H·D)
	v := a.Dense("v", states, n.Width, all, false, graph.Normal(1/math.Sqrt(width)))                 // (B,S,H·D)
	y = layer.Attention(name, heads, q, k, v)                                                        // (B,T,H·D)
	y = a.Dense("o", y, all, n.Width, false, graph.Normal(1/math.Sqrt(float64(all))))                // (B,T,C)
	return layer.Name("residual", layer.Add(x, y))
}

// feedForward is the last layer of a block.
func (n T5) feedForward(layer *nn.Builder, x *graph.Value) *graph.Value {
	in, out := graph.Normal(1/math.Sqrt(float64(n.Width))), graph.Normal(1/math.Sqrt(float64(n.Inner)))
	gated, name := n.activation()
	f := layer.Scope("DenseReluDense")
	y := layer.RMSNorm("layer_norm", x, n.Width, n.Epsilon)
	if gated {
		y = f.Name("gated", f.Mul(activations[name](f, f.Dense("wi_0", y, n.Width, n.Inner, false, in)), f.Dense("wi_1", y, n.Width, n.Inner, false, in)))
	} else {
		y = activations[name](f, f.Dense("wi", y, n.Width, n.Inner, false, in)) // (B,T,F)
	}
	return layer.Name("residual", layer.Add(x, f.Dense("wo", y, n.Inner, n.Width, false, out)))
}

// t5Of returns T5 with the sizes of a preset, and the distances of T5's own models.
func t5Of(s Sizes, vocab int) nn.Network {
	return T5{
		Vocab: vocab, Width: s.Width, HeadWidth: s.Width / s.Heads, Inner: s.inner(), Layers: s.Layers, DecoderLayers: s.Layers, Heads: s.Heads,
		Buckets: 32, MaxDistance: 128, Epsilon: 1e-6, FeedForward: "relu", Scaled: true,
	}
}
