package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/tokens"
)

// Document is a part of a text: what a line of JSON Lines gives.
type Document struct {
	End    int // offset in the text of the byte after it
	Prompt int // bytes at its beginning that are given, and not learned
}

// namedJSONLines reports whether a file is one of JSON Lines by its name.
func namedJSONLines(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	for _, packed := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, packed)
	}
	return strings.HasSuffix(name, ".jsonl") || strings.HasSuffix(name, ".ndjson")
}

// line is an object of JSON Lines. A text is one document; a prompt with its
// completion another, of which the completion is learned.
type line struct {
	Text       *string         `json:"text"`
	Prompt     *string         `json:"prompt"`
	Completion *string         `json:"completion"`
	Messages   json.RawMessage `json:"messages"`
}

// maxLine bounds a line of JSON Lines, in bytes.
const maxLine = 256 << 20

// document returns the text of a line, of which the first prompt bytes are not
// learned.
func (l line) document(chat Chat) (text string, prompt int, err error) {
	switch {
	case l.Text != nil:
		return *l.Text, 0, nil
	case l.Prompt != nil && l.Completion != nil:
		if *l.Completion == "" {
			return "", 0, errors.New("its completion is empty: there is nothing to learn")
		}
		return *l.Prompt + *l.Completion, len(*l.Prompt), nil
	case l.Prompt != nil || l.Completion != nil:
		return "", 0, errors.New("a prompt and a completion belong together: it has one of them")
	case len(l.Messages) > 0 && chat == nil:
		return "", 0, errors.New("messages take a chat template, which training does not apply yet: give text, or prompt and completion")
	case len(l.Messages) > 0:
		return chat(l.Messages)
	}
	return "", 0, errors.New(`it has no "text", no "prompt" with "completion" and no "messages"`)
}

// Chat returns the text of a conversation, a JSON list of messages, in a model's
// chat template. The answer, from byte prompt on, is learned.
type Chat func(messages []byte) (text string, prompt int, err error)

// documents parses JSON Lines. Its errors name the line.
func documents(text string, chat Chat, add func(text string, prompt int)) error {
	n := 0
	text = strings.TrimPrefix(text, "\ufeff") // as editors on Windows begin a file
	for row := range strings.Lines(text) {
		n++
		if strings.TrimSpace(row) == "" {
			continue
		}
		if len(row) > maxLine {
			return fmt.Errorf("line %d has %d bytes, at most %d", n, len(row), maxLine)
		}
		var l line
		if err := json.Unmarshal([]byte(row), &l); err != nil {
			if !strings.HasSuffix(row, "\n") {
				return fmt.Errorf("line %d, the last, is cut off or no JSON object: %w", n, err)
			}
			return fmt.Errorf("line %d is no JSON object of text: %w", n, err)
		}
		text, prompt, err := l.document(chat)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if strings.IndexByte(text, 0) >= 0 {
			return fmt.Errorf("line %d: it holds a zero byte, so it is not text", n)
		}
		if text != "" {
			add(text, prompt)
		}
	}
	return nil
}

// end ends a document. A plain file is one.
func (t *Text) end(at, prompt int) {
	t.Documents = append(t.Documents, Document{at, prompt})
}

// readLines appends the documents of a file of JSON Lines.
func (t *Text) readLines(ctx context.Context, text *strings.Builder, hash io.Writer, f textFile, r Reading) error {
	var raw strings.Builder
	r.Limit -= int64(text.Len())
	if err := readInto(ctx, &raw, hash, f, r); err != nil {
		return err
	}
	lines := raw.String()
	if format.IsLFSPointer([]byte(lines[:min(len(lines), format.MaxLFSPointer)])) {
		return fmt.Errorf("%s: %s", f.path, format.LFSPointer)
	}
	if i := notText(lines); i >= 0 {
		return &NotTextError{f.path, fmt.Sprintf("it is not UTF-8 text at byte %d: convert it", i)}
	}
	t.fields = true
	t.size += len(lines)
	t.Names = append(t.Names, f.path)
	err := documents(lines, r.Chat, func(d string, prompt int) {
		text.WriteString(d)
		if r.Ended && !strings.HasSuffix(d, "\n") {
			text.WriteByte('\n')
		}
		t.end(text.Len(), prompt)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// encode passes the ids of each document in order, and how many of them are a
// prompt. A document ends with the id end, nil for none.
func (t *Text) encode(ctx context.Context, tok *tokens.Tokenizer, end *int64, progress func(bytes int), add func(ids []int64, prompt int) error) error {
	from, last := 0, 0
	for _, d := range t.Documents {
		text := t.Text[from:d.End]
		ids := tok.Encode(text[:d.Prompt])
		prompt := len(ids)
		ids = append(ids, tok.Encode(text[d.Prompt:])...)
		if end != nil {
			ids = append(ids, *end)
		}
		if err := add(ids, prompt); err != nil {
			return err
		}
		from = d.End
		if from-last >= progressBytes || from == len(t.Text) {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress(from)
			last = from
		}
	}
	return nil
}

// tokenizeDocuments returns the data of documents: if none has a prompt, windows of
// all, one after the other; otherwise each is an example, padded on the right to
// the longest, whose prompt has no labels.
func (t *Text) tokenizeDocuments(ctx context.Context, tok *tokens.Tokenizer, length int, end *int64, progress func(bytes int)) (*Data, error) {
	ids := newIDStore(tok.VocabSize())
	if !t.prompts() && tok.Kind() != tokens.Word {
		err := t.encode(ctx, tok, end, progress, func(x []int64, _ int) error { return ids.add(x) })
		if err != nil {
			return nil, err
		}
		return newText(ids, length)
	}
	b := &lineBuilder{ids: ids, context: length}
	if err := t.encode(ctx, tok, end, progress, b.addAfter); err != nil {
		return nil, err
	}
	return b.data()
}

// prompts reports whether a document has a prompt.
func (t *Text) prompts() bool {
	for _, d := range t.Documents {
		if d.Prompt > 0 {
			return true
		}
	}
	return false
}
