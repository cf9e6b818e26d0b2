package attnx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// Corpus is training data: exactly one of Files, Text, Reader and Data.
type Corpus struct {
	Files  []string  // files, folders and pipes, in order; train.Stdin is Reader
	Glob   string    // pattern for the names of files in folders; "": all
	Text   string    // a text
	Reader io.Reader // read to its end
	// Data are ids (train.NewText, train.NewLines) or examples of any kind
	// (train.NewExamples). They need no tokenizer.
	Data *train.Data
}

// empty reports whether the corpus has no data.
func (d Corpus) empty() bool {
	return len(d.Files) == 0 && d.Text == "" && d.Reader == nil && d.Data == nil
}

// check refuses a corpus with none or several of its fields.
func (d Corpus) check() error {
	given := 0
	for _, is := range []bool{len(d.Files) > 0, d.Text != "", d.Data != nil, d.Reader != nil && len(d.Files) == 0} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return &Error{Option: "Data", Value: isMissing, Err: errors.New("there is nothing to learn from"), Do: GiveData}
	case given > 1:
		return &Error{Option: "Data", Err: errors.New("it has several of Files, Text, Reader and Data"), Do: "give one"}
	case slices.Contains(d.Files, ""):
		return &Error{Option: "Data", Err: errors.New("a path is empty"), Do: GiveData}
	}
	if _, err := filepath.Match(d.Glob, ""); err != nil {
		return &Error{Option: "Glob", Value: fmt.Sprintf("%.80q", d.Glob), Err: err}
	}
	return nil
}

// Read reads the text of a corpus without Data, if there is enough memory: files
// in order, those of a folder in the order of their paths. Files named .jsonl or
// .ndjson are JSON Lines. It leaves out the folder skip.
func (d Corpus) Read(ctx context.Context, skip string) (*train.Text, error) {
	return d.read(ctx, train.Reading{Skip: skip, Fields: true})
}

func (d Corpus) read(ctx context.Context, how train.Reading) (*train.Text, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	paths, how := d.paths(how)
	return train.ReadText(ctx, paths, how)
}

// paths returns the paths of a corpus without Data, and how to read them.
func (d Corpus) paths(how train.Reading) ([]string, train.Reading) {
	how.Glob, how.Stdin, how.Limit = d.Glob, d.Reader, textLimit()
	if d.Glob == "" {
		how.Glob = "*"
	}
	paths := d.Files
	switch {
	case d.Text != "":
		how.Stdin, how.Name, paths = strings.NewReader(d.Text), "the text", []string{train.Stdin}
	case len(d.Files) == 0:
		how.Name, paths = "the reader", []string{train.Stdin}
	case how.Stdin == nil:
		how.Stdin = os.Stdin
	}
	return paths, how
}

// textLimit returns the number of bytes of text that fit into memory: the text
// itself, and two or four bytes for each of its tokens.
func textLimit() int64 {
	const unknown = 4 << 30 // if the system does not report free memory
	if free := memory.Free(); free > 0 {
		return free / 4
	}
	return unknown
}

// readText reads the given text.
func (r *trainRun) readText(ctx context.Context, d Corpus) (*train.Text, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	text, err := d.read(ctx, r.reading())
	if other := new(train.NotTextError); errors.As(err, &other) {
		if err := find.NotText(other.File); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, &Error{Option: "Data", Err: err}
	}
	return text, nil
}

// reading is how the run reads its text: a new one takes the fields of JSON Lines,
// a resumed one what it took before.
func (r *trainRun) reading() train.Reading {
	how := train.Reading{Skip: r.folder, Fields: r.fresh || r.options.Documents, Ended: !r.ends}
	if r.model != nil && r.model.ChatTemplate != "" {
		how.Chat = chatOf(r.model)
	}
	return how
}

// form is how a text of examples of a length is cut.
func (r *trainRun) form(tok *tokens.Tokenizer, length int) train.Form {
	return train.Form{Length: length, End: endOf(tok), Pack: r.options.Pack, Whole: !r.val.empty() || r.options.ValSHA256 != ""}
}

// textRead reports the text that was read.
func (r *trainRun) textRead(text *train.Text) {
	r.source = text.Source
	if len(text.JSONLines) > 0 {
		r.events.Tell.Say(Warning, "%s: JSON Lines are learned as they are written, braces and keys included: to learn from their fields, name the file .jsonl", quote.Paths(text.JSONLines))
	}
	if r.events.Text != nil {
		r.events.Text(text)
	}
}

// tokenize converts the text to training sequences of a length.
func (r *trainRun) tokenize(ctx context.Context, text *train.Text, tok *tokens.Tokenizer, length int) (err error) {
	total := len(text.Text)
	r.text = true
	r.data, err = text.Tokenize(ctx, tok, r.form(tok, length), func(bytes int) {
		if r.events.Tokenize != nil {
			r.events.Tokenize(bytes, total)
		}
	})
	if err != nil && ctx.Err() == nil {
		return &Error{Option: "Data", Value: quote.Paths(text.Names), Err: err}
	}
	return err
}

// endOf returns the id that ends a document, nil if the tokenizer has none.
func endOf(tok *tokens.Tokenizer) *int64 {
	if id, ok := tok.EndOfText(); ok {
		return &id
	}
	return nil
}

// findText reads the text of a resumed run: the given one, or otherwise the one
// that the run's folder records. Its hash must equal that of the run's original
// text.
func (r *trainRun) findText(ctx context.Context, d Corpus) (*train.Text, error) {
	hash := r.options.DataSHA256
	if !d.empty() {
		text, err := r.readText(ctx, d)
		if err == nil && text.SHA256 != hash {
			err = &Error{Option: "Data", Value: quote.Paths(text.Names), Do: "give the same files in the same order",
				Err: fmt.Errorf("the text is not the one this run began with (SHA-256 %.12s, was %.12s)", text.SHA256, hash)}
		}
		return text, err
	}
	from, err := readSource(r.in(store.SourceName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Option: "Data", Value: isMissing, Do: GiveSameText,
			Err: fmt.Errorf("%s has no %s that says where its text is (it came through a pipe, or an older attnx wrote the run)", r.folder, store.SourceName)}
	}
	if err != nil {
		return nil, &Error{Err: err, Do: GiveFirstText}
	}
	text, err := from.Read(ctx, r.reading())
	if err == nil && text.SHA256 != hash {
		err = &train.MovedError{Paths: from.Paths, Reason: "its bytes have changed"}
	}
	if errors.As(err, new(*train.MovedError)) {
		err = &Error{Option: "run", Value: r.folder, Err: err, Do: GiveFirstText}
	}
	return text, err
}

// readSource reads the file that records where a run's text is.
func readSource(path string) (*train.Source, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > train.MaxSource { // opening a pipe would block until something writes to it
		return nil, fmt.Errorf("%s: it is not a regular file of at most %d bytes", path, train.MaxSource)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	from, err := train.ParseSource(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return from, nil
}

// saveSource writes that file. It leaves a file of that name alone if another
// program wrote it; a resumed run must then be given its text.
func (r *trainRun) saveSource() error {
	path := r.in(store.SourceName)
	if _, err := readSource(path); r.source == nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return store.Save(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r.source)
	})
}

// saveConfig writes the description of a new run.
func (r *trainRun) saveConfig() error {
	if r.config == "" {
		return nil
	}
	return store.Save(r.in(store.ConfigName), func(w io.Writer) error {
		_, err := io.WriteString(w, r.config)
		return err
	})
}
