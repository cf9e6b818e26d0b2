package huggingface

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// plainSettings are the settings of decoders with a plain feed-forward network, and
// others.
func plainSettings(more ...setting) []setting {
	return append([]setting{
		{"vocab_size", whole, ""}, {"max_position_embeddings", whole, "2048"}, {"hidden_size", whole, ""},
		{"num_hidden_layers", whole, ""}, {"num_attention_heads", whole, ""},
	}, more...)
}

// settled returns a function that reads a config.json: complete sets members that
// follow from others, and settings are then all that there is.
func settled(name string, settings []setting, complete func(o object) error) func(o object) (nn.Network, error) {
	return func(o object) (nn.Network, error) {
		o = maps.Clone(o)
		if err := complete(o); err != nil {
			return nil, err
		}
		all, err := o.settle(settings)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(all)
		if err != nil {
			return nil, err
		}
		return arch.Parse(name, text)
	}
}

// gptNeoX is the row of GPT-NeoX.
var gptNeoX = family{
	arch:      arch.GPTNeoX{}.Architecture(),
	class:     "GPTNeoXForCausalLM",
	prefix:    "gpt_neox.",
	roots:     []string{"embed_in", "layers", "final_layer_norm", "embed_out", "score", "classifier", "qa_outputs"},
	module:    "lm_head.weight",
	head:      "embed_out.weight",
	heads:     []string{"score.", "classifier."},
	embedding: "embed_in.weight",
	buffer: func(name string, layers int) bool {
		return isInvFreq(name, layers) || strings.HasSuffix(name, ".attention.bias") || strings.HasSuffix(name, ".attention.masked_bias")
	},
	parse: settled(arch.GPTNeoX{}.Architecture(), plainSettings(
		setting{"intermediate_size", whole, ""}, setting{"hidden_act", text, `"gelu"`}, setting{"layer_norm_eps", number, "1e-5"}, setting{"rope_parameters", raw, ""},
		setting{"attention_bias", boolean, "true"}, setting{"use_parallel_residual", boolean, "true"}, setting{tiedKey, boolean, "false"}),
		func(o object) error {
			o.rename("rotary_pct", "partial_rotary_factor")
			o.rename("rotary_emb_base", "rope_theta")
			return o.completeRope(0.25)
		}),
	members: func(n nn.Network) ([]member, error) {
		list, err := decoderMembers(n)
		for i, m := range list {
			list[i].name = map[string]string{"partial_rotary_factor": "rotary_pct", "rope_theta": "rotary_emb_base"}[m.name]
			if list[i].name == "" {
				list[i].name = m.name
			}
		}
		return list, err
	},
}

// phi is the row of Phi.
var phi = family{
	arch:      arch.Phi{}.Architecture(),
	class:     "PhiForCausalLM",
	prefix:    "model.",
	roots:     []string{"embed_tokens", "layers", "final_layernorm", "lm_head", "score", "classifier"},
	head:      "lm_head.weight",
	heads:     []string{"lm_head.", "score."},
	embedding: "embed_tokens.weight",
	buffer:    isInvFreq,
	parse: settled(arch.Phi{}.Architecture(), plainSettings(
		setting{"intermediate_size", whole, ""}, setting{"num_key_value_heads", whole, ""}, setting{"hidden_act", text, `"gelu_new"`}, setting{"layer_norm_eps", number, "1e-5"},
		setting{"rope_parameters", raw, ""}, setting{"qk_layernorm", boolean, "false"}, setting{tiedKey, boolean, "false"}),
		func(o object) error {
			if o.null("num_key_value_heads") {
				o["num_key_value_heads"] = o["num_attention_heads"]
			}
			return o.completeRope(0.5)
		}),
	members: decoderMembers,
}

