package arch

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// OPT is OPT (arXiv:2205.01068): learned positions behind two rows that are no
// token's. Fields have transformers' names.
type OPT struct {
	Vocab       int    `json:"vocab_size"`              // V
	Context     int    `json:"max_position_embeddings"` // the longest sequence
	Width       int    `json:"hidden_size"`             // C
	Embedding   int    `json:"word_embed_proj_dim"`     // E, of the token embedding; projected where it is not C
	Inner       int    `json:"ffn_dim"`                 // F
	Layers      int    `json:"num_hidden_layers"`
	Heads       int    `json:"num_attention_heads"` // H, which divides C
	Activation  string `json:"activation_function"`
	NormBefore  bool   `json:"do_layer_norm_before"` // otherwise behind attention and feed-forward network, as OPT-350M
	NoFinalNorm bool   `json:"_remove_final_layer_norm"`
	Bias        bool   `json:"enable_bias"`
	Tied        bool   `json:"tie_word_embeddings"` // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (OPT) Architecture() string { return "opt" }

// Depth returns the number of layers.
func (n OPT) Depth() int { return n.Layers }

// optEpsilon is added to the variance, and optRows come before the position 0.
const (
	optEpsilon = 1e-5
	optRows    = 2
)

// Check returns the first invalid setting.
func (n OPT) Check() error {
	names := commonNames
	names.inner = "ffn_dim"
	if err := (plainSizes{n.Vocab, n.Context, n.Width, n.Inner, n.Layers, n.Heads, optEpsilon, names}).check(); err != nil {
		return err
	}
	if err := checkSizes(size{"word_embed_proj_dim", n.Embedding, maxSize}); err != nil {
		return err
	}
	if err := n.Use.check(n.Vocab); err != nil {
		return err
	}
	return checkActivation("activation_function", n.Activation)
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n OPT) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	ids := b.Tokens(n.Context)
	table := b.Param("embed_tokens.weight", normal, n.Vocab, n.Embedding) // (V,E)
	places := b.Param("embed_positions.weight", normal, n.Context+optRows, n.Width)
	x := b.Gather(table, ids) // (B,T,E)
	if n.Embedding != n.Width {
		x = b.Dense("project_in", x, n.Embedding, n.Width, false, normal) // (B,T,C)
	}
	at := b.Gather(places, b.Add(b.Positions(), b.Integer(optRows))) // (T,C)
	x = b.Name("embeddings", b.Add(x, b.Name("positions", at)))      // (B,T,C)
	for i := range n.Layers {
		x = n.block(b.Scope(fmt.Sprintf("layers.%d", i)), x) // (B,T,C)
	}
	if n.NormBefore && !n.NoFinalNorm {
		x = b.LayerNorm("final_layer_norm", x, n.Width, optEpsilon)
	}
	if n.Embedding != n.Width {
		x = b.Dense("project_out", x, n.Width, n.Embedding, false, normal) // (B,T,E)
	}
	n.end(b, x, n.Embedding, "score", func() *graph.Value {
		if !n.Tied {
			table = b.Param("lm_head.weight", normal, n.Vocab, n.Embedding)
		}
		return headed(b, x, table)
	})
}

func (n OPT) block(b *nn.Builder, x *graph.Value) *graph.Value {
	normal := graph.Normal(0.02)
	norm := func(name string, x *graph.Value, here bool) *graph.Value {
		if !here {
			return x
		}
		return b.LayerNorm(name, x, n.Width, optEpsilon)
	}
	a := b.Scope("self_attn")
	y := norm("self_attn_layer_norm", x, n.NormBefore)
	q := a.Dense("q_proj", y, n.Width, n.Width, n.Bias, normal) // (B,T,C)
	k := a.Dense("k_proj", y, n.Width, n.Width, n.Bias, normal) // (B,T,C)
	v := a.Dense("v_proj", y, n.Width, n.Width, n.Bias, normal) // (B,T,C)
	y = b.Attention("self_attn", nn.Attention{Heads: n.Heads, Width: n.Width / n.Heads, Causal: true}, q, k, v)
	y = b.Name("self_attn.residual", b.Add(x, a.Dense("out_proj", y, n.Width, n.Width, n.Bias, normal)))
	x = norm("self_attn_layer_norm", y, !n.NormBefore)
	y = norm("final_layer_norm", x, n.NormBefore)
	y = activations[n.Activation](b, b.Dense("fc1", y, n.Width, n.Inner, n.Bias, normal)) // (B,T,F)
	y = b.Name("fc2.residual", b.Add(x, b.Dense("fc2", y, n.Inner, n.Width, n.Bias, normal)))
	return norm("final_layer_norm", y, !n.NormBefore)
}

// optOf returns OPT with the sizes of a preset.
func optOf(s Sizes, vocab int) nn.Network {
	return OPT{
		Vocab: vocab, Context: s.Context, Width: s.Width, Embedding: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, Activation: "relu",
		NormBefore: true, Bias: true, Tied: true,
	}
}
