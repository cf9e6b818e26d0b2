package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/role"
)

// GenAI is what onnxruntime-genai needs to know about a model besides its
// file.
type GenAI struct {
	File    string  // the model's name in the folder
	Context int     // maximum number of tokens, past and new ones together
	Width   int     // of the network
	Heads   int     // of queries; 0: as many as keys and values
	Shared  bool    // past and present are one buffer
	Begin   *int64  // id that starts a text; may be nil
	End     []int64 // ids that end a text; onnxruntime-genai needs at least one
	Pad     *int64  // id for padding; may be nil
}

// genaiConfig is a genai_config.json: the members that onnxruntime-genai's
// src/config.h defines for a decoder, including names of inputs and outputs.
type genaiConfig struct {
	Model  genaiModel  `json:"model"`
	Search genaiSearch `json:"search"`
}

type genaiModel struct {
	Type    string       `json:"type"`
	Begin   *int64       `json:"bos_token_id,omitempty"`
	End     any          `json:"eos_token_id"` // a number or a list
	Pad     int64        `json:"pad_token_id"`
	Vocab   int64        `json:"vocab_size"`
	Context int          `json:"context_length"`
	Decoder genaiDecoder `json:"decoder"`
}

type genaiDecoder struct {
	Session genaiSession      `json:"session_options"`
	File    string            `json:"filename"`
	Head    int64             `json:"head_size"`
	Width   int               `json:"hidden_size"`
	Heads   int64             `json:"num_attention_heads"`
	KVHeads int64             `json:"num_key_value_heads"`
	Layers  int               `json:"num_hidden_layers"`
	Inputs  map[string]string `json:"inputs"`
	Outputs map[string]string `json:"outputs"`
}

type genaiSession struct {
	Providers []struct{} `json:"provider_options"` // none: the CPU
}

type genaiSearch struct {
	Sample   bool `json:"do_sample"`
	MaxIDs   int  `json:"max_length"`
	Shared   bool `json:"past_present_share_buffer"`
	NumBeams int  `json:"num_beams"`
}

// noPadding is an id that no text has. If the last ids of a prompt equal the
// padding id, onnxruntime-genai takes them for padding and returns the logits
// of an earlier id. GPT-2 usually pads with the end of text, so a prompt that
// ends with it would be continued wrongly. The mask hides what is read at a
// padded position; −1 is a valid index for Gather.
const noPadding = -1

// padding returns the padding id for onnxruntime-genai: the model's, unless
// that id has another meaning in texts.
func (g GenAI) padding() int64 {
	if g.Pad == nil || slices.Contains(g.End, *g.Pad) || g.Begin != nil && *g.Begin == *g.Pad {
		return noPadding
	}
	return *g.Pad
}

// end returns the ids that end a text, in the form of genai_config.json.
func (g GenAI) end() any {
	if len(g.End) == 1 {
		return g.End[0]
	}
	return g.End
}

// Config returns the genai_config.json of a model of the profile cache.
func (g GenAI) Config(m *onnx.Model) ([]byte, error) {
	if len(g.End) == 0 {
		return nil, errors.New("export: no id ends a text, but onnxruntime-genai needs one")
	}
	logits := role.Logits.Name() // it is called so in the configuration too
	// The type "gpt2" would mean keys and values in one tensor.
	c := genaiConfig{
		Model: genaiModel{Type: "decoder", Begin: g.Begin, End: g.end(), Pad: g.padding(), Context: g.Context, Decoder: genaiDecoder{
			Session: genaiSession{Providers: []struct{}{}}, File: g.File, Width: g.Width,
			Inputs:  map[string]string{"past_key_names": role.PastKey.Pattern("%d"), "past_value_names": role.PastValue.Pattern("%d")},
			Outputs: map[string]string{logits: logits, "present_key_names": role.PresentKey.Pattern("%d"), "present_value_names": role.PresentValue.Pattern("%d")},
		}},
		Search: genaiSearch{MaxIDs: g.Context, Shared: g.Shared, NumBeams: 1},
	}
	d := &c.Model.Decoder
	for _, in := range m.Graph.Inputs {
		if in.Name == role.Layered(role.PastKey, d.Layers).Name() && len(in.Dims) == 4 {
			d.Layers++
			d.Heads, d.KVHeads, d.Head = in.Dims[1].Value, in.Dims[1].Value, in.Dims[3].Value
		}
		for _, of := range []role.Kind{role.Tokens, role.AttentionMask, role.Positions} {
			if in.Name == of.Name() {
				d.Inputs[in.Name] = in.Name
			}
		}
	}
	if g.Heads > 0 && d.Heads > 0 {
		d.Heads = int64(g.Heads)
	}
	for _, out := range m.Graph.Outputs {
		if n := len(out.Dims); out.Name == logits && n > 0 {
			c.Model.Vocab = out.Dims[n-1].Value
		}
	}
	if d.Heads == 0 || d.Head == 0 || c.Model.Vocab == 0 {
		return nil, fmt.Errorf("export: the model has no past of known sizes: a folder needs the profile cache")
	}
	text, err := json.MarshalIndent(c, "", "  ")
	return append(text, '\n'), err
}
