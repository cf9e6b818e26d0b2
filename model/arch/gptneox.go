package arch

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// GPTNeoX is the network of GPT-NeoX and Pythia (arXiv:2204.06745): rotary
// positions of a part of each head, and attention and feed-forward network side by
// side. Fields have transformers' names.
type GPTNeoX struct {
	Vocab      int     `json:"vocab_size"`              // V
	Context    int     `json:"max_position_embeddings"` // the longest sequence
	Width      int     `json:"hidden_size"`             // C
	Inner      int     `json:"intermediate_size"`       // F
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"` // H, which divides C
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
	Rope       Rope    `json:"rope_parameters"`
	Bias       bool    `json:"attention_bias"`        // of the projections to and from the heads
	Parallel   bool    `json:"use_parallel_residual"` // otherwise the feed-forward network sees the attention's result
	Tied       bool    `json:"tie_word_embeddings"`   // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (GPTNeoX) Architecture() string { return "gpt_neox" }

// Depth returns the number of layers.
func (n GPTNeoX) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n GPTNeoX) Check() error {
	if err := (plainSizes{n.Vocab, n.Context, n.Width, n.Inner, n.Layers, n.Heads, n.Epsilon, commonNames}).check(); err != nil {
		return err
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
func (n GPTNeoX) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	ids := b.Tokens(n.Context)
	table := b.Param("embed_in.weight", normal, n.Vocab, n.Width) // (V,C)
	x := b.Name("embeddings", b.Gather(table, ids))               // (B,T,C)
	heads := nn.Attention{Heads: n.Heads, Width: n.Width / n.Heads, Causal: true, Rotary: n.Rope.rotary(n.Width / n.Heads)}
	for i := range n.Layers {
		x = n.block(b.Scope(fmt.Sprintf("layers.%d", i)), heads, x) // (B,T,C)
	}
	x = b.LayerNorm("final_layer_norm", x, n.Width, n.Epsilon)
	n.end(b, x, n.Width, "classifier", func() *graph.Value {
		if !n.Tied {
			table = b.Param("embed_out.weight", normal, n.Vocab, n.Width)
		}
		return headed(b, x, table)
	})
}

func (n GPTNeoX) block(b *nn.Builder, heads nn.Attention, x *graph.Value) *graph.Value {
	normal := graph.Normal(0.02)
	y := b.LayerNorm("input_layernorm", x, n.Width, n.Epsilon)                      // (B,T,C)
	y = b.Dense("attention.query_key_value", y, n.Width, 3*n.Width, n.Bias, normal) // (B,T,3C)
	q, k, v := headwise(b, y, n.Heads, n.Width/n.Heads)                             // 3 × (B,T,C)
	y = b.Attention("attention", heads, q, k, v)                                    // (B,T,C)
	y = b.Name("attention.residual", b.Add(x, b.Dense("attention.dense", y, n.Width, n.Width, n.Bias, normal)))
	from := y
	if n.Parallel {
		from = x
	}
	z := b.LayerNorm("post_attention_layernorm", from, n.Width, n.Epsilon) // (B,T,C)
	z = b.Dense("mlp.dense_h_to_4h", z, n.Width, n.Inner, true, normal)    // (B,T,F)
	z = activations[n.Activation](b, z)                                    // (B,T,F)
	z = b.Dense("mlp.dense_4h_to_h", z, n.Inner, n.Width, true, normal)    // (B,T,C)
	return b.Name("mlp.residual", b.Add(y, z))
}

// gptNeoXOf returns GPT-NeoX with the sizes of a preset.
func gptNeoXOf(s Sizes, vocab int) nn.Network {
	return GPTNeoX{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, Activation: "gelu", Epsilon: 1e-5,
		Rope: Rope{Type: "default", Theta: 10000, Partial: 0.25}, Bias: true, Parallel: true,
	}
}
