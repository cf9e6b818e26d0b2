package train

import (
	"context"
	"errors"
	"strings"

	"github.com/attnx/attnx/model/tokens"
)

// FromText cuts a text into examples of at most length tokens. Characters and bytes are learned from
// windows of the whole text (NewText); words from its lines, each a sequence
// of its own (NewLines).
func FromText(text string, t *tokens.Tokenizer, length int) (*Data, error) {
	return Tokenize(context.Background(), text, t, length, func(int) {})
}

// Tokenize is FromText for long texts: it tells progress how many bytes of the
// text have been tokenized, and ends early with the error of ctx when that is
// done. Of the ids it keeps two bytes each where the vocabulary allows it,
// otherwise four, and nothing else of the size of the text.
func Tokenize(ctx context.Context, text string, t *tokens.Tokenizer, length int, progress func(bytes int)) (*Data, error) {
	if err := checkContext(length); err != nil {
		return nil, err
	}
	ids := newIDStore(t.VocabSize())
	if t.Kind() == tokens.Word {
		return tokenizeLines(ctx, text, t, &lineBuilder{ids: ids, context: length}, progress)
	}
	for run, bytes := range t.EncodeSeq(text) {
		if err := errors.Join(ctx.Err(), ids.add(run)); err != nil {
			return nil, err
		}
		progress(bytes)
	}
	return newText(ids, length)
}

func tokenizeLines(ctx context.Context, text string, t *tokens.Tokenizer, b *lineBuilder, progress func(bytes int)) (*Data, error) {
	const told = 1 << 16 // bytes between two calls of progress
	bytes, last := 0, 0
	for line := range strings.Lines(text) {
		if err := addLine(line, t, b); err != nil {
			return nil, err
		}
		if bytes += len(line); bytes-last >= told {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress(bytes)
			last = bytes
		}
	}
	progress(bytes)
	return b.data()
}

// addLine adds a line that holds a token. One of a whole file is not held as
// ids: it is too long for any model.
func addLine(line string, t *tokens.Tokenizer, b *lineBuilder) error {
	const long = 1 << 20 // bytes
	if len(line) > long {
		n := 0
		for run := range t.EncodeSeq(line) {
			n += len(run)
		}
		if n > b.context+1 {
			b.sequences++
			return b.tooLong(n)
		}
	}
	if ids := t.Encode(line); len(ids) > 0 {
		return b.add(ids)
	}
	return nil
}
