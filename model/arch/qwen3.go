package arch

import "github.com/attnx/attnx/model/nn"

// Qwen3 is Llama with normalized queries and keys (arXiv:2505.09388). Fields
// have transformers' names.
type Qwen3 struct {
	Vocab         int        `json:"vocab_size"`              // V
	Context       int        `json:"max_position_embeddings"` // the longest sequence
	Width         int        `json:"hidden_size"`             // C
	Inner         int        `json:"intermediate_size"`       // F
	Layers        int        `json:"num_hidden_layers"`
	Heads         int        `json:"num_attention_heads"` // H, of queries
	KVHeads       int        `json:"num_key_value_heads"` // G, which divides H
	HeadWidth     int        `json:"head_dim"`            // D
	Activation    string     `json:"hidden_act"`
	Epsilon       float64    `json:"rms_norm_eps"`
	Rope          Rope       `json:"rope_parameters"`
	AttentionBias bool       `json:"attention_bias"`      // of the projections to and from the heads
	Window        int        `json:"sliding_window"`      // the most tokens that one sees in a layer with a window; 0: there is none
	LayerTypes    LayerTypes `json:"layer_types"`         // which layers have the window; "": none
	Tied          bool       `json:"tie_word_embeddings"` // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (Qwen3) Architecture() string { return "qwen3" }

// Depth returns the number of layers.
func (n Qwen3) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Qwen3) Check() error {
	if err := n.LayerTypes.check(n.Layers, n.Window); err != nil {
		return err
	}
	return n.decoder().check()
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Qwen3) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	n.decoder().forward(b)
}

func (n Qwen3) decoder() decoder {
	return decoder{
		vocab: n.Vocab, context: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, groups: n.KVHeads, headWidth: n.HeadWidth,
		activation: n.Activation, epsilon: n.Epsilon, rope: n.Rope, use: n.Use, tied: n.Tied, biasQKV: n.AttentionBias, biasOut: n.AttentionBias, normQK: true,
		window: n.LayerTypes.window(n.Window),
	}
}

// qwen3Of returns Qwen3 with the sizes of a preset.
func qwen3Of(s Sizes, vocab int) nn.Network {
	return Qwen3{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.innerGated(), Layers: s.Layers, Heads: s.Heads, KVHeads: s.keys(), HeadWidth: s.Width / max(s.Heads, 1),
		Activation: "silu", Epsilon: 1e-6, Rope: Rope{Type: "default", Theta: 10000}, Tied: true,
	}
}
