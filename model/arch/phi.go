package arch

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Phi is the network of Phi-1, Phi-1.5 and Phi-2 (arXiv:2309.05463): attention and
// feed-forward network side by side behind one norm, rotary positions of a part of
// each head, and biases everywhere. Fields have transformers' names.
type Phi struct {
	Vocab      int     `json:"vocab_size"`              // V
	Context    int     `json:"max_position_embeddings"` // the longest sequence
	Width      int     `json:"hidden_size"`             // C
	Inner      int     `json:"intermediate_size"`       // F
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"` // H, of queries; divides C
	KVHeads    int     `json:"num_key_value_heads"` // G, which divides H
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
	Rope       Rope    `json:"rope_parameters"`
	NormQK     bool    `json:"qk_layernorm"`        // queries and keys are normalized, head by head
	Tied       bool    `json:"tie_word_embeddings"` // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (Phi) Architecture() string { return "phi" }

// Depth returns the number of layers.
func (n Phi) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Phi) Check() error {
	if err := (plainSizes{n.Vocab, n.Context, n.Width, n.Inner, n.Layers, n.Heads, n.Epsilon, commonNames}).check(); err != nil {
		return err
	}
	if n.KVHeads < 1 || n.Heads%n.KVHeads != 0 {
		return fmt.Errorf("num_key_value_heads %d does not divide num_attention_heads %d", n.KVHeads, n.Heads)
	}
	if err := n.Rope.checkRotary(n.Width / n.Heads); err != nil {
		return err
	}
	if err := n.Use.check(n.Vocab); err != nil {
		return err
	}
	return checkActivation("hidden_act", n.Activation)
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Phi) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	ids := b.Tokens(n.Context)
	table := b.Param("embed_tokens.weight", normal, n.Vocab, n.Width) // (V,C)
	x := b.Name("embeddings", b.Gather(table, ids))                   // (B,T,C)
	rotary := n.Rope.rotary(n.Width / n.Heads)
	for i := range n.Layers {
		x = n.block(b.Scope(fmt.Sprintf("layers.%d", i)), rotary, x) // (B,T,C)
	}
	x = b.LayerNorm("final_layernorm", x, n.Width, n.Epsilon)
	n.end(b, x, n.Width, "score", func() *graph.Value {
		if !n.Tied {
			table = b.Param("lm_head.weight", normal, n.Vocab, n.Width)
		}
		scores := b.MatMul(x, b.Transpose(table, 1, 0)) // (B,T,V)
		return b.Name("scores", b.Add(scores, b.Param("lm_head.bias", graph.Constant(0), n.Vocab)))
	})
}

func (n Phi) block(b *nn.Builder, rotary *nn.Rotary, x *graph.Value) *graph.Value {
	normal, width := graph.Normal(0.02), n.Width/n.Heads
	a, m := b.Scope("self_attn"), b.Scope("mlp")
	heads := nn.Attention{Heads: n.Heads, KVHeads: n.KVHeads, Width: width, Causal: true, Rotary: rotary}
	if n.NormQK {
		heads.QueryNorm = func(q *graph.Value) *graph.Value { return a.LayerNorm("q_layernorm", q, width, n.Epsilon) }
		heads.KeyNorm = func(k *graph.Value) *graph.Value { return a.LayerNorm("k_layernorm", k, width, n.Epsilon) }
	}
	y := b.LayerNorm("input_layernorm", x, n.Width, n.Epsilon)                          // (B,T,C)
	q := a.Dense("q_proj", y, n.Width, n.Width, true, normal)                           // (B,T,H·D)
	k := a.Dense("k_proj", y, n.Width, n.KVHeads*width, true, normal)                   // (B,T,G·D)
	v := a.Dense("v_proj", y, n.Width, n.KVHeads*width, true, normal)                   // (B,T,G·D)
	z := b.Attention("self_attn", heads, q, k, v)                                       // (B,T,H·D)
	z = a.Dense("dense", z, n.Width, n.Width, true, normal)                             // (B,T,C)
	y = activations[n.Activation](b, m.Dense("fc1", y, n.Width, n.Inner, true, normal)) // (B,T,F)
	y = m.Dense("fc2", y, n.Inner, n.Width, true, normal)                               // (B,T,C)
	return b.Name("residual", b.Add(x, b.Add(z, y)))
}

// phiOf returns Phi with the sizes of a preset.
func phiOf(s Sizes, vocab int) nn.Network {
	return Phi{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, KVHeads: s.keys(), Activation: "gelu_new",
		Epsilon: 1e-5, Rope: Rope{Type: "default", Theta: 10000, Partial: 0.5},
	}
}
