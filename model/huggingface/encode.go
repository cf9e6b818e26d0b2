package huggingface

import (
	"bytes"
	"encoding/json"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// gpt2Config is a config.json of transformers' GPT-2; its members are written
// in this order.
type gpt2Config struct {
	Architectures []string `json:"architectures"`
	sizes
	Activation   string  `json:"activation_function"`
	Tied         bool    `json:"tie_word_embeddings"`
	ResidualDrop float64 `json:"resid_pdrop"`
	EmbedDrop    float64 `json:"embd_pdrop"`
	ScoresDrop   float64 `json:"attn_pdrop"`
	Begin        *int64  `json:"bos_token_id"` // null: without them transformers takes GPT-2's 50256
	End          *int64  `json:"eos_token_id"`
	DType        string  `json:"torch_dtype"`
}

// simpleConfig is a config.json that only Read knows.
type simpleConfig struct {
	sizes
	Learned bool   `json:"position_embeddings"`
	Tied    bool   `json:"tie_word_embeddings"`
	DType   string `json:"torch_dtype"`
}

type sizes struct {
	Arch      string  `json:"model_type"`
	Vocab     int     `json:"vocab_size"`
	Positions int     `json:"n_positions"`
	Context   int     `json:"n_ctx"` // n_positions once more, under its old name
	Width     int     `json:"n_embd"`
	Layers    int     `json:"n_layer"`
	Heads     int     `json:"n_head"`
	Inner     int     `json:"n_inner"`
	Epsilon   float64 `json:"layer_norm_epsilon"`
}

// encodeConfig returns the config.json of a model. The tokenizer may be nil.
func encodeConfig(c model.Config, dtype format.DType, t *tokens.Tokenizer) ([]byte, error) {
	s := sizes{c.Arch, c.Vocab, c.Context, c.Context, c.Width, c.Layers, c.Heads, c.Inner, c.Epsilon}
	if c.Arch == model.Simple {
		return encode(simpleConfig{sizes: s, Learned: c.Positions, DType: dtypes[dtype]})
	}
	out := gpt2Config{Architectures: []string{"GPT2LMHeadModel"}, sizes: s, Activation: "gelu_new", Tied: true, DType: dtypes[dtype]}
	if id, ok := endOfText(t); ok && id < int64(c.Vocab) {
		out.Begin, out.End = &id, &id
	}
	return encode(out)
}

// tokenizerConfig is a tokenizer_config.json: what transformers asks beside
// the tokenizer.json.
type tokenizerConfig struct {
	Class   string `json:"tokenizer_class"`
	Longest int    `json:"model_max_length"` // ids
	CleanUp bool   `json:"clean_up_tokenization_spaces"`
	Begin   string `json:"bos_token,omitempty"`
	End     string `json:"eos_token,omitempty"`
	Unknown string `json:"unk_token,omitempty"`
}

// encodeTokenizerConfig returns the tokenizer_config.json of a model. The
// tokenizer may be nil: nothing is known of its tokens then.
func encodeTokenizerConfig(c model.Config, t *tokens.Tokenizer) ([]byte, error) {
	out := tokenizerConfig{Class: "PreTrainedTokenizerFast", Longest: c.Context}
	if _, ok := endOfText(t); ok {
		out.Begin, out.End = tokens.EndOfText, tokens.EndOfText
	}
	if t != nil {
		if id, ok := t.Unknown(); ok {
			out.Unknown = t.Token(id)
		}
	}
	return encode(out)
}

func endOfText(t *tokens.Tokenizer) (id int64, ok bool) {
	if t == nil {
		return 0, false
	}
	return t.EndOfText()
}

// encode returns v as JSON with a member a line, as transformers writes it.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // "<|endoftext|>" stays legible
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return out.Bytes(), err
}
