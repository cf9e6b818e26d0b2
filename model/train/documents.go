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
	End    int   // offset in the text of the byte after it
	Prompt int   // bytes at its beginning that are given, and not learned
	Turns  []int // of a conversation: the bytes after the prompt that are learned, given, learned and so on; nil: all others are learned
}

// passage is the text of a document.
type passage struct {
	text  string
	parts []int // bytes that are given, learned, given and so on; nil: all are learned
	chat  bool  // its template ends it
	whole bool  // a file, which has its own end
}

// split returns the parts of a document: given, learned, given and so on.
func (d Document) split(text string) (parts []string) {
	for _, n := range append([]int{d.Prompt}, d.Turns...) {
		parts = append(parts, text[:n])
		text = text[n:]
	}
	if len(d.Turns) == 0 {
		parts = append(parts, text)
	}
	return parts
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

// document returns the text of a line.
func (l line) document(chat Chat) (passage, error) {
	switch {
	case l.Text != nil:
		return passage{text: *l.Text}, nil
	case l.Prompt != nil && l.Completion != nil:
		if *l.Completion == "" {
			return passage{}, errors.New("its completion is empty: there is nothing to learn")
		}
		return passage{text: *l.Prompt + *l.Completion, parts: []int{len(*l.Prompt)}}, nil
	case l.Prompt != nil || l.Completion != nil:
		return passage{}, errors.New("a prompt and a completion belong together: it has one of them")
	case len(l.Messages) > 0 && chat == nil:
		return passage{}, errors.New("messages take a model's chat template: start from a model that has one, or give text, or prompt and completion")
	case len(l.Messages) > 0:
		parts, err := chat(l.Messages)
		p := passage{text: strings.Join(parts, ""), chat: true}
		for _, part := range parts {
			p.parts = append(p.parts, len(part))
		}
		return p, err
	}
	return passage{}, errors.New(`it has no "text", no "prompt" with "completion" and no "messages"`)
}

// Chat returns the text of a conversation, a JSON list of messages, in a model's
// chat template: a part that is given, one that is learned, one that is given and
// so on.
type Chat func(messages []byte) (parts []string, err error)

// documents parses JSON Lines. Its errors name the line.
func documents(text string, chat Chat, add func(passage)) error {
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
		p, err := l.document(chat)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if strings.IndexByte(p.text, 0) >= 0 {
			return fmt.Errorf("line %d: it holds a zero byte, so it is not text", n)
		}
		if p.text != "" {
			add(p)
		}
	}
	return nil
}

// end ends a document. A plain file is one.
func (t *Text) end(at int, p passage) {
	t.Documents = append(t.Documents, p.document(at))
}

// document returns the document that ends at a place.
func (p passage) document(at int) Document {
	d := Document{End: at}
	if len(p.parts) > 0 {
		d.Prompt = p.parts[0]
	}
	if p.chat {
		d.Turns = p.parts[1:]
	}
	return d
}

// ended returns the text of a document, with a newline if nothing else ends it.
func (p passage) ended(r Reading) string {
	if r.Ended && !p.chat && !p.whole && !strings.HasSuffix(p.text, "\n") {
		return p.text + "\n"
	}
	return p.text
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
	err := documents(lines, r.Chat, func(p passage) {
		text.WriteString(p.ended(r))
		t.end(text.Len(), p)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// encode passes the ids of each document in order, how many of them are a prompt,
// and its turns as in spans. A document ends with the id end, nil for none.
func (t *Text) encode(ctx context.Context, tok *tokens.Tokenizer, end *int64, progress func(bytes int), add func(ids []int64, prompt int, turns []uint32) error) error {
	from, last := 0, 0
	for _, d := range t.Documents {
		var ids []int64
		var lengths []uint32
		for _, part := range d.split(t.Text[from:d.End]) {
			before := len(ids)
			ids = append(ids, tok.Encode(part)...)
			lengths = append(lengths, uint32(len(ids)-before))
		}
		turns := lengths[1:]
		if len(turns) == 1 {
			turns = nil // all that follows is learned
		}
		if len(d.Turns) == 0 && end != nil {
			ids = append(ids, *end)
		}
		if err := add(ids, int(lengths[0]), turns); err != nil {
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
func (t *Text) tokenizeDocuments(ctx context.Context, tok *tokens.Tokenizer, f Form, progress func(bytes int)) (*Data, error) {
	ids := newIDStore(tok.VocabSize())
	if !t.prompts() && tok.Kind() != tokens.Word {
		err := t.encode(ctx, tok, f.End, progress, func(x []int64, _ int, _ []uint32) error { return ids.add(x) })
		if err != nil {
			return nil, err
		}
		return newText(ids, f)
	}
	b := &lineBuilder{ids: ids, form: f}
	if err := t.encode(ctx, tok, f.End, progress, b.addAfter); err != nil {
		return nil, err
	}
	return b.data()
}

// prompts reports whether a document has a prompt.
func (t *Text) prompts() bool {
	for _, d := range t.Documents {
		if d.Prompt > 0 || len(d.Turns) > 0 {
			return true
		}
	}
	return false
}
