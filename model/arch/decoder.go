package arch

import (
	"encoding/json"
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// decoder is what the networks in the manner of Llama have in common: root mean
// square norms before attention and feed-forward network, rotary positions,
// queries that share keys and values, and a gated feed-forward network. Weights
// have transformers' names, without the prefix "model.", and its layout
// [out, in].
type decoder struct {
	vocab, context, width, inner, layers int
	heads, groups, headWidth             int // queries; keys and values; D
	activation                           string
	epsilon                              float64
	rope                                 Rope
	tied                                 bool // the head is the token embedding
	biasQKV, biasOut, biasMLP            bool
	normQK                               bool // queries and keys are normalized, head by head
	use                                  Use
	window                               func(layer int) int // the most tokens that one sees; 0: all. nil: all in all layers
}

func (d decoder) check() error {
	err := checkSizes(
		size{"vocab_size", d.vocab, maxSize}, size{"max_position_embeddings", d.context, maxContext}, size{"hidden_size", d.width, maxSize},
		size{"intermediate_size", d.inner, maxSize}, size{"num_hidden_layers", d.layers, maxLayers}, size{"num_attention_heads", d.heads, maxSize},
		size{"num_key_value_heads", d.groups, maxSize}, size{"head_dim", d.headWidth, maxSize})
	switch {
	case err != nil:
		return err
	case d.vocab < 2:
		return errOneToken
	case d.heads%d.groups != 0:
		return fmt.Errorf("num_key_value_heads %d does not divide num_attention_heads %d", d.groups, d.heads)
	case d.heads*d.headWidth > maxSize:
		return fmt.Errorf("head_dim %d times num_attention_heads %d is more than %d", d.headWidth, d.heads, maxSize)
	case d.rope.rotary(d.headWidth).Width%2 != 0 || d.rope.rotary(d.headWidth).Width == 0:
		return fmt.Errorf("head_dim %d: rotary positions rotate pairs, so an even number of elements is expected", d.headWidth)
	case !(d.epsilon > 0 && d.epsilon < 1):
		return fmt.Errorf("rms_norm_eps is %g, must be between 0 and 1", d.epsilon)
	}
	if err := checkActivation("hidden_act", d.activation); err != nil {
		return err
	}
	if err := d.use.check(d.vocab); err != nil {
		return err
	}
	return d.rope.check()
}

// forward writes the network: tokens (B,T) to logits (B,T,V).
func (d decoder) forward(b *nn.Builder) {
	if err := d.check(); err != nil {
		b.Fail("%v", err)
		return
	}
	normal := graph.Normal(0.02)
	ids := b.Tokens(d.context)                                        // (B,T)
	table := b.Param("embed_tokens.weight", normal, d.vocab, d.width) // (V,C)
	x := b.Name("embeddings", b.Gather(table, ids))                   // (B,T,C)
	rotary := d.rope.rotary(d.headWidth)
	for i := range d.layers {
		x = d.block(b.Scope(fmt.Sprintf("layers.%d", i)), x, i, rotary) // (B,T,C)
	}
	x = b.RMSNorm("norm", x, d.width, d.epsilon) // (B,T,C)
	d.use.end(b, x, d.width, "score", func() *graph.Value {
		if !d.tied {
			table = b.Param("lm_head.weight", normal, d.vocab, d.width)
		}
		return b.Name("logits", b.MatMul(x, b.Transpose(table, 1, 0))) // (B,T,V)
	})
}

// block is layer i: attention, then a feed-forward network, each added to the
// residual stream.
func (d decoder) block(b *nn.Builder, x *graph.Value, i int, rotary *nn.Rotary) *graph.Value {
	normal := graph.Normal(0.02)
	queries, keys := d.heads*d.headWidth, d.groups*d.headWidth
	heads := nn.Attention{Heads: d.heads, KVHeads: d.groups, Width: d.headWidth, Causal: true, Rotary: rotary}
	if d.window != nil {
		heads.Window = d.window(i)
	}
	a := b.Scope("self_attn")
	if d.normQK {
		heads.QueryNorm = func(q *graph.Value) *graph.Value { return a.RMSNorm("q_norm", q, d.headWidth, d.epsilon) }
		heads.KeyNorm = func(k *graph.Value) *graph.Value { return a.RMSNorm("k_norm", k, d.headWidth, d.epsilon) }
	}
	y := b.RMSNorm("input_layernorm", x, d.width, d.epsilon)         // (B,T,C)
	q := a.Dense("q_proj", y, d.width, queries, d.biasQKV, normal)   // (B,T,H·D)
	k := a.Dense("k_proj", y, d.width, keys, d.biasQKV, normal)      // (B,T,G·D)
	v := a.Dense("v_proj", y, d.width, keys, d.biasQKV, normal)      // (B,T,G·D)
	y = b.Attention("self_attn", heads, q, k, v)                     // (B,T,H·D)
	y = a.Dense("o_proj", y, queries, d.width, d.biasOut, normal)    // (B,T,C)
	x = b.Name("self_attn.residual", b.Add(x, y))                    // (B,T,C)
	y = b.RMSNorm("post_attention_layernorm", x, d.width, d.epsilon) // (B,T,C)
	m := b.Scope("mlp")
	gate := m.Dense("gate_proj", y, d.width, d.inner, d.biasMLP, normal) // (B,T,F)
	up := m.Dense("up_proj", y, d.width, d.inner, d.biasMLP, normal)     // (B,T,F)
	y = m.Name("gated", b.Mul(activations[d.activation](b, gate), up))   // (B,T,F)
	y = m.Dense("down_proj", y, d.inner, d.width, d.biasMLP, normal)     // (B,T,C)
	return b.Name("mlp.residual", b.Add(x, y))                           // (B,T,C)
}

// parseAs returns a function that reads the JSON of networks of one type.
func parseAs[N interface {
	nn.Network
	Check() error
}](text []byte) (nn.Network, error) {
	var n N
	if err := json.Unmarshal(text, &n); err != nil {
		return nil, err
	}
	return n, n.Check()
}
