package train

import (
	"context"
	"errors"
	"strings"

	"github.com/attnx/attnx/model/tokens"
)

// FromText splits a text into examples of at most length tokens. Char and BPE
// use windows of the whole text (NewText). Word uses lines, each a sequence
// (NewLines).
func FromText(text string, t *tokens.Tokenizer, length int) (*Data, error) {
	return Tokenize(context.Background(), text, t, length, func(int) {})
}

// Tokenize is FromText for long texts. It calls progress with the number of
// bytes tokenized, and returns the error of ctx once that is done. It keeps
// two or four bytes for each id, and nothing else of the size of the text.
func Tokenize(ctx context.Context, text string, t *tokens.Tokenizer, length int, progress func(bytes int)) (*Data, error) {
	return (&Text{Text: text}).Tokenize(ctx, t, Form{Length: length}, progress)
}

// Tokenize is Tokenize for a text that may have documents.
func (x *Text) Tokenize(ctx context.Context, t *tokens.Tokenizer, f Form, progress func(bytes int)) (*Data, error) {
	if err := checkContext(f.Length); err != nil {
		return nil, err
	}
	if x.Documents != nil {
		return x.tokenizeDocuments(ctx, t, f, progress)
	}
	text := x.Text
	ids := newIDStore(t.VocabSize())
	if t.Kind() == tokens.Word {
		return tokenizeLines(ctx, text, t, &lineBuilder{ids: ids, form: f}, progress)
	}
	for run, bytes := range t.EncodeSeq(text) {
		if err := errors.Join(ctx.Err(), ids.add(run)); err != nil {
			return nil, err
		}
		progress(bytes)
	}
	return newText(ids, f)
}

// progressBytes is the number of bytes between two calls of progress.
const progressBytes = 1 << 16

func tokenizeLines(ctx context.Context, text string, t *tokens.Tokenizer, b *lineBuilder, progress func(bytes int)) (*Data, error) {
	bytes, last := 0, 0
	for line := range strings.Lines(text) {
		if err := addLine(line, t, b); err != nil {
			return nil, err
		}
		if bytes += len(line); bytes-last >= progressBytes {
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

// addLine adds a line if it has a token. It does not store the ids of a very
// long line, which no model could use.
func addLine(line string, t *tokens.Tokenizer, b *lineBuilder) error {
	const long = 1 << 20 // bytes
	if len(line) > long {
		n := 0
		for run := range t.EncodeSeq(line) {
			n += len(run)
		}
		if n > b.form.Length+1 {
			b.sequences++
			return b.tooLong(n)
		}
	}
	if ids := t.Encode(line); len(ids) > 0 {
		return b.add(ids)
	}
	return nil
}
