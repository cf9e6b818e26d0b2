package huggingface

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

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
	specialIDs           // null: without them transformers takes GPT-2's 50256
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
	Learned bool `json:"position_embeddings"`
	Tied    bool `json:"tie_word_embeddings"`
	specialIDs
	DType string `json:"torch_dtype"`
}

// specialIDs are the ids of a Special, in both files that have them.
type specialIDs struct {
	Begin *int64 `json:"bos_token_id"`
	End   oneOf  `json:"eos_token_id"`
	Pad   *int64 `json:"pad_token_id"`
}

// oneOf is written as transformers writes it: null, a number or a list.
type oneOf []int64

func (ids oneOf) MarshalJSON() ([]byte, error) {
	switch len(ids) {
	case 0:
		return []byte("null"), nil
	case 1:
		return json.Marshal(ids[0])
	}
	return json.Marshal([]int64(ids))
}

func idsOf(s *model.Special) specialIDs { return specialIDs{s.Begin, oneOf(s.End), s.Pad} }

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

// encodeConfig returns the config.json of a model.
func encodeConfig(c network, dtype format.DType, special *model.Special, browser bool) ([]byte, error) {
	s := sizes{c.Arch, c.Vocab, c.Context, c.Context, c.Width, c.Layers, c.Heads, c.Inner, c.Epsilon}
	if c.Arch == simple {
		return encode(simpleConfig{sizes: s, Learned: c.Positions, specialIDs: idsOf(special), DType: dtypes[dtype]})
	}
	out := gpt2Config{Architectures: []string{"GPT2LMHeadModel"}, sizes: s, Activation: "gelu_new", Tied: true, specialIDs: idsOf(special), DType: dtypes[dtype]}
	if browser {
		out.Web = &web{DType: "fp32", External: map[string]int{"model.onnx": 1}}
	}
	return encode(out)
}

// encodeOwnConfig returns the config.json of an architecture that is not known
// here: the members of its configuration in their order, with the special ids
// and the type of the weights.
func encodeOwnConfig(config []byte, dtype format.DType, special *model.Special) ([]byte, error) {
	ids := idsOf(special)
	own := []struct {
		name  string
		value any
	}{{"bos_token_id", ids.Begin}, {"eos_token_id", ids.End}, {"pad_token_id", ids.Pad}, {"torch_dtype", dtypes[dtype]}}
	var out membersWriter
	err := members(config, func(name string, value jsontext.Value) error {
		for _, o := range own {
			if o.name == name {
				return nil
			}
		}
		return out.add(name, json.RawMessage(value))
	})
	if err != nil {
		return nil, fmt.Errorf("huggingface: the configuration: %w", err)
	}
	for _, o := range own {
		if err := out.add(o.name, o.value); err != nil {
			return nil, err
		}
	}
	return out.encode()
}

// membersWriter collects the members of a JSON object.
type membersWriter struct{ text bytes.Buffer }

func (w *membersWriter) add(name string, value any) error {
	key, err := json.Marshal(name)
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if w.text.Len() > 0 {
		w.text.WriteByte(',')
	}
	fmt.Fprintf(&w.text, "%s:%s", key, text)
	return err
}

func (w *membersWriter) encode() ([]byte, error) {
	return encode(json.RawMessage("{" + w.text.String() + "}"))
}

// tokenizerConfig is a tokenizer_config.json: what transformers asks beside
// the tokenizer.json.
type tokenizerConfig struct {
	Class   string `json:"tokenizer_class"`
	Longest int    `json:"model_max_length"` // ids
	CleanUp bool   `json:"clean_up_tokenization_spaces"`
	Begin   string `json:"bos_token,omitempty"`
	End     string `json:"eos_token,omitempty"`
	Pad     string `json:"pad_token,omitempty"`
	Unknown string `json:"unk_token,omitempty"`
}

// encodeTokenizerConfig returns the tokenizer_config.json of a model.
func encodeTokenizerConfig(context int, t model.SpecialTokens) ([]byte, error) {
	return encode(tokenizerConfig{
		Class: "PreTrainedTokenizerFast", Longest: context, Begin: t.Begin, End: t.End, Pad: t.Pad, Unknown: t.Unknown,
	})
}

// SpecialOf returns the special ids and tokens of a checkpoint: its own, or
// what its tokenizer spells. Where that is not one of package tokens' nothing
// is known.
func SpecialOf(c *model.Checkpoint) *model.Special {
	if c.Special != nil {
		return c.Special
	}
	t, err := tokens.Parse(c.Tokenizer)
	if err != nil {
		return &model.Special{}
	}
	return model.Spelled(t, c.IDs())
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
