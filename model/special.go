package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Special holds the ids and tokens with a special meaning to a model, and its
// settings for generation. Ids are from 0 to V−1.
type Special struct {
	End    []int64       `json:"eos_token_id,omitempty"`           // each ends a generated text; may be empty
	Begin  *int64        `json:"bos_token_id,omitempty"`           // starts a text; may be nil
	Pad    *int64        `json:"pad_token_id,omitempty"`           // pads short rows of a batch; may be nil
	Start  *int64        `json:"decoder_start_token_id,omitempty"` // stands before each target of a network that translates; nil for others
	Tokens SpecialTokens `json:"tokens,omitzero"`

	// Generation holds the generation settings of the model's makers: a JSON object
	// with the members of a generation_config.json except ids, such as temperature.
	// It may be empty. attnx passes them on, but does not use them itself.
	Generation json.RawMessage `json:"generation,omitempty"`
}

// SpecialTokens are the tokenizer's tokens for the same purposes, as text;
// empty if it has none. Their ids may differ from those used in generation:
// many chat models end their texts with another token.
type SpecialTokens struct {
	Begin   string `json:"bos_token,omitempty"`
	End     string `json:"eos_token,omitempty"`
	Pad     string `json:"pad_token,omitempty"`
	Unknown string `json:"unk_token,omitempty"`

	// Of encoders: before a text, between texts, and in the place of a hidden token.
	Class     string `json:"cls_token,omitempty"`
	Separator string `json:"sep_token,omitempty"`
	Mask      string `json:"mask_token,omitempty"`
}

// all returns the tokens.
func (t SpecialTokens) all() []string {
	return []string{t.Begin, t.End, t.Pad, t.Unknown, t.Class, t.Separator, t.Mask}
}

// Limits for files. A vocabulary has a handful of such tokens.
const (
	MaxEnds         = 1024 // ids that end a text
	MaxSpecialBytes = 256  // of a token
	maxSpecialText  = 1 << 16
)

// maxTemplate is the most bytes of a chat template. Real ones have up to 20,000.
const maxTemplate = 1 << 20

// CheckTemplate rejects a chat template that is too long or not UTF-8.
func CheckTemplate(text string) error {
	if len(text) > maxTemplate || !utf8.ValidString(text) {
		return fmt.Errorf("model: the chat template has %d bytes, expected UTF-8 of at most %d", len(text), maxTemplate)
	}
	return nil
}

// Check rejects ids outside the vocabulary, and tokens that are too many, too
// long or not UTF-8.
func (s *Special) Check(vocab int) error {
	if len(s.End) > MaxEnds {
		return fmt.Errorf("model: %d ids end a text, at most %d may", len(s.End), MaxEnds)
	}
	ids := slices.Clone(s.End)
	for _, id := range []*int64{s.Begin, s.Pad, s.Start} {
		if id != nil {
			ids = append(ids, *id)
		}
	}
	for _, id := range ids {
		if id < 0 || id >= int64(vocab) {
			return fmt.Errorf("model: special id %d is outside the vocabulary of %d", id, vocab)
		}
	}
	for _, token := range s.Tokens.all() {
		if len(token) > MaxSpecialBytes || !utf8.ValidString(token) {
			return fmt.Errorf("model: special token %.32q is not UTF-8 of at most %d bytes", token, MaxSpecialBytes)
		}
	}
	if len(s.Generation) > 0 {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(s.Generation, &members); err != nil || members == nil {
			return fmt.Errorf("model: the settings of a generation %.64q are not a JSON object", s.Generation)
		}
	}
	return nil
}

// Vocabulary is what Spelled needs of a tokenizer; *tokens.Tokenizer
// implements it.
type Vocabulary interface {
	EndOfText() (id int64, ok bool)
	Unknown() (id int64, ok bool)
	Token(id int64) string
}

// Spelled returns the special ids of a model of which only the tokenizer is
// known. As in GPT-2, <|endoftext|> starts, ends and pads texts, if the
// vocabulary has it. A Checkpoint with a nil Special uses this.
func Spelled(t Vocabulary, vocab int) *Special {
	s := &Special{}
	if id, ok := t.EndOfText(); ok {
		token := t.Token(id)
		s.Tokens.Begin, s.Tokens.End = token, token
		if id < int64(vocab) {
			s.End, s.Begin, s.Pad = []int64{id}, &id, &id
		}
	}
	if id, ok := t.Unknown(); ok {
		s.Tokens.Unknown = t.Token(id)
	}
	return s
}

// marshal returns the JSON of s after checking it against the vocabulary size.
func (s *Special) marshal(vocab int) (string, error) {
	if err := s.Check(vocab); err != nil {
		return "", err
	}
	text, err := json.Marshal(s)
	if err == nil && len(text) > maxSpecialText {
		err = fmt.Errorf("model: special ids and settings of a generation have %d bytes, at most %d are read", len(text), maxSpecialText)
	}
	return string(text), err
}

// parseSpecial reads and checks the JSON that marshal returns.
func parseSpecial(text string, vocab int) (*Special, error) {
	if len(text) > maxSpecialText {
		return nil, fmt.Errorf("model: %s has %d bytes, at most %d are read", MetaSpecial, len(text), maxSpecialText)
	}
	s := &Special{}
	if err := json.Unmarshal([]byte(text), s); err != nil {
		return nil, fmt.Errorf("model: %s: %w", MetaSpecial, err)
	}
	return s, s.Check(vocab)
}

// addSpecial adds the special ids, if known, to metadata.
func (c *Checkpoint) addSpecial(meta map[string]string) error {
	if c.Special == nil {
		return nil
	}
	text, err := c.Special.marshal(c.IDs())
	if err == nil {
		meta[MetaSpecial] = text
	}
	return err
}

// SpecialIn returns the special ids in the metadata of a checkpoint or
// exported file; nil if there are none.
func SpecialIn(meta map[string]string, vocab int) (*Special, error) {
	text, ok := meta[MetaSpecial]
	if !ok {
		return nil, nil
	}
	return parseSpecial(text, vocab)
}
