package huggingface

import (
	"fmt"

	"github.com/attnx/attnx/model"
)

// ParseConfig reads the config.json of a GPT-2 of transformers, or of a
// network "simple" that Write wrote. Members that have no part in the network
// are passed over. Those that have one and are missing mean what they mean to
// transformers (n_inner 4·n_embd, layer_norm_epsilon 1e-5), except that the
// sizes must be there. A member that asks for another network than package
// model's is an error that names it.
func ParseConfig(text []byte) (model.Config, error) {
	o, err := parseObject(text)
	if err != nil {
		return model.Config{}, err
	}
	var c model.Config
	if c.Arch, err = o.text("model_type", ""); err != nil {
		return c, err
	}
	switch c.Arch {
	case "":
		return c, fmt.Errorf("model_type is missing: only %q is read", model.GPT2)
	case model.GPT2:
		if err := o.checkGPT2(); err != nil {
			return c, err
		}
	case model.Simple:
		if o.absent("position_embeddings") {
			return c, fmt.Errorf("position_embeddings is missing: a network %q has learned positions or has none", c.Arch)
		}
	default:
		return c, fmt.Errorf("model_type is %s: only %q is read, other networks compute something else", clip(c.Arch), model.GPT2)
	}
	if err := o.sizes(&c); err != nil {
		return c, err
	}
	if c.Epsilon, err = o.number("layer_norm_epsilon", 1e-5); err != nil {
		return c, err
	}
	if c.Positions, err = o.flag("position_embeddings", true); err != nil {
		return c, err
	}
	return c, c.Check()
}

// sizes reads the whole numbers of a configuration.
func (o object) sizes(c *model.Config) (err error) {
	positions := "n_positions"
	if o.absent(positions) && !o.null("n_ctx") {
		positions = "n_ctx" // its name in the first GPT-2 files
	}
	for _, f := range []struct {
		name string
		into *int
	}{
		{"vocab_size", &c.Vocab}, {positions, &c.Context}, {"n_embd", &c.Width}, {"n_layer", &c.Layers}, {"n_head", &c.Heads},
	} {
		if *f.into, err = o.size(f.name); err != nil {
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

// checkGPT2 refuses the switches of transformers' GPT-2 that make another
// network, by name and reason.
func (o object) checkGPT2() error {
	activation, err := o.text("activation_function", "gelu_new")
	if err != nil {
		return err
	}
	if activation != "gelu_new" && activation != "gelu_pytorch_tanh" { // two names of one formula
		return fmt.Errorf("activation_function is %s: only GPT-2's own is computed, GELU in its tanh form, \"gelu_new\"", clip(activation))
	}
	for _, f := range []struct {
		name   string
		want   bool
		reason string
	}{
		{"tie_word_embeddings", true, "the head must be the token embedding, as in GPT-2"},
		{"scale_attn_weights", true, "scores are divided by the square root of the head's width"},
		{"scale_attn_by_inverse_layer_idx", false, "scores are not divided by the number of the layer"},
		{"reorder_and_upcast_attn", false, "scores are computed in one order only"},
		{"add_cross_attention", false, "there is no encoder to attend to"},
	} {
		switch got, err := o.flag(f.name, f.want); {
		case err != nil:
			return err
		case got != f.want:
			return fmt.Errorf("%s is %v, only %v is supported: %s", f.name, got, f.want, f.reason)
		}
	}
	return nil
}
