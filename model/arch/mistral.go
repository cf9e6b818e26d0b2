package arch

import "github.com/attnx/attnx/model/nn"

// Mistral is Llama with a window: a token sees only the last ones
// (arXiv:2310.06825). Fields have transformers' names.
type Mistral struct {
	Vocab      int     `json:"vocab_size"`              // V
	Context    int     `json:"max_position_embeddings"` // the longest sequence
	Width      int     `json:"hidden_size"`             // C
	Inner      int     `json:"intermediate_size"`       // F
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"` // H, of queries
	KVHeads    int     `json:"num_key_value_heads"` // G, which divides H
	HeadWidth  int     `json:"head_dim"`            // D
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"rms_norm_eps"`
	Rope       Rope    `json:"rope_parameters"`
	Window     int     `json:"sliding_window"`      // the most tokens that one sees, including itself; 0: all
	Tied       bool    `json:"tie_word_embeddings"` // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (Mistral) Architecture() string { return "mistral" }

// Depth returns the number of layers.
func (n Mistral) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Mistral) Check() error {
	if n.Window < 0 {
		return checkSizes(size{"sliding_window", n.Window, maxSize})
	}
	return n.decoder().check()
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Mistral) Forward(b *nn.Builder) { n.decoder().forward(b) }

func (n Mistral) decoder() decoder {
	return decoder{
		vocab: n.Vocab, context: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, groups: n.KVHeads, headWidth: n.HeadWidth,
		activation: n.Activation, epsilon: n.Epsilon, rope: n.Rope, use: n.Use, tied: n.Tied, window: func(int) int { return n.Window },
	}
}

// mistralOf returns Mistral with the sizes of a preset, and a window of half the
// context.
func mistralOf(s Sizes, vocab int) nn.Network {
	return Mistral{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.innerGated(), Layers: s.Layers, Heads: s.Heads, KVHeads: s.keys(), HeadWidth: s.Width / max(s.Heads, 1),
		Activation: "silu", Epsilon: 1e-5, Rope: Rope{Type: "default", Theta: 10000}, Window: max(1, s.Context/2), Tied: true,
	}
}
