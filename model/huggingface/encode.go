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
	Web          *web    `json:"transformers.js_config,omitempty"`
}

// web is what transformers.js asks beside: without the first it looks for a
// quantized model in browsers, without the second for no file of weights.
type web struct {
	DType    string         `json:"dtype"`
	External map[string]int `json:"use_external_data_format"` // files of weights by the model's file
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

// encodeConfig returns the config.json of a model; end is the id that ends a
// text, nil if there is none.
func encodeConfig(c model.Config, dtype format.DType, end *int64, browser bool) ([]byte, error) {
	s := sizes{c.Arch, c.Vocab, c.Context, c.Context, c.Width, c.Layers, c.Heads, c.Inner, c.Epsilon}
	if c.Arch == model.Simple {
		return encode(simpleConfig{sizes: s, Learned: c.Positions, DType: dtypes[dtype]})
	}
	out := gpt2Config{Architectures: []string{"GPT2LMHeadModel"}, sizes: s, Activation: "gelu_new", Tied: true, Begin: end, End: end, DType: dtypes[dtype]}
	if browser {
		out.Web = &web{DType: "fp32", External: map[string]int{"model.onnx": 1}}
	}
	return encode(out)
}

// generationConfig is a generation_config.json. Padding with the end of a text
// is GPT-2's custom: it has no token for it.
type generationConfig struct {
	Begin  *int64 `json:"bos_token_id"`
	End    *int64 `json:"eos_token_id"`
	Pad    *int64 `json:"pad_token_id"`
	Sample bool   `json:"do_sample"`
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
	if t == nil {
		return encode(out)
	}
	if _, ok := t.EndOfText(); ok {
		out.Begin, out.End = tokens.EndOfText, tokens.EndOfText
	}
	if id, ok := t.Unknown(); ok {
		out.Unknown = t.Token(id)
	}
	return encode(out)
}

// endOfText returns the id that ends a text of the model, nil if it has none.
func endOfText(c model.Config, t *tokens.Tokenizer) *int64 {
	if t == nil {
		return nil
	}
	if id, ok := t.EndOfText(); ok && id < int64(c.Vocab) {
		return &id
	}
	return nil
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
