package arch

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Gemma3 is the text network of Gemma 3 (arXiv:2503.19786): norms before and behind
// each part, normalized queries and keys, and layers with a window that have rotary
// positions of their own. Fields have transformers' names.
type Gemma3 struct {
	Vocab         int        `json:"vocab_size"`              // V
	Context       int        `json:"max_position_embeddings"` // the longest sequence
	Width         int        `json:"hidden_size"`             // C
	Inner         int        `json:"intermediate_size"`       // F
	Layers        int        `json:"num_hidden_layers"`
	Heads         int        `json:"num_attention_heads"` // H, of queries
	KVHeads       int        `json:"num_key_value_heads"` // G, which divides H
	HeadWidth     int        `json:"head_dim"`            // D
	Activation    string     `json:"hidden_activation"`
	Epsilon       float64    `json:"rms_norm_eps"`
	Rope          Rope       `json:"rope_parameters"`      // of layers without a window
	LocalTheta    float64    `json:"rope_local_base_freq"` // of layers with one
	AttentionBias bool       `json:"attention_bias"`
	QueryScalar   float64    `json:"query_pre_attn_scalar"` // scores are divided by its square root
	Window        int        `json:"sliding_window"`        // the most tokens that one sees in a layer with a window
	LayerTypes    LayerTypes `json:"layer_types"`
	SoftCap       float64    `json:"final_logit_softcapping"` // logits x become SoftCap·tanh(x/SoftCap); 0: they stay
	Tied          bool       `json:"tie_word_embeddings"`     // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (Gemma3) Architecture() string { return "gemma3_text" }

// Depth returns the number of layers.
func (n Gemma3) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Gemma3) Check() error {
	finite := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	switch {
	case !finite(n.QueryScalar):
		return fmt.Errorf("query_pre_attn_scalar is %g, must be a positive number", n.QueryScalar)
	case n.SoftCap != 0 && !finite(n.SoftCap):
		return fmt.Errorf("final_logit_softcapping is %g, must be a positive number, or 0", n.SoftCap)
	}
	if err := n.LayerTypes.check(n.Layers, n.Window); err != nil {
		return err
	}
	local := n.decoder()
	local.rope = n.local()
	if err := local.check(); err != nil {
		return fmt.Errorf("in layers with a window: %w", err)
	}
	err := n.decoder().check()
	if err == nil {
		err = checkActivation("hidden_activation", n.Activation)
	}
	return err
}

// local returns the rotary positions of layers with a window.
func (n Gemma3) local() Rope { return Rope{Type: "default", Theta: n.LocalTheta} }

// decoder returns the sizes in the manner of Llama, to check them.
func (n Gemma3) decoder() decoder {
	return decoder{
		vocab: n.Vocab, context: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, groups: n.KVHeads, headWidth: n.HeadWidth,
		activation: n.Activation, epsilon: n.Epsilon, rope: n.Rope, use: n.Use, tied: n.Tied,
	}
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Gemma3) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	ids := b.Tokens(n.Context)
	table := b.Param("embed_tokens.weight", normal, n.Vocab, n.Width)                             // (V,C)
	x := b.Name("embeddings", b.Mul(b.Gather(table, ids), b.Scalar(math.Sqrt(float64(n.Width))))) // (B,T,C)
	window := n.LayerTypes.window(n.Window)
	for i := range n.Layers {
		heads := nn.Attention{
			Heads: n.Heads, KVHeads: n.KVHeads, Width: n.HeadWidth, Causal: true, Window: window(i), Scale: 1 / math.Sqrt(n.QueryScalar),
			Rotary: n.Rope.rotary(n.HeadWidth),
		}
		if heads.Window > 0 {
			heads.Rotary = n.local().rotary(n.HeadWidth)
		}
		x = n.block(b.Scope(fmt.Sprintf("layers.%d", i)), heads, x) // (B,T,C)
	}
	x = n.norm(b, "norm", x, n.Width)
	n.end(b, x, n.Width, "score", func() *graph.Value {
		if !n.Tied {
			table = b.Param("lm_head.weight", normal, n.Vocab, n.Width)
		}
		scores := b.MatMul(x, b.Transpose(table, 1, 0)) // (B,T,V)
		if n.SoftCap > 0 {
			scores = b.Mul(b.Tanh(b.Div(scores, b.Scalar(n.SoftCap))), b.Scalar(n.SoftCap))
		}
		return b.Name("scores", scores)
	})
}

