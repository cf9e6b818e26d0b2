package attnx_test

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// Llama is a network that attnx does not ship, in the manner of Llama: RMS norms,
// rotary positions, queries that share keys and values, and SwiGLU. Its fields
// are its configuration.
type Llama struct {
	Vocab   int `json:"vocab_size"`              // V
	Context int `json:"max_position_embeddings"` // the longest sequence
	Width   int `json:"hidden_size"`             // C
	Inner   int `json:"intermediate_size"`       // F
	Layers  int `json:"num_hidden_layers"`
	Heads   int `json:"num_attention_heads"` // H, of width D = C/H
	Groups  int `json:"num_key_value_heads"` // G, which divides H
}

// Architecture is the name that checkpoints have for it.
func (Llama) Architecture() string { return "example/llama" }

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Llama) Forward(b *nn.Builder) {
	const epsilon = 1e-5
	d, normal := n.Width/n.Heads, graph.Normal(0.1)
	heads := nn.Attention{Heads: n.Heads, KVHeads: n.Groups, Width: d, Causal: true, Rotary: &nn.Rotary{Theta: 10000}}
	x := b.Embedding("embed_tokens", b.Tokens(n.Context), n.Vocab, n.Width, normal) // (B,T,C)
	for i := range n.Layers {
		b := b.Scope(fmt.Sprintf("layers.%d", i))
		y := b.RMSNorm("input_layernorm", x, n.Width, epsilon)
		q := b.Project("self_attn.q_proj", y, n.Width, n.Width, normal)    // (B,T,H·D)
		k := b.Project("self_attn.k_proj", y, n.Width, n.Groups*d, normal) // (B,T,G·D)
		v := b.Project("self_attn.v_proj", y, n.Width, n.Groups*d, normal) // (B,T,G·D)
		y = b.Attention("self_attn", heads, q, k, v)
		x = b.Add(x, b.Project("self_attn.o_proj", y, n.Width, n.Width, normal)) // (B,T,C)
		y = b.RMSNorm("post_attention_layernorm", x, n.Width, epsilon)
		gate := b.SiLU(b.Project("mlp.gate_proj", y, n.Width, n.Inner, normal)) // (B,T,F)
		y = b.Mul(gate, b.Project("mlp.up_proj", y, n.Width, n.Inner, normal))  // (B,T,F)
		x = b.Add(x, b.Project("mlp.down_proj", y, n.Inner, n.Width, normal))   // (B,T,C)
	}
	x = b.RMSNorm("norm", x, n.Width, epsilon)
	b.Logits(b.Project("lm_head", x, n.Width, n.Vocab, normal)) // (B,T,V)
}

// A network of your own is a type with a Forward. It is trained and saved like
// attnx's own, and every command reads the checkpoint: it carries its graph.
func Example_ownNetwork() {
	text := fixtures.Notes()
	tok, err := tokens.Train(tokens.Word, text, 0)
	check(err)
	network := Llama{Vocab: tok.VocabSize(), Context: 16, Width: 32, Inner: 64, Layers: 2, Heads: 4, Groups: 2}
	data, err := train.FromText(text, tok, network.Context)
	check(err)
	c, err := train.Start(network, tok, 1)
	check(err)
	c, err = gorgonia.Fit(context.Background(), c, data, train.DefaultOptions(50), nil)
	check(err)
	path := filepath.Join(folder(), "llama.safetensors")
	check(c.Save(path)) // attnx generate llama.safetensors --prompt 'not like'
	again, err := model.Load(path)
	check(err)
	fmt.Println(again.Arch, "after", again.Step, "steps:", *again.Loss < 3.4)
	// Output: example/llama after 50 steps: true
}
