package arch

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// GPTBigCode is the network of SantaCoder and StarCoder (arXiv:2301.03988): GPT-2
// whose queries share one head of keys and values. Fields have transformers'
// names, and weights PyTorch's layout [out, in].
type GPTBigCode struct {
	Vocab      int     `json:"vocab_size"`         // V
	Context    int     `json:"n_positions"`        // the longest sequence
	Width      int     `json:"n_embd"`             // C
	Inner      int     `json:"n_inner"`            // F
	Layers     int     `json:"n_layer"`            // L
	Heads      int     `json:"n_head"`             // H; divides C
	Epsilon    float64 `json:"layer_norm_epsilon"` // added to the variance
	Activation string  `json:"activation_function"`
	Scaled     bool    `json:"scale_attn_weights"` // scores are divided by √(C/H)
	MultiQuery bool    `json:"multi_query"`        // one head of keys and values; otherwise each has its own
	Tied       bool    `json:"tie_word_embeddings"`
	Use
}

// Architecture returns transformers' model_type.
func (GPTBigCode) Architecture() string { return "gpt_bigcode" }

// Depth returns the number of layers.
func (n GPTBigCode) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n GPTBigCode) Check() error {
	names := plainNames{"n_positions", "n_embd", "n_inner", "n_layer", "n_head", "layer_norm_epsilon"}
	if err := (plainSizes{n.Vocab, n.Context, n.Width, n.Inner, n.Layers, n.Heads, n.Epsilon, names}).check(); err != nil {
		return err
	}
	if err := n.Use.check(n.Vocab); err != nil {
		return err
	}
	return checkActivation("activation_function", n.Activation)
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n GPTBigCode) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	ids := b.Tokens(n.Context)
	table := b.Param("wte.weight", normal, n.Vocab, n.Width)
	places := b.Param("wpe.weight", normal, n.Context, n.Width)
	x := b.Name("embeddings", b.Add(b.Gather(table, ids), b.Name("positions", b.Gather(places, b.Positions())))) // (B,T,C)
	for i := range n.Layers {
		x = n.block(b.Scope(fmt.Sprintf("h.%d", i)), x) // (B,T,C)
	}
	x = b.LayerNorm("ln_f", x, n.Width, n.Epsilon)
	n.end(b, x, n.Width, "classifier", func() *graph.Value {
		if !n.Tied {
			table = b.Param("lm_head.weight", normal, n.Vocab, n.Width)
		}
		return headed(b, x, table)
	})
}

func (n GPTBigCode) block(b *nn.Builder, x *graph.Value) *graph.Value {
	normal, width := graph.Normal(0.02), n.Width/n.Heads
	heads := nn.Attention{Heads: n.Heads, Width: width, Causal: true}
	if !n.Scaled {
		heads.Scale = 1
	}
	y := b.LayerNorm("ln_1", x, n.Width, n.Epsilon) // (B,T,C)
	var q, k, v *graph.Value
	if n.MultiQuery {
		heads.KVHeads = 1
		parts := b.Split(b.Dense("attn.c_attn", y, n.Width, n.Width+2*width, true, normal), -1, n.Width, width, width)
		q, k, v = parts[0], parts[1], parts[2] // (B,T,C), 2 × (B,T,D)
	} else {
		q, k, v = headwise(b, b.Dense("attn.c_attn", y, n.Width, 3*n.Width, true, normal), n.Heads, width) // 3 × (B,T,C)
	}
	y = b.Attention("attn", heads, q, k, v)                                                           // (B,T,C)
	y = b.Dense("attn.c_proj", y, n.Width, n.Width, true, normal)                                     // (B,T,C)
	x = b.Name("attn.residual", b.Add(x, y))                                                          // (B,T,C)
	y = b.LayerNorm("ln_2", x, n.Width, n.Epsilon)                                                    // (B,T,C)
	y = activations[n.Activation](b, b.Dense("mlp.c_fc", y, n.Width, n.Inner, true, normal))          // (B,T,F)
	return b.Name("mlp.residual", b.Add(x, b.Dense("mlp.c_proj", y, n.Inner, n.Width, true, normal))) // (B,T,C)
}

// gptBigCodeOf returns GPTBigCode with the sizes of a preset.
func gptBigCodeOf(s Sizes, vocab int) nn.Network {
	return GPTBigCode{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, Epsilon: 1e-5, Activation: "gelu_pytorch_tanh",
		Scaled: true, MultiQuery: true, Tied: true,
	}
}
