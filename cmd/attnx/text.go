package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// readText reads what a flag names: files, folders, pipes, "-" for standard
// input.
func readText(ctx context.Context, s streams, flag string, paths []string, glob string) (*train.Text, error) {
	if _, err := filepath.Match(glob, ""); err != nil {
		return nil, fmt.Errorf("--glob %q: %w", glob, err)
	}
	text, err := train.ReadText(ctx, paths, glob, s.in, textLimit())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return text, nil
}

// textLimit returns how many bytes of text there is memory for: the text, and
// two bytes or four for each of its tokens.
func textLimit() int64 {
	const unknown = 4 << 30 // where the system does not say what is free
	if free := freeMemory(); free > 0 {
		return free / 4
	}
	return unknown
}

// readData reads the text of a run that --data names, and says what it read.
func readData(ctx context.Context, s streams, f trainFlags) (*train.Text, error) {
	text, err := readText(ctx, s, "--data", f.data, f.glob)
	if err != nil {
		return nil, err
	}
	sayText(s, text)
	return text, nil
}

// findData reads the text of a run that is resumed: what --data names, or else
// what its checkpoint says that it learned from.
func findData(ctx context.Context, s streams, f trainFlags, o train.Options) (*train.Text, error) {
	if len(f.data) > 0 {
		text, err := readData(ctx, s, f)
		if err == nil && text.SHA256 != o.DataSHA256 {
			err = fmt.Errorf("--data %s: the text is not the one this run began with (SHA-256 %.12s, was %.12s): give the same files in the same order", named(f.data), text.SHA256, o.DataSHA256)
		}
		return text, err
	}
	if o.Data == nil {
		return nil, fmt.Errorf("--data is missing: the checkpoint of %s does not say where its text lies (it came through a pipe, or an older attnx wrote it): give the same text again", f.resume)
	}
	text, err := o.Data.Read(ctx)
	if err == nil && text.SHA256 != o.DataSHA256 {
		err = &train.MovedError{Paths: o.Data.Paths, Reason: "its bytes have changed"}
	}
	if moved := new(train.MovedError); errors.As(err, &moved) {
		return nil, fmt.Errorf("--resume %s: %w: name with --data where the text it began with is now", f.resume, err)
	}
	if err != nil {
		return nil, err
	}
	sayText(s, text)
	return text, nil
}

// sayText says what was read, and what it will be taken for.
func sayText(s streams, t *train.Text) {
	unit := "files"
	if len(t.Names) == 1 {
		unit = "file"
	}
	fmt.Fprintf(s.note, "text: %d %s, %s bytes: %s\n", len(t.Names), unit, thousands(len(t.Text)), named(t.Names))
	if len(t.JSONLines) > 0 {
		fmt.Fprintf(s.err, "attnx: %s: JSON Lines are learned as they are written, braces and keys included: to learn from one field, write its text into a file first\n", named(t.JSONLines))
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

// tokenize cuts a text into examples, and shows how far it is where that takes
// a while.
func tokenize(ctx context.Context, s streams, f trainFlags, text *train.Text, tok *tokens.Tokenizer, length int) (*train.Data, error) {
	const long = 8 << 20 // bytes that take a second or so
	const MB = 1_000_000
	progress := func(int) {}
	if len(text.Text) >= long {
		bar := newProgress(s.note, "tokenizing", len(text.Text)/MB, "MB")
		defer bar.finish()
		progress = func(bytes int) { bar.set(bytes/MB, "") }
	}
	data, err := train.Tokenize(ctx, text.Text, tok, length, progress)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("--data %s: %w", named(text.Names), err)
	}
	return data, err
}
