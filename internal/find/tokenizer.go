package find

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// Tokenizer reads the tokenizer of the model in a file. It may have added
// tokens that the model does not know, as transformers leaves behind where a
// token for padding is added and the model is not resized: Encode refuses
// the texts that they are written in.
func Tokenizer(path string, data []byte, c *model.Checkpoint) (*tokens.Tokenizer, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: the model has no tokenizer: it cannot read or write text", path)
	}
	t, err := tokens.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", path, err)
	}
	if t.OrdinarySize() > c.IDs() {
		return nil, TooLarge(path, t, c)
	}
	return t, nil
}

// TooLarge says that a tokenizer has tokens that its model does not.
func TooLarge(path string, t *tokens.Tokenizer, c *model.Checkpoint) error {
	return fmt.Errorf("%s: the tokenizer has %d tokens, the model %d: its ids would be out of range, train or export again", path, t.VocabSize(), c.IDs())
}

// Encode returns the ids of a text, all of them the model's. Errors call the
// text by its name.
func Encode(t *tokens.Tokenizer, c *model.Checkpoint, name, text string) ([]int64, error) {
	ids := t.Encode(text)
	return ids, CheckIDs(t, c, name, ids)
}

// CheckIDs refuses ids of a text that the model does not have.
func CheckIDs(t *tokens.Tokenizer, c *model.Checkpoint, name string, ids []int64) error {
	for _, id := range ids {
		if id >= int64(c.IDs()) {
			return fmt.Errorf("%s: the token %.80q has the id %d, and the model's ids are from 0 to %d: leave it out", name, t.Token(id), id, c.IDs()-1)
		}
	}
	return nil
}

// AboutTokenizer returns why attnx does not read the tokenizer of a model, in one
// line: empty where it does, or the model has none. One that is not valid is an
// error.
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
