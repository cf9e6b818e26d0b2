package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Special is what a model says of ids and tokens with a meaning of their own, and
// of how texts are generated with it. Ids are from 0 to V−1.
type Special struct {
	End    []int64       `json:"eos_token_id,omitempty"` // each ends a generated text; empty if none does
	Begin  *int64        `json:"bos_token_id,omitempty"` // begins a text; nil if there is none
	Pad    *int64        `json:"pad_token_id,omitempty"` // fills short rows of a batch; nil if there is none
	Tokens SpecialTokens `json:"tokens,omitzero"`

	// Generation are the settings that the model's makers generate with: a JSON
	// object with the members of a generation_config.json that are no ids, such as
	// temperature. Empty if there are none. attnx passes them on, and generates by
	// what it is told.
	Generation json.RawMessage `json:"generation,omitempty"`
}

// SpecialTokens are the tokens that a tokenizer has for the same purposes, as
// it writes them; empty where it has none. Their ids need not be those that a
// model generates with: a chat model often ends its texts with another token.
type SpecialTokens struct {
	Begin   string `json:"bos_token,omitempty"`
	End     string `json:"eos_token,omitempty"`
	Pad     string `json:"pad_token,omitempty"`
	Unknown string `json:"unk_token,omitempty"`
}

// Limits of what a file may say. A vocabulary has a handful of such tokens.
const (
	MaxEnds         = 1024 // ids that end a text
	MaxSpecialBytes = 256  // of a token
	maxSpecialText  = 1 << 16
)

// Check reports what is not a special id or token of a model with so many ids.
func (s *Special) Check(vocab int) error {
	if len(s.End) > MaxEnds {
		return fmt.Errorf("model: %d ids end a text, at most %d may", len(s.End), MaxEnds)
	}
	ids := slices.Clone(s.End)
	for _, id := range []*int64{s.Begin, s.Pad} {
		if id != nil {
			ids = append(ids, *id)
		}
	}
	for _, id := range ids {
		if id < 0 || id >= int64(vocab) {
			return fmt.Errorf("model: special id %d is outside the vocabulary of %d", id, vocab)
		}
	}
	for _, token := range []string{s.Tokens.Begin, s.Tokens.End, s.Tokens.Pad, s.Tokens.Unknown} {
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

// Vocabulary is what Spelled asks of a tokenizer; *tokens.Tokenizer answers.
type Vocabulary interface {
	EndOfText() (id int64, ok bool)
	Unknown() (id int64, ok bool)
	Token(id int64) string
}

// Spelled returns the special ids of a model of which nothing else is known
// than its tokenizer: GPT-2's <|endoftext|>, where the vocabulary has it,
// begins, ends and pads texts, as in GPT-2. It is what a Checkpoint means that
// has no Special.
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

// marshal returns the JSON of s, which must be one of a model with so many ids.
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

// parseSpecial reads what marshal writes, and checks it.
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

// addSpecial adds the special ids, if they are known, to metadata.
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

// SpecialIn returns the special ids in the metadata of a checkpoint or of an
// exported file; nil if they say nothing.
func SpecialIn(meta map[string]string, vocab int) (*Special, error) {
	text, ok := meta[MetaSpecial]
	if !ok {
		return nil, nil
	}
	return parseSpecial(text, vocab)
}
