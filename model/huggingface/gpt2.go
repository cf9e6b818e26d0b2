package huggingface

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// gpt2 is the row of GPT-2.
var gpt2 = family{
	arch:      arch.GPT2{}.Architecture(),
	class:     "GPT2LMHeadModel",
	prefix:    "transformer.",
	roots:     []string{"wte", "wpe", "h", "ln_f", "lm_head", "multiple_choice_head", "v_head", "score", "classifier", "qa_outputs"},
	head:      "lm_head.weight",
	embedding: "wte.weight",
	heads:     []string{"score.", "classifier."},
	second:    []string{"multiple_choice_head.", "v_head."},
	tokenizer: "GPT2Tokenizer",
	buffer:    isMask,
	parse:     parseGPT2,
	members:   gpt2Members,
}

// isMask reports whether name is an attention buffer of GPT-2: "h.0.attn.bias"
// is the causal mask, "h.0.attn.masked_bias" the value of a masked score.
func isMask(name string, layers int) bool {
	rest, ok := strings.CutPrefix(name, "h.")
	layer, rest, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(layer, 10, 31)
	return ok && (rest == "attn.bias" || rest == "attn.masked_bias") && err == nil && int(n) < layers
}

// parseGPT2 reads a config.json of GPT-2. The sizes are required; the other
// members have transformers' defaults.
func parseGPT2(o object) (nn.Network, error) {
	if err := o.checkGPT2(); err != nil {
		return nil, err
	}
	var n arch.GPT2
	err := o.gpt2Sizes(&n.Vocab, &n.Context, &n.Width, &n.Layers, &n.Heads, &n.Inner)
	if err != nil {
		return nil, err
	}
	if n.Epsilon, err = o.number("layer_norm_epsilon", 1e-5); err != nil {
		return nil, err
	}
	if learned, err := o.flag("position_embeddings", true); err != nil || !learned {
		return nil, cmp.Or(err, fmt.Errorf("position_embeddings is false, but %s has position embeddings", gpt2Name))
	}
	activation, err := o.text("activation_function", tanhGELU[0])
	if err != nil {
		return nil, err
	}
	if !slices.Contains(tanhGELU, activation) {
		n.Activation = activation
	}
	scaled, err := o.flag("scale_attn_weights", true)
	if err != nil {
		return nil, err
	}
	n.UnscaledScores = !scaled
	if n.LayerScores, err = o.flag("scale_attn_by_inverse_layer_idx", false); err != nil {
		return nil, err
	}
	tied, err := o.flag("tie_word_embeddings", true)
	if err != nil {
		return nil, err
	}
	n.Untied = !tied
	return n, n.Check()
}

// gpt2Name is the name of GPT-2.
var gpt2Name = arch.GPT2{}.Architecture()

// tanhGELU lists transformers' names for GPT-2's own activation, the tanh form of
// GELU, the default first.
var tanhGELU = []string{"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}

// aliases are transformers' general names for the sizes of every network.
// transformers ignores n_ctx; the first GPT-2 files have it besides
// n_positions.
var aliases = map[string][]string{
	"n_positions": {"max_position_embeddings", "n_ctx"},
	"n_embd":      {"hidden_size"},
	"n_layer":     {"num_hidden_layers"},
	"n_head":      {"num_attention_heads"},
	"dim":         {"hidden_size"},
	"n_layers":    {"num_hidden_layers"},
	"n_heads":     {"num_attention_heads"},
}

// named returns the name under which the object has a size. Two names with
// different values are an error: transformers would take the general one.
func (o object) named(size string) (string, error) {
	name := size
	for _, alias := range aliases[size] {
		switch {
		case o.null(alias):
		case o.absent(name):
			name = alias
		case alias != "n_ctx" && string(o[alias]) != string(o[name]):
			return "", fmt.Errorf("%s is %s and %s is %s: these are two names of one size, remove one of them", name, quote.String(string(o[name])), alias, quote.String(string(o[alias])))
		}
	}
	return name, nil
}

// gpt2Sizes reads the integers of a configuration. Without n_inner the
// feed-forward network has 4 times the width.
func (o object) gpt2Sizes(vocab, context, width, layers, heads, inner *int) (err error) {
	for _, f := range []struct {
		name string
		into *int
	}{
		{"vocab_size", vocab}, {"n_positions", context}, {"n_embd", width}, {"n_layer", layers}, {"n_head", heads},
	} {
		name, err := o.named(f.name)
		if err != nil {
			return err
		}
		if *f.into, err = o.size(name); err != nil {
			return err
		}
	}
	if o.null("n_inner") {
		*inner = 4 * *width
		return nil
	}
	*inner, err = o.size("n_inner")
	return err
}

// checkGPT2 rejects the settings of transformers' GPT-2 that select a network
// which attnx does not have, with name and reason. Other settings do not change
// the result: reorder_and_upcast_attn computes the same scores in another order.
func (o object) checkGPT2() error {
	cross, err := o.flag("add_cross_attention", false)
	if err != nil || cross {
		return cmp.Or(err, fmt.Errorf("add_cross_attention is true, only false is supported: there is no encoder to attend to"))
	}
	return o.checkWhole()
}

// gpt2Members are the members of a config.json that transformers reads. n_ctx is
// n_positions under its old name.
func gpt2Members(n nn.Network) ([]member, error) {
	c := n.(arch.GPT2)
	list := append(gpt2SizeMembers(c.Vocab, c.Context, c.Width, c.Layers, c.Heads, c.Inner, c.Epsilon),
		member{"activation_function", cmp.Or(c.Activation, tanhGELU[0])}, member{"tie_word_embeddings", !c.Untied},
		member{"resid_pdrop", 0}, member{"embd_pdrop", 0}, member{"attn_pdrop", 0})
	if c.UnscaledScores {
		list = append(list, member{"scale_attn_weights", false})
	}
	if c.LayerScores {
		list = append(list, member{"scale_attn_by_inverse_layer_idx", true})
	}
	return list, nil
}

func gpt2SizeMembers(vocab, context, width, layers, heads, inner int, epsilon float64) []member {
	return []member{
		{"vocab_size", vocab}, {"n_positions", context}, {"n_ctx", context}, {"n_embd", width}, {"n_layer", layers}, {"n_head", heads}, {"n_inner", inner},
		{"layer_norm_epsilon", epsilon},
	}
}
