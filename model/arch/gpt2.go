package arch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// GPT2 is GPT-2 (Radford and others, 2019): pre-norm blocks, learned
// positions, the tanh form of GELU, and a head that shares the token
// embedding. Weights have Hugging Face's names and layouts [in, out], and the
// sizes its names. The last fields are variants that transformers has; their
// zero values are GPT-2 itself.
type GPT2 struct {
	Vocab   int     `json:"vocab_size"`         // V
	Context int     `json:"n_positions"`        // the longest sequence
	Width   int     `json:"n_embd"`             // C
	Layers  int     `json:"n_layer"`            // L
	Heads   int     `json:"n_head"`             // H; divides C
	Inner   int     `json:"n_inner"`            // F
	Epsilon float64 `json:"layer_norm_epsilon"` // added to the variance

	Activation     string `json:"activation_function,omitempty"`             // "": gelu_new, the tanh form of GELU
	Untied         bool   `json:"untied_head,omitempty"`                     // the head lm_head.weight is a matrix of its own, (V,C)
	UnscaledScores bool   `json:"unscaled_scores,omitempty"`                 // scores are not divided by √(C/H)
	LayerScores    bool   `json:"scale_attn_by_inverse_layer_idx,omitempty"` // scores of layer i are divided by i+1 too
	Use
}

// Architecture returns Hugging Face's model_type.
func (GPT2) Architecture() string { return "gpt2" }

// Check returns the first invalid size.
func (c GPT2) Check() error {
	err := checkSizes(
		size{"vocab_size", c.Vocab, maxSize}, size{"n_positions", c.Context, maxContext}, size{"n_embd", c.Width, maxSize},
		size{"n_layer", c.Layers, maxLayers}, size{"n_head", c.Heads, maxSize}, size{"n_inner", c.Inner, maxSize})
	switch {
	case err != nil:
		return err
	case c.Vocab < 2:
		return errOneToken
	case c.Width%c.Heads != 0:
		return fmt.Errorf("n_head %d does not divide n_embd %d", c.Heads, c.Width)
	case !(c.Epsilon > 0 && c.Epsilon < 1):
		return fmt.Errorf("layer_norm_epsilon is %g, must be between 0 and 1", c.Epsilon)
	}
	if err := c.Use.check(c.Vocab); err != nil {
		return err
	}
	return checkActivation("activation_function", c.activation())
}

func (c GPT2) activation() string { return cmp.Or(c.Activation, "gelu_new") }

// Depth returns the number of layers.
func (c GPT2) Depth() int { return c.Layers }

// Forward writes the network: tokens (B,T) to logits (B,T,V). Weights start as
// normal(0.02); those of the two projections into the residual stream are
// divided by √(2L).
func (c GPT2) Forward(b *nn.Builder) {
	if err := c.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	ids := b.Tokens(c.Context)                                           // (B,T)
	wte := b.Param("wte.weight", graph.Normal(0.02), c.Vocab, c.Width)   // (V,C)
	wpe := b.Param("wpe.weight", graph.Normal(0.02), c.Context, c.Width) // (context,C)

	x := b.Name("token_embeddings", b.Gather(wte, ids))                                   // (B,T,C)
	x = b.Name("embeddings", b.Add(x, b.Name("positions", b.Gather(wpe, b.Positions())))) // (B,T,C)
	for i := range c.Layers {
		x = c.block(b.Scope(fmt.Sprintf("h.%d", i)), x, i) // (B,T,C)
	}
	x = b.LayerNorm("ln_f", x, c.Width, c.Epsilon) // (B,T,C)
	c.end(b, x, c.Width, "classifier", func() *graph.Value {
		head := wte // (V,C)
		if c.Untied {
			head = b.Param("lm_head.weight", graph.Normal(0.02), c.Vocab, c.Width)
		}
		return b.Name("logits", b.MatMul(x, b.Transpose(head, 1, 0))) // (B,T,V)
	})
}

// block is layer i: attention, then a feed-forward network, each added to the
// residual stream.
func (c GPT2) block(b *nn.Builder, x *graph.Value, i int) *graph.Value {
	normal, residual := graph.Normal(0.02), graph.Normal(0.02/math.Sqrt(2*float64(c.Layers)))

	y := b.LayerNorm("ln_1", x, c.Width, c.Epsilon)            // (B,T,C)
	y = b.Linear("attn.c_attn", y, c.Width, 3*c.Width, normal) // (B,T,3C)
	qkv := b.Split(y, -1, c.Width, c.Width, c.Width)           // 3 × (B,T,C)
	heads := nn.Attention{Heads: c.Heads, Width: c.Width / c.Heads, Causal: true, Scale: c.scale(i)}
	y = b.Attention("attn", heads, qkv[0], qkv[1], qkv[2])     // (B,T,C)
	y = b.Linear("attn.c_proj", y, c.Width, c.Width, residual) // (B,T,C)
	x = b.Name("attn.residual", b.Add(x, y))                   // (B,T,C)

	y = b.LayerNorm("ln_2", x, c.Width, c.Epsilon)            // (B,T,C)
	y = b.Linear("mlp.c_fc", y, c.Width, c.Inner, normal)     // (B,T,F)
	y = b.Name("mlp.gelu", activations[c.activation()](b, y)) // (B,T,F)
	y = b.Linear("mlp.c_proj", y, c.Inner, c.Width, residual) // (B,T,C)
	return b.Name("mlp.residual", b.Add(x, y))                // (B,T,C)
}

// scale returns the factor of the scores in layer i, 0 for the usual one.
func (c GPT2) scale(i int) float64 {
	if !c.UnscaledScores && !c.LayerScores {
		return 0
	}
	scale := 1.0
	if !c.UnscaledScores {
		scale = 1 / math.Sqrt(float64(c.Width/c.Heads))
	}
	if c.LayerScores {
		scale /= float64(i + 1)
	}
	return scale
}

// gpt2Of returns GPT-2 with the sizes of a preset.
func gpt2Of(s Sizes, vocab int) nn.Network {
	return GPT2{Vocab: vocab, Context: s.Context, Width: s.Width, Layers: s.Layers, Heads: s.Heads, Inner: s.inner(), Epsilon: 1e-5}
}

// parseGPT2 reads the configuration in a checkpoint.
func parseGPT2(text []byte) (nn.Network, error) {
	var c struct {
		GPT2
		Positions *bool `json:"position_embeddings"` // present in checkpoints written before each architecture had its own type
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	if c.Positions != nil && !*c.Positions {
		return nil, fmt.Errorf("position_embeddings is false: GPT-2 always has positions")
	}
	return c.GPT2, c.Check()
}