// opt is the row of OPT.
var opt = family{
	arch:      arch.OPT{}.Architecture(),
	class:     "OPTForCausalLM",
	prefix:    "model.decoder.",
	bare:      "decoder.",
	roots:     []string{"embed_tokens", "embed_positions", "project_in", "project_out", "layers", "final_layer_norm", "lm_head", "score", "qa_outputs"},
	head:      "lm_head.weight",
	heads:     []string{"score."},
	embedding: "embed_tokens.weight",
	tokenizer: "GPT2Tokenizer",
	parse: settled(arch.OPT{}.Architecture(), plainSettings(
		setting{"word_embed_proj_dim", whole, ""}, setting{"ffn_dim", whole, ""}, setting{"activation_function", text, `"relu"`},
		setting{"do_layer_norm_before", boolean, "true"}, setting{"_remove_final_layer_norm", boolean, "false"}, setting{"enable_bias", boolean, "true"},
		setting{tiedKey, boolean, "true"}),
		func(o object) error {
			if o.null("word_embed_proj_dim") {
				o["word_embed_proj_dim"] = o["hidden_size"]
			}
			if on, err := o.flag("layer_norm_elementwise_affine", true); err != nil || !on {
				return orError(err, "layer_norm_elementwise_affine is false, only true is supported: norms have weights")
			}
			for _, name := range []string{"layer_norm_elementwise_affine", "layerdrop", "init_std"} { // of the training
				delete(o, name)
			}
			return nil
		}),
	members: plainMembers,
}

// gptBigCode is the row of GPT-BigCode.
var gptBigCode = family{
	arch:      arch.GPTBigCode{}.Architecture(),
	class:     "GPTBigCodeForCausalLM",
	prefix:    "transformer.",
	roots:     []string{"wte", "wpe", "h", "ln_f", "lm_head", "score", "classifier"},
	head:      "lm_head.weight",
	heads:     []string{"score.", "classifier."},
	embedding: "wte.weight",
	tokenizer: "GPT2Tokenizer",
	buffer:    func(name string, layers int) bool { return isMask(name, layers) || name == "bias" },
	parse: settled(arch.GPTBigCode{}.Architecture(), []setting{
		{"vocab_size", whole, ""}, {"n_positions", whole, "1024"}, {"n_embd", whole, ""}, {"n_inner", whole, ""}, {"n_layer", whole, ""}, {"n_head", whole, ""},
		{"layer_norm_epsilon", number, "1e-5"}, {"activation_function", text, `"gelu_pytorch_tanh"`}, {"scale_attn_weights", boolean, "true"},
		{"multi_query", boolean, "true"}, {tiedKey, boolean, "true"}}, object.completeBigCode),
	members: plainMembers,
}

// completeBigCode gives the sizes their own names, and removes what says how a
// network is computed and not what.
func (o object) completeBigCode() error {
	for _, name := range []string{"n_positions", "n_embd", "n_layer", "n_head"} {
		of, err := o.named(name)
		if err != nil {
			return err
		}
		o[name] = o[of]
		for _, alias := range aliases[name] {
			delete(o, alias)
		}
	}
	if o.null("n_inner") {
		width, err := o.size("n_embd")
		if err != nil {
			return err
		}
		o["n_inner"] = []byte(strconv.Itoa(4 * width))
	}
	if on, err := o.flag("add_cross_attention", false); err != nil || on {
		return orError(err, "add_cross_attention is true, only false is supported: there is no encoder to attend to")
	}
	for name := range o {
		if slices.Contains(strings.Fields("num_key_value_heads attention_softmax_in_fp32 scale_attention_softmax_in_fp32 inference_runner pad_key_length "+
			"pre_allocate_kv_cache validate_runner_input"), name) || strings.HasPrefix(name, "summary_") {
			delete(o, name)
		}
	}
	return nil
}

