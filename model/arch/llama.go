package arch

import "github.com/attnx/attnx/model/nn"

// Llama is the network of Llama 1 to 3 (arXiv:2302.13971, arXiv:2407.21783), and
// of others that have its configuration, such as SmolLM2 and TinyLlama. Fields
// have transformers' names.
type Llama struct {
	Vocab         int     `json:"vocab_size"`              // V
	Context       int     `json:"max_position_embeddings"` // the longest sequence
	Width         int     `json:"hidden_size"`             // C
	Inner         int     `json:"intermediate_size"`       // F
	Layers        int     `json:"num_hidden_layers"`
	Heads         int     `json:"num_attention_heads"` // H, of queries
	KVHeads       int     `json:"num_key_value_heads"` // G, which divides H
	HeadWidth     int     `json:"head_dim"`            // D
	Activation    string  `json:"hidden_act"`
	Epsilon       float64 `json:"rms_norm_eps"`
	Rope          Rope    `json:"rope_parameters"`
	AttentionBias bool    `json:"attention_bias"` // of the projections to and from the heads
	MLPBias       bool    `json:"mlp_bias"`
	Tied          bool    `json:"tie_word_embeddings"` // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (Llama) Architecture() string { return "llama" }

// Depth returns the number of layers.
func (n Llama) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Llama) Check() error { return n.decoder().check() }

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Llama) Forward(b *nn.Builder) { n.decoder().forward(b) }

func (n Llama) decoder() decoder {
	return decoder{
		vocab: n.Vocab, context: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, groups: n.KVHeads, headWidth: n.HeadWidth,
		activation: n.Activation, epsilon: n.Epsilon, rope: n.Rope, use: n.Use, tied: n.Tied, biasQKV: n.AttentionBias, biasOut: n.AttentionBias, biasMLP: n.MLPBias,
	}
}

// llamaOf returns Llama with the sizes of a preset.
func llamaOf(s Sizes, vocab int) nn.Network {
	return Llama{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.innerGated(), Layers: s.Layers, Heads: s.Heads, KVHeads: s.keys(), HeadWidth: s.Width / max(s.Heads, 1),
		Activation: "silu", Epsilon: 1e-5, Rope: Rope{Type: "default", Theta: 10000}, Tied: true,
	}
}
