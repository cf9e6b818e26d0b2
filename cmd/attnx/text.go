package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// readText reads what a flag names: files, folders, pipes, "-" for standard
// input. Of the folders it leaves out the folder skip.
func readText(ctx context.Context, s streams, flag string, paths []string, glob, skip string) (*train.Text, error) {
	if _, err := filepath.Match(glob, ""); err != nil {
		return nil, fmt.Errorf("--glob %.80q: %w", glob, err)
	}
	if slices.Contains(paths, train.Stdin) {
		s.sayInput()
	}
	text, err := train.ReadText(ctx, paths, train.Reading{Glob: glob, Skip: skip, Stdin: s.in, Limit: textLimit()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return text, nil
}

// textLimit returns how many bytes of text there is memory for: the text, and
// two bytes or four for each of its tokens.
func textLimit() int64 {
	const unknown = 4 << 30 // where the system does not say what is free
	if free := memory.Free(); free > 0 {
		return free / 4
	}
	return unknown
}

// findData reads the text of a run that is resumed: what --data names, or else
// what the run's folder says that it learned from. Its hash must be that of the
// text the run began with.
func findData(ctx context.Context, s streams, f trainFlags, hash string) (*train.Text, error) {
	if len(f.data) > 0 {
		text, err := readText(ctx, s, "--data", f.data, f.glob, f.resume)
		if err == nil && text.SHA256 != hash {
			err = fmt.Errorf("--data %s: the text is not the one this run began with (SHA-256 %.12s, was %.12s): give the same files in the same order", named(f.data), text.SHA256, hash)
		}
		return text, err
	}
	from, err := readSource(filepath.Join(f.resume, sourceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--data is missing: %s has no %s that says where its text is (it came through a pipe, or an older attnx wrote the run): give the same text again", f.resume, sourceFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: give the text that the run began with as --data", err)
	}
	text, err := from.Read(ctx, f.resume)
	if err == nil && text.SHA256 != hash {
		err = &train.MovedError{Paths: from.Paths, Reason: "its bytes have changed"}
	}
	if moved := new(train.MovedError); errors.As(err, &moved) {
		return nil, fmt.Errorf("--resume %s: %w: give the text that the run began with as --data", f.resume, err)
	}
	return text, err
}

// readSource reads the file that says where a run's text is.
func readSource(path string) (*train.Source, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > train.MaxSource { // to open a pipe would wait for its writer
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

// saveSource writes it. Another's file of that name is left alone: then a
// resumed run asks for its text.
func saveSource(path string, from *train.Source) error {
	if _, err := readSource(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return store.Save(path, func(w io.Writer) error { return printJSON(w, from) })
}

// longText is how many bytes take a second or so to tokenize: what was read, and
// how far it is, is said at once. Of a shorter text nothing is said before it is
// known that a run can begin.
const longText = 8 << 20

// corpus is what a run learns from, and what is to be said of it.
type corpus struct {
	*train.Data
	source *train.Source // nil where the text cannot be found again
	words  func()        // says what was read; nil where that was done
}

// sayText says what was read, and what it will be taken for.
func sayText(s streams, names []string, bytes int, jsonLines []string) {
	unit := "files"
	if len(names) == 1 {
		unit = "file"
	}
	fmt.Fprintf(s.note, "text: %d %s, %s bytes: %s\n", len(names), unit, thousands(bytes), named(names))
	if len(jsonLines) > 0 {
		fmt.Fprintf(s.err, "attnx: %s: JSON Lines are learned as they are written, braces and keys included: to learn from one field, write its text into a file first\n", named(jsonLines))
	}
}

// named lists the first of some paths.
func named(paths []string) string {
	const most = 3
	var names []string
	for _, p := range paths[:min(len(paths), most)] {
		names = append(names, oneLine(p))
	}
	if len(paths) > most {
		names = append(names, fmt.Sprintf("and %d more", len(paths)-most))
	}
	return strings.Join(names, ", ")
}

// newCorpus returns what is to be said of a text that is about to be tokenized.
// It says it at once where that takes a while.
func newCorpus(s streams, text *train.Text) corpus {
	names, bytes, jsonLines := text.Names, len(text.Text), text.JSONLines // not the text, which is soon no longer needed
	c := corpus{source: text.Source, words: func() { sayText(s, names, bytes, jsonLines) }}
	if bytes >= longText {
		c.words()
		c.words = nil
	}
	return c
}

// tokenize cuts the text into examples, and shows how far it is where that takes
// a while.
func (c *corpus) tokenize(ctx context.Context, s streams, text *train.Text, tok *tokens.Tokenizer, length int) (err error) {
	const MB = 1_000_000
	progress := func(int) {}
	if bytes := len(text.Text); bytes >= longText {
		bar := terminal.NewProgress(s.note, "tokenizing", bytes/MB, "MB")
		defer bar.Finish()
		progress = func(bytes int) { bar.Set(bytes/MB, "") }
	}
	names := text.Names
	c.Data, err = train.Tokenize(ctx, text.Text, tok, length, progress)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("--data %s: %w", named(names), err)
	}
	return err
}
