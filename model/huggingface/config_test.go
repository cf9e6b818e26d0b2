package huggingface_test

import (
	"encoding/json"
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
		{map[string]string{"tie_word_embeddings": "false"}, func(*arch.GPT2) {}}, // the weights decide
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
		{"model_type", `"llama"`, `model_type is "llama": only "gpt2" is read`},
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
		{"activation_function", `"relu"`, `activation_function is "relu": only the one of GPT-2`},
		{"activation_function", `"gelu"`, `activation_function is "gelu"`},
		{"activation_function", "null", "activation_function is"},
		{"hidden_size", "99", `n_embd is "24" and hidden_size is "99": these are two names of one size`},
		{"num_attention_heads", "4", "two names of one size"},
		{"max_position_embeddings", "17", "two names of one size"},
		{"quantization_config", `{"load_in_8bit":true}`, "save the model without quantization"},
		{"pruned_heads", `{"0":[1]}`, "only a network with all its heads is read"},
		{"activation_function", `"gelu_10"`, `activation_function is "gelu_10"`},
		{"activation_function", `"quick_gelu"`, `activation_function is "quick_gelu"`},
		{"tie_word_embeddings", "null", "tie_word_embeddings is"}, // false to Python
		{"scale_attn_weights", "false", "scale_attn_weights is false"},
		{"scale_attn_by_inverse_layer_idx", "true", "scale_attn_by_inverse_layer_idx is true"},
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