// norm is RMSNorm whose weight is the difference from 1.
func (n Gemma3) norm(b *nn.Builder, name string, x *graph.Value, width int) *graph.Value {
	scale := b.Add(b.Param(name+".weight", graph.Constant(0), width), b.Scalar(1))
	return b.Name(name, b.RMSNormalization(x, scale, n.Epsilon))
}

func (n Gemma3) block(b *nn.Builder, heads nn.Attention, x *graph.Value) *graph.Value {
	normal := graph.Normal(0.02)
	queries, keys := n.Heads*n.HeadWidth, n.KVHeads*n.HeadWidth
	a, m := b.Scope("self_attn"), b.Scope("mlp")
	heads.QueryNorm = func(q *graph.Value) *graph.Value { return n.norm(a, "q_norm", q, n.HeadWidth) }
	heads.KeyNorm = func(k *graph.Value) *graph.Value { return n.norm(a, "k_norm", k, n.HeadWidth) }
	y := n.norm(b, "input_layernorm", x, n.Width)                        // (B,T,C)
	q := a.Dense("q_proj", y, n.Width, queries, n.AttentionBias, normal) // (B,T,H·D)
	k := a.Dense("k_proj", y, n.Width, keys, n.AttentionBias, normal)    // (B,T,G·D)
	v := a.Dense("v_proj", y, n.Width, keys, n.AttentionBias, normal)    // (B,T,G·D)
	y = b.Attention("self_attn", heads, q, k, v)                         // (B,T,H·D)
	y = a.Dense("o_proj", y, queries, n.Width, n.AttentionBias, normal)  // (B,T,C)
	y = n.norm(b, "post_attention_layernorm", y, n.Width)                // (B,T,C)
	x = b.Name("self_attn.residual", b.Add(x, y))                        // (B,T,C)
	y = n.norm(b, "pre_feedforward_layernorm", x, n.Width)               // (B,T,C)
	gate := m.Dense("gate_proj", y, n.Width, n.Inner, false, normal)     // (B,T,F)
	up := m.Dense("up_proj", y, n.Width, n.Inner, false, normal)         // (B,T,F)
	y = m.Name("gated", b.Mul(activations[n.Activation](b, gate), up))   // (B,T,F)
	y = m.Dense("down_proj", y, n.Inner, n.Width, false, normal)         // (B,T,C)
	y = n.norm(b, "post_feedforward_layernorm", y, n.Width)              // (B,T,C)
	return b.Name("mlp.residual", b.Add(x, y))
}

// gemma3Of returns Gemma 3 with the sizes of a preset, and a window of half the
// context in all layers but every sixth.
func gemma3Of(s Sizes, vocab int) nn.Network {
	types := ""
	for i := range s.Layers {
		kind := slidingAttention
		if (i+1)%6 == 0 || i == s.Layers-1 {
			kind = fullAttention
		}
		types += kind + " "
	}
	width := s.Width / max(s.Heads, 1)
	return Gemma3{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.innerGated(), Layers: s.Layers, Heads: s.Heads, KVHeads: s.keys(), HeadWidth: width,
		Activation: "gelu_pytorch_tanh", Epsilon: 1e-6, Rope: Rope{Type: "default", Theta: 1e6}, LocalTheta: 10000, QueryScalar: float64(width),
		Window: max(1, s.Context/2), LayerTypes: LayerTypes(types[:max(len(types)-1, 0)]), Tied: true,
	}
}
