package huggingface

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/nn"
)

// ParseConfig reads the config.json of a GPT-2 of transformers, or of a
// network "simple" that Write wrote. Members that have no part in the network
// are passed over. Those that have one and are missing mean what they mean to
// transformers (n_inner 4·n_embd, layer_norm_epsilon 1e-5), except that the
// sizes must be there, under GPT-2's names or the general ones (hidden_size). A
// member that asks for another network than package model's is an error that
// names it. Whether the head is the token embedding is for the weights to say.
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
	untied bool // it asks for a head of its own
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
			return c, fmt.Errorf("position_embeddings is missing: a network %.80q has learned positions or has none", c.Arch)
		}
	default:
		return c, fmt.Errorf("model_type is %s: only %.80q is read, other networks compute something else", quote.String(c.Arch), gpt2)
	}
	tied, err := o.flag("tie_word_embeddings", true)
	if err != nil {
		return c, err
	}
	c.untied = !tied && c.Arch == gpt2 // a head of its own is what a network "simple" has
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

// architecture returns the model_type. The first files of GPT-2 have none, and
// name the class of the model.
func (o object) architecture() (string, error) {
	if !o.absent("model_type") {
		return o.text("model_type", "")
	}
	if strings.HasPrefix(string(o["architectures"]), `["GPT2`) {
		return gpt2, nil
	}
	return "", fmt.Errorf("model_type is missing: only %.80q is read", gpt2)
}

// aliases are the names that transformers gives to the sizes of every network.
// It takes n_ctx for nothing; the first GPT-2 files have it beside n_positions.
var aliases = map[string][]string{
	"n_positions": {"max_position_embeddings", "n_ctx"},
	"n_embd":      {"hidden_size"},
	"n_layer":     {"num_hidden_layers"},
	"n_head":      {"num_attention_heads"},
}

// named returns the name under which the object has a size. Two names with
// different values are an error: of those transformers takes the general one.
func (o object) named(size string) (string, error) {
	name := size
	for _, alias := range aliases[size] {
		switch {
		case o.null(alias):
		case o.absent(name):
			name = alias
		case alias != "n_ctx" && string(o[alias]) != string(o[name]):
			return "", fmt.Errorf("%s is %s and %s is %s: these are two names of one size, so one of them must go", name, quote.String(string(o[name])), alias, quote.String(string(o[alias])))
		}
	}
	return name, nil
}

// sizes reads the whole numbers of a configuration.
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

// tanhGELU are transformers' names of one function, GELU in its tanh form. Its
// implementations differ by float32's rounding.
var tanhGELU = []string{"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}

// checkGPT2 refuses the switches of transformers' GPT-2 that make another
// network, by name and reason. The others do not change what is computed:
// reorder_and_upcast_attn computes the same scores in another order.
func (o object) checkGPT2() error {
	activation, err := o.text("activation_function", "gelu_new")
	if err != nil {
		return err
	}
	if !slices.Contains(tanhGELU, activation) {
		return fmt.Errorf("activation_function is %s: only GPT-2's own is computed, GELU in its tanh form: %s", quote.String(activation), strings.Join(tanhGELU, ", "))
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
		return fmt.Errorf("quantization_config is there: weights are read as they were trained, so save the model without quantization")
	}
	if !o.null("pruned_heads") && string(o["pruned_heads"]) != "{}" {
		return fmt.Errorf("pruned_heads is %s: only a network with all its heads is read", quote.String(string(o["pruned_heads"])))
	}
	return nil
}
