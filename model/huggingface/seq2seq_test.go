package huggingface_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/huggingface"
)

// The encoder states and logits of small networks that transformers saved are
// PyTorch's (fixtures/oracle/huggingface_seq2seq.py --small), before they are written
// and after.
func TestSmallTranslators(t *testing.T) {
	dir := filepath.Join("..", "..", "fixtures", "translators")
	made, inputs := seq2seqIn(t, filepath.Join(dir, "cases.json"))
	for _, c := range made.Cases {
		got, _ := mustRead(t, filepath.Join(dir, c.Name))
		wantOutputs(t, c.Name, outputsOf(t, got, inputs), c.Outputs)
		back := filepath.Join(t.TempDir(), "back")
		if _, err := huggingface.Write(back, got, format.Float32); err != nil {
			t.Fatal(err)
		}
		again, _ := mustRead(t, back)
		if string(again.Config) != string(got.Config) || again.Weights.Hash() != got.Weights.Hash() || again.Special.Start == nil || *again.Special.Start != 0 {
			t.Errorf("%s: written and read back it is another model: %s, %s", c.Name, again.Config, got.Config)
		}
	}
}

// A setting that selects another network is refused by its name.
func TestTranslatorsRefuse(t *testing.T) {
	t5 := map[string]any{"model_type": "t5", "architectures": []string{"T5ForConditionalGeneration"}, "vocab_size": 30, "d_model": 8, "num_heads": 2, "is_encoder_decoder": true}
	marian := map[string]any{"model_type": "marian", "vocab_size": 30, "d_model": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
	for _, c := range []struct {
		base   map[string]any
		member string
		value  any
	}{
		{t5, "architectures", []string{"T5EncoderModel"}}, {t5, "feed_forward_proj", "gated-nothing"}, {t5, "is_encoder_decoder", false}, {t5, "dense_act_fn", "silu"},
		{t5, "is_gated_act", true}, {t5, "relative_attention_num_buckets", 2}, {t5, "relative_attention_max_distance", 16}, {t5, "hidden_size", 9}, {t5, "rope_theta", 10000},
		{t5, "is_decoder", true}, {t5, "layer_norm_epsilon", 2},
		{marian, "architectures", []string{"MarianForCausalLM"}}, {marian, "normalize_before", true}, {marian, "normalize_embedding", true}, {marian, "static_position_embeddings", false},
		{marian, "add_final_layer_norm", true}, {marian, "decoder_vocab_size", 29}, {marian, "tie_word_embeddings", false}, {marian, "encoder_attention_heads", 3},
		{marian, "num_hidden_layers", 5.5}, {marian, "activation_function", "gelu_10"}, {marian, "max_position_embeddings", 1 << 40},
	} {
		config := map[string]any{}
		for name, v := range c.base {
			config[name] = v
		}
		text, _ := json.Marshal(config)
		if _, err := huggingface.ParseConfig(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		config[c.member] = c.value
		text, _ = json.Marshal(config)
		if _, err := huggingface.ParseConfig(text); err == nil || !strings.Contains(err.Error(), c.member) && c.member != "num_hidden_layers" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %v: %v", c.member, c.value, err)
		}
	}
}
