package huggingface

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/nn"
)

// ParseConfig reads the config.json of a transformers GPT-2, or of a network
// "simple" that Write wrote. It ignores members that do not affect the
// network. Missing members have the defaults of transformers (n_inner
// 4·n_embd, layer_norm_epsilon 1e-5), but the sizes are required, under
// GPT-2's names or the general ones (hidden_size). A member that selects
// another network is an error that names it. The weights, not the
// configuration, decide whether the head is the token embedding.
func ParseConfig(text []byte) (nn.Network, error) {
	c, err := parseConfig(text)
	if err != nil {
		return nil, err
	}
	return c.of()
}

// config is the content of a config.json.
type config struct {
	network
	untied bool // it declares a separate head
}

func parseConfig(text []byte) (c config, err error) {
	o, err := parseObject(text)
	if err != nil {
		return c, err
	}
	if c.Arch, err = o.architecture(); err != nil {
		return c, err
	}
	switch c.Arch {
	case gpt2:
		if err := o.checkGPT2(); err != nil {
			return c, err
		}
	case simple:
		if o.absent("position_embeddings") {
			return c, fmt.Errorf("position_embeddings is missing: a network %.80q must say whether it has learned positions", c.Arch)
		}
	default:
		return c, fmt.Errorf("model_type is %s: only %.80q is read, other networks compute something else", quote.String(c.Arch), gpt2)
	}
	tied, err := o.flag("tie_word_embeddings", true)
	if err != nil {
		return c, err
	}
	c.untied = !tied && c.Arch == gpt2 // a network "simple" always has a separate head
	if err := o.sizes(&c.network); err != nil {
		return c, err
	}
	if c.Epsilon, err = o.number("layer_norm_epsilon", 1e-5); err != nil {
		return c, err
	}
	if c.Positions, err = o.flag("position_embeddings", true); err != nil {
		return c, err
	}
	_, err = c.of()
	return c, err
}

// architecture returns the model_type. The first GPT-2 files have none and
// name the class of the model instead.
func (o object) architecture() (string, error) {
	if !o.absent("model_type") {
		return o.text("model_type", "")
	}
	if strings.HasPrefix(string(o["architectures"]), `["GPT2`) {
		return gpt2, nil
	}
	return "", fmt.Errorf("model_type is missing: only %.80q is read", gpt2)
}

// aliases are transformers' general names for the sizes of every network.
// transformers ignores n_ctx; the first GPT-2 files have it besides
// n_positions.
var aliases = map[string][]string{
	"n_positions": {"max_position_embeddings", "n_ctx"},
	"n_embd":      {"hidden_size"},
	"n_layer":     {"num_hidden_layers"},
	"n_head":      {"num_attention_heads"},
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

// sizes reads the integers of a configuration.
func (o object) sizes(c *network) (err error) {
	for _, f := range []struct {
		name string
		into *int
	}{
		{"vocab_size", &c.Vocab}, {"n_positions", &c.Context}, {"n_embd", &c.Width}, {"n_layer", &c.Layers}, {"n_head", &c.Heads},
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
		c.Inner = 4 * c.Width
		return nil
	}
	c.Inner, err = o.size("n_inner")
	return err
}

// tanhGELU lists transformers' names for the tanh form of GELU. Its
// implementations differ only in float32 rounding.
var tanhGELU = []string{"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}

// checkGPT2 rejects the settings of transformers' GPT-2 that change the
// network, with name and reason. Other settings do not change the result:
// reorder_and_upcast_attn computes the same scores in another order.
func (o object) checkGPT2() error {
	activation, err := o.text("activation_function", "gelu_new")
	if err != nil {
		return err
	}
	if !slices.Contains(tanhGELU, activation) {
		return fmt.Errorf("activation_function is %s: only the one of GPT-2 is supported, GELU in its tanh form: %s", quote.String(activation), strings.Join(tanhGELU, ", "))
	}
	for _, f := range []struct {
		name   string
		want   bool
		reason string
	}{
		{"scale_attn_weights", true, "scores are divided by the square root of the head's width"},
		{"scale_attn_by_inverse_layer_idx", false, "scores are not divided by the number of the layer"},
		{"add_cross_attention", false, "there is no encoder to attend to"},
	} {
		switch got, err := o.flag(f.name, f.want); {
		case err != nil:
			return err
		case got != f.want:
			return fmt.Errorf("%s is %v, only %v is supported: %s", f.name, got, f.want, f.reason)
		}
	}
	if !o.null("quantization_config") {
		return fmt.Errorf("quantization_config is present: save the model without quantization")
	}
	if !o.null("pruned_heads") && string(o["pruned_heads"]) != "{}" {
		return fmt.Errorf("pruned_heads is %s: only a network with all its heads is read", quote.String(string(o["pruned_heads"])))
	}
	return nil
}
