package attnx

import (
	"fmt"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// Text is an open model with its tokenizer.
type Text struct {
	*Model
	Tokenizer *tokens.Tokenizer
	End       []int64 // ids that end a text

	tell find.Tell
}

// Open opens a model, as OpenModel does, with its tokenizer.
func Open(path string, o Options) (*Text, error) {
	var tok *tokens.Tokenizer
	m, err := openAs(path, export.Cache{LastLogits: true}, o, withNextToken, func(m *Model) (err error) {
		if err := m.Checkpoint.Continues(); err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
		tok, err = find.Tokenizer(m.Path, m.Checkpoint.Tokenizer, m.Checkpoint)
		return err
	})
	if err != nil {
		return nil, err
	}
	if m.Special == nil {
		m.Special = model.Spelled(tok, m.Checkpoint.IDs())
	}
	return &Text{m, tok, m.Special.End, o.Tell}, nil
}

// withNextToken returns a model that was saved without its head with the one that it
// has if that is the token embedding, as AutoModelForCausalLM of transformers does.
func withNextToken(c *model.Checkpoint) (*model.Checkpoint, error) {
	if _, trunk := c.Graph.Output(role.Of(role.Hidden)); trunk {
		if with, err := c.NextToken(); err == nil {
			return with, nil
		}
	}
	return c, nil
}

// Encode converts a prompt to ids. Unknown words become the unknown token, with
// a warning. The warning and errors use name for the prompt.
func (l *Text) Encode(name, prompt string) ([]int64, error) {
	ids, err := find.Encode(l.Tokenizer, l.Checkpoint, name, prompt)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 && prompt != "" {
		return nil, fmt.Errorf("%s has no token: the model's tokenizer removes all its characters: give another text", name)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s is empty: give at least one token", name)
	}
	if len(ids) > l.Context {
		return nil, fmt.Errorf("%s has %d tokens, the model sees %d: shorten it", name, len(ids), l.Context)
	}
	if unknown, ok := l.Tokenizer.Unknown(); ok {
		n := 0
		for _, id := range ids {
			if id == unknown {
				n++
			}
		}
		if n > 0 {
			l.tell.Say(find.Warning, "%s: %d of %d tokens are not in the model's vocabulary", name, n, len(ids))
		}
	}
	return ids, nil
}
