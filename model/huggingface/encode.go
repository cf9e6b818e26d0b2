package huggingface

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
)

// Web is the extra configuration of transformers.js. Without the first member
// it looks for a quantized model in browsers; without the second it loads no
// file of weights.
type Web struct {
	DType    string         `json:"dtype"`                    // "fp32", "fp16", "q8"
	External map[string]int `json:"use_external_data_format"` // number of weight files for each model file
}

// specialIDs are the ids of a Special, as in config.json and
// generation_config.json.
type specialIDs struct {
	Begin *int64 `json:"bos_token_id"`
	End   oneOf  `json:"eos_token_id"`
	Pad   *int64 `json:"pad_token_id"`
}

// oneOf is null, a number or a list in JSON, as transformers writes it.
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

// encodeConfig returns the config.json of a model of a known architecture.
func encodeConfig(f family, n nn.Network, dtype format.DType, special *model.Special, browser *Web) ([]byte, error) {
	list, err := f.members(n)
	if u, ok := useOf(n); ok && err == nil {
		list, err = useMembers(list, u)
	}
	if err != nil {
		return nil, err
	}
	var out membersWriter
	add := func(m ...member) {
		for _, m := range m {
			err = cmp.Or(err, out.add(m.name, m.value))
		}
	}
	if f.class != "" {
		add(member{"architectures", []string{f.class}})
	}
	add(member{"model_type", f.arch})
	add(list...)
	for _, id := range idMembers(special) { // null: if they are missing, transformers has defaults of its own
		if !slices.ContainsFunc(list, func(m member) bool { return m.name == id.name }) {
			add(id)
		}
	}
	add(member{"torch_dtype", dtypes[dtype]})
	if browser != nil {
		add(member{"transformers.js_config", *browser})
	}
	if err != nil {
		return nil, err
	}
	return out.encode()
}

// idMembers are the members of a config.json that name special ids.
func idMembers(special *model.Special) []member {
	ids := idsOf(special)
	list := []member{{beginID, ids.Begin}, {endID, ids.End}, {padID, ids.Pad}}
	if special.Start != nil {
		list = append(list, member{startID, special.Start})
	}
	return list
}

// encodeOwnConfig returns the config.json of an architecture that this package
// does not know: the members of its configuration in order, with the special
// ids and the type of the weights.
func encodeOwnConfig(config []byte, dtype format.DType, special *model.Special) ([]byte, error) {
	own := append(idMembers(special), member{"torch_dtype", dtypes[dtype]})
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

// tokenizerConfig is a tokenizer_config.json, which transformers needs in
// addition to tokenizer.json.
type tokenizerConfig struct {
	Class   string `json:"tokenizer_class"`
	Longest int    `json:"model_max_length,omitempty"` // in ids; 0: no limit
	CleanUp bool   `json:"clean_up_tokenization_spaces"`
	Begin   string `json:"bos_token,omitempty"`
	End     string `json:"eos_token,omitempty"`
	Pad     string `json:"pad_token,omitempty"`
	Unknown string `json:"unk_token,omitempty"`

	ClassToken string   `json:"cls_token,omitempty"`
	Separator  string   `json:"sep_token,omitempty"`
	Mask       string   `json:"mask_token,omitempty"`
	Inputs     []string `json:"model_input_names,omitempty"` // of networks that do not continue a text
	Chat       string   `json:"chat_template,omitempty"`

	// transformers 4 sets it in tokenizer.json to what is said here, or to false.
	PrefixSpace bool `json:"add_prefix_space,omitempty"`
}

// encodeTokenizerConfig returns the tokenizer_config.json of a model.
func encodeTokenizerConfig(c *model.Checkpoint, t model.SpecialTokens) ([]byte, error) {
	about := tokenizerConfig{
		Class: "PreTrainedTokenizerFast", Longest: c.Context(), Begin: t.Begin, End: t.End, Pad: t.Pad, Unknown: t.Unknown,
		ClassToken: t.Class, Separator: t.Separator, Mask: t.Mask, Chat: c.ChatTemplate,
	}
	about.PrefixSpace, _ = tokens.PrefixSpace(c.Tokenizer)
	if n, err := c.Network(); err == nil {
		if longest := taskOf(n).Longest; longest > 0 {
			about.Longest = min(about.Longest, longest)
		}
	}
	if c.Continues() != nil && !c.Translates() {
		for _, in := range c.Graph.Inputs {
			about.Inputs = append(about.Inputs, in.Name)
		}
	}
	return encode(about)
}

// SpecialOf returns the special ids and tokens of a checkpoint, or derives
// them from its tokenizer. It returns nil if package tokens does not support
// the tokenizer.
//
// A network that translates starts its targets with the padding, or id 0, if nothing
// says otherwise.
func SpecialOf(c *model.Checkpoint) *model.Special {
	s := c.Special
	if s == nil {
		s = &model.Special{}
		if t, err := tokens.Parse(c.Tokenizer); err == nil {
			s = model.Spelled(t.Target(), c.IDs())
		}
	}
	if c.Translates() && s.Start == nil {
		with := *s
		with.Start = cmp.Or(s.Pad, new(int64))
		s = &with
	}
	return s
}

// encode returns v as JSON with one member on each line, as transformers
// writes it.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // keep "<|endoftext|>" readable
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return out.Bytes(), err
}
