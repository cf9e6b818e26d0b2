package huggingface_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
)

// A setting that selects another network is refused by its name.
func TestEncodersRefuse(t *testing.T) {
	bert := map[string]any{
		"model_type": "bert", "architectures": []string{"BertModel"}, "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 9,
	}
	opt := map[string]any{"model_type": "opt", "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 9}
	gemma := map[string]any{"model_type": "gemma3_text", "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 9, "head_dim": 4}
	for _, c := range []struct {
		base   map[string]any
		member string
		value  any
	}{
		{bert, "position_embedding_type", "relative_key"}, {bert, "is_decoder", true}, {bert, "add_cross_attention", true}, {bert, "hidden_act", "gelu_10"},
		{bert, "architectures", []string{"BertForQuestionAnswering"}}, {bert, "architectures", []string{"RobertaModel"}}, {bert, "embedding_size", 4}, {bert, "layer_norm_eps", 2},
		{opt, "layer_norm_elementwise_affine", false}, {opt, "rope_theta", 10000}, {gemma, "attn_logit_softcapping", 50.0}, {gemma, "use_bidirectional_attention", true},
		{gemma, "rope_parameters", map[string]any{"sliding_attention": map[string]any{"rope_type": "yarn", "rope_theta": 1}}},
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
		if _, err := huggingface.ParseConfig(text); err == nil || !strings.Contains(err.Error(), c.member) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %v: %v", c.member, c.value, err)
		}
	}
}

// The embeddings of texts that a folder of sentence-transformers describes are part
// of the network, and are written back.
func TestSentenceFolder(t *testing.T) {
	n := arch.Bert{
		Vocab: 30, Context: 12, Width: 8, Inner: 9, Layers: 1, Heads: 2, Types: 2, Activation: "gelu", Epsilon: 1e-12,
		Task: arch.Task{Pooling: nn.Pooling{Kind: nn.FirstPooling, Normalized: true, Longest: 7}},
	}
	c, err := model.New(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "sentences")
	if _, err := huggingface.Write(folder, c, format.Float32); err != nil {
		t.Fatal(err)
	}
	back, _ := mustRead(t, folder)
	if !bytes.Equal(back.Config, c.Config) || back.Weights.Hash() != c.Weights.Hash() {
		t.Errorf("read back %s, want %s", back.Config, c.Config)
	}
	put(t, filepath.Join(folder, "1_Pooling", "config.json"), []byte(`{"pooling_mode_max_tokens": true}`))
	_, report, err := huggingface.Read(folder)
	if err != nil || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "another pooling") {
		t.Errorf("another pooling: %q, %v", report.Notes, err)
	}
	if err := os.Remove(filepath.Join(folder, "1_Pooling", "config.json")); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, folder, "the folder has no such file")
}
