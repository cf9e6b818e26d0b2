package huggingface

import (
	"cmp"
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

// llama is the row of Llama.
var llama = decoder(arch.Llama{}.Architecture(), "LlamaForCausalLM", decoderSettings("2048", setting{"head_dim", whole, ""},
	setting{"attention_bias", boolean, "false"}, setting{"mlp_bias", boolean, "false"}))

// mistral is the row of Mistral.
var mistral = decoder(arch.Mistral{}.Architecture(), "MistralForCausalLM", decoderSettings("131072", setting{"head_dim", whole, ""}, setting{"sliding_window", whole, "0"}))

// qwen2 is the row of Qwen2.
var qwen2 = decoder(arch.Qwen2{}.Architecture(), "Qwen2ForCausalLM", decoderSettings("32768", windows...))

// qwen3 is the row of Qwen3.
var qwen3 = decoder(arch.Qwen3{}.Architecture(), "Qwen3ForCausalLM", decoderSettings("32768",
	append(windows, setting{"head_dim", whole, "128"}, setting{"attention_bias", boolean, "false"})...))

// windows are the settings of networks in which some layers have a window.
var windows = []setting{{"sliding_window", whole, "0"}, {"layer_types", raw, "[]"}}

// decoder returns the row of a network in the manner of Llama.
func decoder(name, class string, settings []setting) family {
	return family{
		arch:      name,
		class:     class,
		prefix:    "model.",
		roots:     []string{"embed_tokens", "layers", "norm", "lm_head", "score", "classifier", "qa_outputs"},
		head:      "lm_head.weight",
		heads:     []string{"score."},
		embedding: "embed_tokens.weight",
		buffer:    isInvFreq,
		parse: func(o object) (nn.Network, error) {
			o = maps.Clone(o)
			if err := o.completeDecoder(settings); err != nil {
				return nil, err
			}
			settled, err := o.settle(settings)
			if err != nil {
				return nil, err
			}
			text, err := json.Marshal(settled)
			if err != nil {
				return nil, err
			}
			return arch.Parse(name, text)
		},
		members: decoderMembers,
	}
}

// isInvFreq reports whether a tensor holds the angles of rotary positions, which
// old files contain.
func isInvFreq(name string, _ int) bool { return strings.HasSuffix(name, ".inv_freq") }

// decoderSettings are the settings that all networks in the manner of Llama
// have, and others. context is transformers' default of the longest sequence.
func decoderSettings(context string, more ...setting) []setting {
	return append([]setting{
		{"vocab_size", whole, ""}, {"max_position_embeddings", whole, context}, {"hidden_size", whole, ""}, {"intermediate_size", whole, ""},
		{"num_hidden_layers", whole, ""}, {"num_attention_heads", whole, ""}, {"num_key_value_heads", whole, ""}, {"hidden_act", text, `"silu"`},
		{"rms_norm_eps", number, "1e-6"}, {"rope_parameters", raw, ""}, {"tie_word_embeddings", boolean, "false"},
	}, more...)
}

// completeDecoder sets members that follow from others, and removes those that
// are then without a meaning.
func (o object) completeDecoder(settings []setting) error {
	has := func(name string) bool {
		return slices.ContainsFunc(settings, func(s setting) bool { return s.name == name })
	}
	for _, s := range settings { // others are derived from it
		if s.name == "max_position_embeddings" && o.null(s.name) {
			o[s.name] = []byte(s.missing)
		}
	}
	width, err := o.size("hidden_size")
	if err != nil {
		return err
	}
	heads, err := o.size("num_attention_heads")
	if err != nil {
		return err
	}
	if o.null("num_key_value_heads") {
		o["num_key_value_heads"] = o["num_attention_heads"]
	}
	headWidth := width / max(heads, 1)
	switch given := has("head_dim"); {
	case given && o.null("head_dim") && heads > 0 && width%heads != 0:
		return fmt.Errorf("num_attention_heads %d does not divide hidden_size %d", heads, width)
	case given && o.null("head_dim") && !slices.Contains(settings, setting{"head_dim", whole, "128"}):
		o["head_dim"] = []byte(strconv.Itoa(headWidth))
	case !given && !o.null("head_dim"):
		if n, err := o.size("head_dim"); err != nil || n != headWidth {
			return fmt.Errorf("head_dim is %s, only hidden_size divided by num_attention_heads is supported, %d", quote.String(string(o["head_dim"])), headWidth)
		}
		delete(o, "head_dim")
	}
	if has("layer_types") {
		if err := o.completeWindows(); err != nil {
			return err
		}
	}
	return o.completeRope(0)
}

// completeWindows writes use_sliding_window and max_window_layers, from which
// older files derive the types of the layers, as layer_types.
func (o object) completeWindows() error {
	uses, err := o.flag("use_sliding_window", false)
	if err != nil {
		return err
	}
	if !uses {
		delete(o, "sliding_window")
	}
	layers, err := o.size("num_hidden_layers")
	if err != nil {
		return err
	}
	const most = 1 << 12
	if o.null("layer_types") && uses && !o.null("sliding_window") && layers <= most {
		first := 28 // transformers' default
		if !o.null("max_window_layers") {
			if first, err = o.size("max_window_layers"); err != nil {
				return err
			}
		}
		types := make([]string, layers)
		for i := range types {
			types[i] = "full_attention"
			if i >= first {
				types[i] = "sliding_attention"
			}
		}
		if o["layer_types"], err = json.Marshal(types); err != nil {
			return err
		}
	}
	delete(o, "use_sliding_window")
	delete(o, "max_window_layers")
	return nil
}

// ropeSettings are those of rotary positions.
var ropeSettings = []setting{
	{"rope_type", text, `"default"`}, {"rope_theta", number, "10000"}, {"factor", number, "0"},
	{"original_max_position_embeddings", whole, "0"}, {"low_freq_factor", number, "0"}, {"high_freq_factor", number, "0"},
	{"beta_fast", number, "0"}, {"beta_slow", number, "0"}, {"attention_factor", number, "0"}, {"mscale", number, "0"}, {"mscale_all_dim", number, "0"},
}

// completeRope writes the older forms of the settings of rotary positions
// (rope_theta and rope_scaling) as rope_parameters. partial is transformers'
// default of the share of a head that is rotated; 0: it rotates whole heads.
func (o object) completeRope(partial float64) error {
	rope := object{}
	for _, name := range []string{"rope_scaling", "rope_parameters"} {
		if o.null(name) {
			continue
		}
		inner, err := parseObject(o[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		maps.Copy(rope, inner)
		delete(o, name)
	}
	if rope.null("rope_theta") && !o.null("rope_theta") {
		rope["rope_theta"] = o["rope_theta"]
	}
	delete(o, "rope_theta")
	if share := rope["partial_rotary_factor"]; !rope.null("partial_rotary_factor") {
		o["partial_rotary_factor"] = share
	}
	delete(rope, "partial_rotary_factor")
	share, err := o.number("partial_rotary_factor", cmp.Or(partial, 1))
	if err != nil || partial == 0 && share != 1 {
		return cmp.Or(err, fmt.Errorf("partial_rotary_factor is %g: transformers rotates whole heads of this network and ignores it: remove it", share))
	}
	delete(o, "partial_rotary_factor")
	if rope.null("rope_type") && !rope.null("type") {
		rope["rope_type"] = rope["type"] // its first name
	}
	delete(rope, "type")
	form, err := rope.text("rope_type", "default")
	if err != nil {
		return err
	}
	if form != "dynamic" { // before its own settings, which are not known then
		if err := (arch.Rope{Type: form}).CheckType(); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
	}
	scales := form == "llama3" || form == "yarn"
	switch {
	case scales && !o.null("original_max_position_embeddings"):
		rope["original_max_position_embeddings"] = o["original_max_position_embeddings"]
	case scales && rope.null("original_max_position_embeddings"):
		rope["original_max_position_embeddings"] = o["max_position_embeddings"]
	case form == "dynamic": // up to max_position_embeddings, the longest sequence here, it changes nothing
		rope["rope_type"] = []byte(`"default"`)
		delete(rope, "factor")
	}
	delete(o, "original_max_position_embeddings")
	cut, err := rope.flag("truncate", true)
	if err != nil {
		return err
	}
	delete(rope, "truncate")
	settled, err := rope.settle(ropeSettings)
	if err != nil {
		return fmt.Errorf("rope_parameters: %w", err)
	}
	if !cut {
		settled["untruncated"] = []byte("true")
	}
	if partial > 0 {
		settled["partial_rotary_factor"] = strconv.AppendFloat(nil, share, 'g', -1, 64)
	}
	o["rope_parameters"], err = json.Marshal(settled)
	return err
}

// decoderMembers are the members of a config.json that transformers 4 and 5
// read: rotary positions have the older form, which both know.
func decoderMembers(n nn.Network) (list []member, err error) {
	all, err := membersOf(n)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		value := m.value.(json.RawMessage)
		switch m.name {
		case "rope_parameters":
			rope, err := ropeMembers(value)
			if err != nil {
				return nil, err
			}
			list = append(list, rope...)
		case "sliding_window":
			if string(value) == "0" {
				m.value = nil
			}
			list = append(list, m)
		case "layer_types":
			if string(value) != "[]" {
				list = append(list, m, member{"use_sliding_window", true})
			}
		default:
			list = append(list, m)
		}
	}
	return list, nil
}

// ropeMembers returns rope_theta and, unless the positions are as they are,
// rope_scaling.
func ropeMembers(text []byte) ([]member, error) {
	var rope arch.Rope
	if err := json.Unmarshal(text, &rope); err != nil {
		return nil, err
	}
	out := []member{{"rope_theta", rope.Theta}}
	if rope.Partial > 0 {
		out = append(out, member{"partial_rotary_factor", rope.Partial})
	}
	if rope.Type == "default" {
		return out, nil
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	delete(o, "rope_theta")
	delete(o, "partial_rotary_factor")
	if rope.Untruncated {
		delete(o, "untruncated")
		o["truncate"] = []byte("false")
	}
	for _, s := range ropeSettings { // transformers 4 warns of a factor without a point
		if text := string(o[s.name]); s.kind == number && text != "" && !strings.ContainsAny(text, ".eE") {
			o[s.name] = []byte(text + ".0")
		}
	}
	return append(out, member{"rope_scaling", o}), nil
}
