package find

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// Tokenizer reads the tokenizer of the model in a file. It may have added
// tokens that the model does not know: transformers leaves these if a padding
// token is added and the model is not resized. Encode rejects texts that
// contain them.
func Tokenizer(path string, data []byte, c *model.Checkpoint) (*tokens.Tokenizer, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: the model has no tokenizer, and so cannot read or write text: put its tokenizer.json into its Hugging Face folder", path)
	}
	t, err := tokens.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", path, err)
	}
	if t.OrdinarySize() > ReadIDs(c) {
		return nil, TooLarge(path, t, c)
	}
	if n := t.Target().OrdinarySize(); t.Separate() && n > c.IDs() {
		return nil, fmt.Errorf("%s: the tokenizer has %d tokens for targets, the model %d: its ids would be out of range, train or export again", path, n, c.IDs())
	}
	return t, nil
}

// TooLarge returns the error for a tokenizer with tokens that its model does
// not have.
func TooLarge(path string, t *tokens.Tokenizer, c *model.Checkpoint) error {
	return fmt.Errorf("%s: the tokenizer has %d tokens, the model %d: its ids would be out of range, train or export again", path, t.VocabSize(), ReadIDs(c))
}

// Encode returns the ids of a text, with the special tokens that the tokenizer
// adds to one, such as Llama's at the start. All are within the model's
// vocabulary. Errors refer to the text by name.
func Encode(t *tokens.Tokenizer, c *model.Checkpoint, name, text string) ([]int64, error) {
	if err := CheckText(name, text); err != nil {
		return nil, err
	}
	ids := t.AddSpecial(t.Encode(text))
	return ids, CheckIDs(t, c, name, ids)
}

// CheckText refuses a text that is not UTF-8: other libraries read no such text, or another one.
// Messages call the text by name.
func CheckText(name, text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	at := 0
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			at = i
			break
		}
	}
	return fmt.Errorf("%s is not UTF-8 at byte %d: convert it, with iconv -t UTF-8 for example", name, at+1)
}

// CheckIDs rejects ids that the model does not have.
func CheckIDs(t *tokens.Tokenizer, c *model.Checkpoint, name string, ids []int64) error {
	for _, id := range ids {
		if id >= int64(ReadIDs(c)) {
			return fmt.Errorf("%s: the token %.80q has the id %d, but the model's ids are from 0 to %d: leave it out", name, t.Token(id), id, ReadIDs(c)-1)
		}
	}
	return nil
}

// ReadIDs returns the number of ids that a text may have: those of a source, if the network
// translates.
func ReadIDs(c *model.Checkpoint) int {
	if c.Translates() {
		return c.SourceIDs()
	}
	return c.IDs()
}

// AboutTokenizer returns in one line why attnx does not read the tokenizer of
// a model. The note is empty if attnx reads it, or if the model has none. An
// invalid tokenizer is an error.
func AboutTokenizer(path string, c *model.Checkpoint) (note string, err error) {
	if len(c.Tokenizer) == 0 {
		return "", nil
	}
	_, err = Tokenizer(path, c.Tokenizer, c)
	if invalid := new(tokens.FormatError); err == nil || errors.As(err, &invalid) {
		return "", err
	}
	return quote.Line(err.Error(), 2000), nil
}