// gemma3 is the row of Gemma 3.
var gemma3 = family{
	arch:      arch.Gemma3{}.Architecture(),
	class:     "Gemma3ForCausalLM",
	prefix:    "model.",
	roots:     []string{"embed_tokens", "layers", "norm", "lm_head", "score", "classifier"},
	head:      "lm_head.weight",
	heads:     []string{"score."},
	trunk:     "Gemma3Text",
	embedding: "embed_tokens.weight",
	buffer:    isInvFreq,
	parse: settled(arch.Gemma3{}.Architecture(), []setting{
		{"vocab_size", whole, "262208"}, {"max_position_embeddings", whole, "131072"}, {"hidden_size", whole, ""}, {"intermediate_size", whole, ""},
		{"num_hidden_layers", whole, ""}, {"num_attention_heads", whole, ""}, {"num_key_value_heads", whole, "4"}, {"head_dim", whole, "256"},
		{"hidden_activation", text, `"gelu_pytorch_tanh"`}, {"rms_norm_eps", number, "1e-6"}, {"rope_parameters", raw, ""}, {"rope_local_base_freq", number, "10000"},
		{"attention_bias", boolean, "false"}, {"query_pre_attn_scalar", number, "256"}, {"sliding_window", whole, "4096"}, {"layer_types", raw, ""},
		{"final_logit_softcapping", number, "0"}, {tiedKey, boolean, "true"}}, object.completeGemma3),
	members: func(n nn.Network) ([]member, error) {
		list, err := decoderMembers(n)
		for i, m := range list {
			text, _ := m.value.(json.RawMessage)
			switch {
			case m.name != "final_logit_softcapping":
			case string(text) == "0":
				list[i].value = nil
			case !strings.ContainsAny(string(text), ".eE"): // transformers expects a point
				list[i].value = append(slices.Clone(text), ".0"...)
			}
		}
		return slices.DeleteFunc(list, func(m member) bool { return m.name == "use_sliding_window" }), err
	},
}

// completeGemma3 writes the types of the layers where only their pattern is given,
// and the settings of both rotary positions in one form.
func (o object) completeGemma3() error {
	pattern := 6 // transformers' default: each sixth layer has no window
	for _, name := range []string{"sliding_window_pattern", "_sliding_window_pattern"} {
		if !o.null(name) {
			var err error
			if pattern, err = o.size(name); err != nil {
				return err
			}
		}
		delete(o, name)
	}
	layers, err := o.size("num_hidden_layers")
	if err != nil {
		return err
	}
	const most = 1 << 12
	if o.null("layer_types") && layers <= most && pattern > 0 {
		types := make([]string, layers)
		for i := range types {
			types[i] = "sliding_attention"
			if (i+1)%pattern == 0 {
				types[i] = "full_attention"
			}
		}
		if o["layer_types"], err = json.Marshal(types); err != nil {
			return err
		}
	}
	delete(o, "cache_implementation")
	if o.null("rope_theta") {
		o["rope_theta"] = []byte("1000000.0")
	}
	if err := o.completeLocalRope(); err != nil {
		return err
	}
	return o.completeRope(0)
}

// completeLocalRope takes the settings of layers with a window out of
// rope_parameters, where newer files have them for each type of layer.
func (o object) completeLocalRope() error {
	if o.null("rope_parameters") {
		return nil
	}
	both, err := parseObject(o["rope_parameters"])
	if err != nil {
		return fmt.Errorf("rope_parameters: %w", err)
	}
	if both.null("full_attention") && both.null("sliding_attention") {
		return nil
	}
	if local := both["sliding_attention"]; !both.null("sliding_attention") {
		rope, err := parseObject(local)
		if err != nil {
			return fmt.Errorf("rope_parameters: sliding_attention: %w", err)
		}
		if kind, err := rope.text("rope_type", "default"); err != nil || kind != "default" {
			return orError(err, "rope_parameters: the rope_type of sliding_attention is "+quote.String(kind)+", only default is supported")
		}
		if !rope.null("rope_theta") {
			o["rope_local_base_freq"] = rope["rope_theta"]
		}
	}
	delete(o, "rope_parameters")
	if !both.null("full_attention") {
		o["rope_parameters"] = both["full_attention"]
	}
	return nil
}

// orError returns err, or an error of the text if that is nil.
func orError(err error, text string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s", text)
}

// rename gives a member that is there another name.
func (o object) rename(old, now string) {
	if !o.null(old) && o.null(now) {
		o[now] = o[old]
	}
	delete(o, old)
}

// plainMembers are the members of a network's configuration as they are.
func plainMembers(n nn.Network) ([]member, error) { return membersOf(n) }
