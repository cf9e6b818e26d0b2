package huggingface_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
)

// configWith is a config.json with members changed, given as JSON; an empty
// text takes one away.
func configWith(t *testing.T, change map[string]string) []byte {
	t.Helper()
	o := map[string]json.RawMessage{}
	for name, v := range map[string]string{
		"model_type": `"gpt2"`, "vocab_size": "61", "n_positions": "16", "n_embd": "24", "n_layer": "2", "n_head": "3",
	} {
		o[name] = json.RawMessage(v)
	}
	for name, v := range change {
		if o[name] = json.RawMessage(v); v == "" {
			delete(o, name)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseConfig(t *testing.T) {
	base := arch.GPT2{Vocab: 61, Context: 16, Width: 24, Layers: 2, Heads: 3, Inner: 96, Epsilon: 1e-5}
	for _, c := range []struct {
		change map[string]string
		want   func(*arch.GPT2)
	}{
		{nil, func(*arch.GPT2) {}},
		{map[string]string{"n_inner": "null"}, func(*arch.GPT2) {}},
		{map[string]string{"n_inner": "50"}, func(c *arch.GPT2) { c.Inner = 50 }},
		{map[string]string{"layer_norm_epsilon": "1E-6"}, func(c *arch.GPT2) { c.Epsilon = 1e-6 }},
		{map[string]string{"n_positions": "", "n_ctx": "20"}, func(c *arch.GPT2) { c.Context = 20 }},
		{map[string]string{"n_ctx": "20"}, func(*arch.GPT2) {}},
		{map[string]string{"activation_function": `"gelu_new"`}, func(*arch.GPT2) {}},
		{map[string]string{"activation_function": `"gelu_fast"`}, func(*arch.GPT2) {}},
		{map[string]string{"activation_function": `"gelu_accurate"`}, func(*arch.GPT2) {}},
		{map[string]string{"activation_function": `"gelu_python_tanh"`}, func(*arch.GPT2) {}},
		{map[string]string{"n_positions": "", "max_position_embeddings": "16", "n_embd": "", "hidden_size": "24", "n_layer": "", "num_hidden_layers": "2",
			"n_head": "", "num_attention_heads": "3"}, func(*arch.GPT2) {}},
		{map[string]string{"hidden_size": "24", "num_hidden_layers": "null", "max_position_embeddings": "16", "n_ctx": "20"}, func(*arch.GPT2) {}},
		{map[string]string{"model_type": "", "architectures": `["GPT2LMHeadModel"]`}, func(*arch.GPT2) {}},
		{map[string]string{"tie_word_embeddings": "false"}, func(c *arch.GPT2) { c.Untied = true }},
		{map[string]string{"activation_function": `"relu"`}, func(c *arch.GPT2) { c.Activation = "relu" }},
		{map[string]string{"scale_attn_weights": "false"}, func(c *arch.GPT2) { c.UnscaledScores = true }},
		{map[string]string{"scale_attn_by_inverse_layer_idx": "true"}, func(c *arch.GPT2) { c.LayerScores = true }},
		{map[string]string{"reorder_and_upcast_attn": "true", "use_cache": "false", "gradient_checkpointing": "true", "output_attentions": "true",
			"torch_dtype": `"float16"`, "dtype": `"bfloat16"`, "pruned_heads": "{}", "quantization_config": "null", "id2label": `{"0":"a"}`, "summary_type": `"mean"`}, func(*arch.GPT2) {}},
		{map[string]string{"activation_function": `"gelu_pytorch_tanh"`, "tie_word_embeddings": "true", "scale_attn_weights": "true",
			"scale_attn_by_inverse_layer_idx": "false", "reorder_and_upcast_attn": "false", "add_cross_attention": "false"}, func(*arch.GPT2) {}},
		{map[string]string{"task_specific_params": `{"text-generation":{"do_sample":true}}`, "attn_pdrop": "0.1", "x": "[null,1e999]"}, func(*arch.GPT2) {}},
	} {
		want := base
		c.want(&want)
		if got, err := huggingface.ParseConfig(configWith(t, c.change)); err != nil || got != want {
			t.Errorf("%v: got %+v, %v", c.change, got, err)
		}
	}
	text := configWith(t, map[string]string{"model_type": `"simple"`, "n_layer": "1", "position_embeddings": "false", "layer_norm_epsilon": "0"})
	want := arch.Simple{Vocab: 61, Context: 16, Width: 24, Heads: 3, Inner: 96}
	if got, err := huggingface.ParseConfig(text); err != nil || got != want {
		t.Errorf("simple: got %+v, %v", got, err)
	}
}

func TestRefusedConfigs(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"model_type", "", "model_type is missing"},
		{"model_type", `"gptj"`, `model_type is "gptj": supported are gpt2, llama`},
		{"model_type", "null", "model_type is"},
		{"model_type", `"simple"`, "position_embeddings is missing"},
		{"vocab_size", "", "vocab_size is missing"},
		{"n_positions", "", "n_positions is missing"},
		{"n_embd", "", "n_embd is missing"},
		{"n_layer", "", "n_layer is missing"},
		{"n_head", "", "n_head is missing"},
		{"n_embd", "null", "n_embd is"},
		{"n_embd", "-24", "n_embd is"},
		{"n_embd", "24.0", "n_embd is"},
		{"n_embd", "2.4e1", "n_embd is"},
		{"n_embd", `"24"`, "n_embd is"},
		{"n_embd", "99999999999999999999", "n_embd is"},
		{"n_embd", "1048577", "n_embd is 1048577, must be from 1 to"},
		{"n_embd", "25", "n_head 3 does not divide n_embd 25"},
		{"n_layer", "0", "n_layer is 0"},
		{"n_inner", "false", "n_inner is"},
		{"n_inner", "0", "n_inner is 0"},
		{"n_positions", "131073", "n_positions is 131073, must be from 1 to 131072"},
		{"layer_norm_epsilon", "0", "layer_norm_epsilon is 0"},
		{"layer_norm_epsilon", "null", "layer_norm_epsilon is"},
		{"layer_norm_epsilon", `"1e-5"`, "layer_norm_epsilon is"},
		{"layer_norm_epsilon", "1e999", "layer_norm_epsilon is"},
		{"activation_function", "null", "activation_function is"},
		{"hidden_size", "99", `n_embd is "24" and hidden_size is "99": these are two names of one size`},
		{"num_attention_heads", "4", "two names of one size"},
		{"max_position_embeddings", "17", "two names of one size"},
		{"quantization_config", `{"load_in_8bit":true}`, "save the model without quantization"},
		{"pruned_heads", `{"0":[1]}`, "only a network with all its heads is read"},
		{"activation_function", `"gelu_10"`, `activation_function is "gelu_10"`},
		{"tie_word_embeddings", "null", "tie_word_embeddings is"}, // false to Python
		{"scale_attn_weights", "1", "scale_attn_weights is"},
		{"scale_attn_by_inverse_layer_idx", "0", "scale_attn_by_inverse_layer_idx is"},
		{"add_cross_attention", "true", "add_cross_attention is true"},
		{"add_cross_attention", "1", "add_cross_attention is"},
		{"position_embeddings", "false", "position_embeddings is false"},
		{"x", `{"a":1,"a":2}`, "a name is used twice"},
		{"x", `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", "not strict JSON"},
	} {
		// The standard library would write a nested value anew: paste it in.
		text := configWith(t, map[string]string{c.name: ""})
		if c.value != "" {
			text = append(text[:len(text)-1], `,"`+c.name+`":`+c.value+"}"...)
		}
		_, err := huggingface.ParseConfig(text)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %.40s: got %v, want it to say %q in one short line", c.name, c.value, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"": "not strict JSON", "null": "expected a JSON object", "[]": "expected a JSON object", "{": "not strict JSON", "{} {}": "unexpected text after",
		"{'a':1}": "not strict JSON", `{"n_layer":1,"n_layer":1}`: "a name is used twice", "\ufeff{}": "byte order mark", `{"a":NaN}`: "byte 5: NaN is a number in Python",
		`{"a":Infinity}`: "byte 5: Infinity is", `{"a":[1,-Infinity]}`: "byte 8: -Infinity is",
		"{\"a\":\"\xff\"}": "not strict JSON",
	} {
		if _, err := huggingface.ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want it to say %q", text, err, want)
		}
	}
}

// llamaConfig is the config.json of a small Llama.
const llamaConfig = `{"model_type":"llama","vocab_size":61,"hidden_size":24,"intermediate_size":37,"num_hidden_layers":2,"num_attention_heads":4%s}`

// TestDecoderConfigs reads the settings of rotary positions and of windows in
// the forms of transformers 4 and 5.
func TestDecoderConfigs(t *testing.T) {
	base := arch.Llama{Vocab: 61, Context: 2048, Width: 24, Inner: 37, Layers: 2, Heads: 4, KVHeads: 4, HeadWidth: 6, Activation: "silu", Epsilon: 1e-6, Rope: arch.Rope{Type: "default", Theta: 10000}}
	llama3 := arch.Rope{Type: "llama3", Theta: 5, Factor: 8, Low: 1, High: 4, Original: 16}
	for more, want := range map[string]func(*arch.Llama){
		"": func(*arch.Llama) {},
		`,"num_key_value_heads":2,"head_dim":null,"tie_word_embeddings":true`: func(n *arch.Llama) { n.KVHeads, n.Tied = 2, true },
		`,"head_dim":10,"attention_bias":true,"mlp_bias":true`:                func(n *arch.Llama) { n.HeadWidth, n.AttentionBias, n.MLPBias = 10, true, true },
		`,"rope_theta":5.0,"rope_scaling":null`:                               func(n *arch.Llama) { n.Rope.Theta = 5 },
		`,"rope_theta":5,"rope_scaling":{"type":"linear","factor":2}`:         func(n *arch.Llama) { n.Rope = arch.Rope{Type: "linear", Theta: 5, Factor: 2} },
		`,"rope_scaling":{"type":"dynamic","factor":2}`:                       func(*arch.Llama) {},
		`,"rope_theta":5,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":16}`:    func(n *arch.Llama) { n.Rope = llama3 },
		`,"rope_parameters":{"rope_theta":5,"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":16}`: func(n *arch.Llama) { n.Rope = llama3 },
		`,"rope_parameters":{"rope_type":"yarn","factor":4,"truncate":false},"max_position_embeddings":64`: func(n *arch.Llama) {
			n.Context, n.Rope = 64, arch.Rope{Type: "yarn", Theta: 10000, Factor: 4, Original: 64, Untruncated: true}
		},
		`,"pretraining_tp":2,"use_cache":false,"torch_dtype":"float16","dtype":"float16","attention_dropout":0.5,"bos_token_id":1,"rope_interleaved":false,"y":null`: func(*arch.Llama) {},
	} {
		n := base
		want(&n)
		if got, err := huggingface.ParseConfig(fmt.Appendf(nil, llamaConfig, more)); err != nil || got != n {
			t.Errorf("%s: got %+v, %v", more, got, err)
		}
	}
	for more, want := range map[string]string{
		`,"num_key_value_heads":3`:                            "num_key_value_heads 3 does not divide num_attention_heads 4",
		`,"num_key_value_heads":0`:                            "num_key_value_heads is 0",
		`,"head_dim":5`:                                       "head_dim 5: rotary positions rotate pairs",
		`,"hidden_act":"gelu_10"`:                             `hidden_act is "gelu_10"`,
		`,"rms_norm_eps":1`:                                   "rms_norm_eps is 1",
		`,"max_position_embeddings":131073`:                   "max_position_embeddings is 131073",
		`,"sliding_window":5`:                                 "sliding_window is",
		`,"a_switch":true`:                                    "a_switch is",
		`,"rope_interleaved":true`:                            "rope_interleaved is",
		`,"is_encoder_decoder":true`:                          "is_encoder_decoder is",
		`,"a_number":0`:                                       "a_number is",
		`,"quantization_config":{"bits":4}`:                   "without quantization",
		`,"rope_scaling":{"rope_type":"longrope","factor":2}`: `rope_type is "longrope", supported are default, linear, llama3, yarn`,
		`,"rope_scaling":{"rope_type":"longrope","long_factor":[2],"short_factor":[1]}`: `rope_type is "longrope", supported are`,
		`,"attn_logit_softcapping":30.0`:                                                "attn_logit_softcapping is \"30.0\", and attnx does not support this setting: export the model",
		`,"use_bidirectional_attention":true`:                                           "use_bidirectional_attention is \"true\", and attnx does not support this setting: export the model",
		`,"rope_scaling":{"rope_type":"linear"}`:                                        "factor of the rope_type",
		`,"rope_scaling":{"rope_type":"linear","factor":-1}`:                            "factor is -1",
		`,"rope_scaling":{"rope_type":"linear","factor":2,"alpha":1}`:                   "rope_parameters: alpha is",
		`,"rope_scaling":[]`:                                                            "rope_scaling: ",
		`,"rope_parameters":{"rope_type":7}`:                                            "rope_type is",
		`,"rope_theta":0`:                                                               "rope_theta is 0",
		`,"rope_theta":"x"`:                                                             "rope_theta is",
		`,"partial_rotary_factor":0.5`:                                                  "partial_rotary_factor is",
		`,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}`: "low_freq_factor is 4",
	} {
		if got, err := huggingface.ParseConfig(fmt.Appendf(nil, llamaConfig, more)); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%s: got %+v, %v, want %q", more, got, err, want)
		}
	}
	qwen := strings.Replace(llamaConfig, "llama", "qwen2", 1)
	for more, want := range map[string]arch.LayerTypes{
		`,"sliding_window":5`: "", // without use_sliding_window
		`,"sliding_window":5,"use_sliding_window":true,"max_window_layers":1`:                                "full_attention sliding_attention",
		`,"sliding_window":5,"use_sliding_window":true`:                                                      "full_attention full_attention",
		`,"sliding_window":5,"use_sliding_window":true,"layer_types":["sliding_attention","full_attention"]`: "sliding_attention full_attention",
	} {
		got, err := huggingface.ParseConfig(fmt.Appendf(nil, qwen, more))
		if n, ok := got.(arch.Qwen2); err != nil || !ok || n.LayerTypes != want {
			t.Errorf("%s: got %+v, %v", more, got, err)
		}
	}
	for more, want := range map[string]string{
		`,"use_sliding_window":true,"layer_types":["sliding_attention","full_attention"]`: "sliding_window is 0",
		`,"layer_types":["full_attention"]`:                                               "layer_types has 1 entries for 2 layers",
		`,"layer_types":["full_attention","linear_attention"]`:                            `layer_types[1] is "linear_attention"`,
		`,"layer_types":7`: "layer_types",
		`,"head_dim":7`:    `head_dim is "7", only hidden_size divided by`,
	} {
		if got, err := huggingface.ParseConfig(fmt.Appendf(nil, qwen, more)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %q", more, got, err, want)
		}
	}
}
