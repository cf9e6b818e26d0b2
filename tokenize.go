package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// TokensOptions configure WriteTokens.
type TokensOptions struct {
	Out  string // the token file
	Data Corpus // of text

	// The tokenizer: the path of a model, a tokenizer.json or a token file. "": one
	// of Kind is made from the text, which must then fit into memory.
	Tokenizer string
	Kind      tokens.Kind // 0: tokens.Char
	Vocab     int         // as in TrainOptions

	Progress func(done, total int64) // bytes of the files read, and of all; may be nil
}

// WriteTokens writes a text as a token file (train.Tokens), which Train takes as a
// file of its Corpus: for texts that do not fit into memory. If it is interrupted,
// the next call goes on where it was.
func WriteTokens(ctx context.Context, o TokensOptions) (*train.TokensWritten, error) {
	if err := o.Data.check(); err != nil {
		return nil, err
	}
	if o.Data.Data != nil {
		return nil, &Error{Option: "Data", Err: errors.New("it is tokens already"), Do: "give a text"}
	}
	place, err := output.Claim(output.Tokens, o.Out, o.Data.Files...)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	tok, err := o.tokenizer(ctx)
	if err != nil {
		return nil, err
	}
	end := endOf(tok)
	reading := train.Reading{Fields: true, Ended: end == nil}
	if o.Tokenizer != "" && !train.IsTokenFile(o.Tokenizer) {
		reading.Chat = o.chat()
	}
	paths, how := o.Data.paths(reading)
	k := train.Tokens{Paths: paths, Reading: how, Tokenizer: tok, End: end, Progress: o.Progress}
	done, err := k.Write(ctx, o.Out)
	if err != nil && ctx.Err() == nil {
		err = &Error{Option: "Data", Err: err}
	}
	return done, err
}

// chat renders conversations in the template of the model that Tokenizer names,
// which is read when the first one comes.
func (o TokensOptions) chat() train.Chat {
	read := sync.OnceValues(func() (train.Chat, error) {
		c, _, err := readAny(o.Tokenizer, nil, model.LoadModel)
		if err == nil && c.ChatTemplate == "" {
			err = errors.New("it has no chat template")
		}
		if err != nil {
			return nil, fmt.Errorf("messages take the chat template of a model, and %s is none: %w", o.Tokenizer, err)
		}
		return chatOf(c), nil
	})
	return func(messages []byte) ([]string, error) {
		render, err := read()
		if err != nil {
			return nil, err
		}
		return render(messages)
	}
}

// tokenizer returns the named tokenizer, or makes one.
func (o TokensOptions) tokenizer(ctx context.Context) (*tokens.Tokenizer, error) {
	if o.Tokenizer != "" {
		if train.IsTokenFile(o.Tokenizer) {
			f, err := train.OpenTokens(o.Tokenizer)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return f.Tokenizer(), nil
		}
		tok, _, err := find.TokenizerAt(o.Tokenizer, nil)
		return tok, err
	}
	text, err := o.Data.read(ctx, train.Reading{Fields: true, Ended: o.Kind != tokens.BPE})
	if err != nil {
		return nil, &Error{Option: "Data", Err: err}
	}
	return TrainOptions{Kind: o.Kind, Vocab: o.Vocab}.tokenizer(text)
}

// openTokens opens the token file that is the only file of a corpus. It returns nil
// if there is none.
func openTokens(files []string) (*train.TokenFile, error) {
	for _, path := range files {
		if !train.IsTokenFile(path) {
			continue
		}
		if len(files) > 1 {
			return nil, &Error{Option: "Data", Value: path, Err: errors.New("a token file is learned alone"), Do: "write all texts into one"}
		}
		f, err := train.OpenTokens(path)
		if err != nil {
			return nil, &Error{Option: "Data", Err: err}
		}
		return f, nil
	}
	return nil, nil
}

// useTokens takes the data of a token file, which close closes.
func (r *trainRun) useTokens(f *train.TokenFile, path string, length int) (err error) {
	r.close()
	r.tokens = f
	if r.data, err = f.Data(r.form(f.Tokenizer(), length)); err != nil {
		return &Error{Option: "Data", Err: err}
	}
	r.options.DataSHA256, r.text = f.SHA256(), true
	if info, err := os.Stat(path); err == nil {
		r.source = train.SourceAt(path, info.Size())
	}
	return nil
}

// close ends the use of a token file.
func (r *trainRun) close() {
	for _, f := range []**train.TokenFile{&r.tokens, &r.valTokens} {
		if *f != nil {
			(*f).Close()
			*f = nil
		}
	}
}

// tokensAgain takes the token file of a resumed run: the given one, or otherwise
// the one that the run's folder records. It reports whether there is one.
func (r *trainRun) tokensAgain(d Corpus, length int) (found bool, err error) {
	files := d.Files
	if d.empty() {
		from, err := readSource(r.in(store.SourceName))
		if err != nil || len(from.Paths) != 1 {
			return false, nil
		}
		files = from.Paths
	}
	f, err := openTokens(files)
	if f == nil || err != nil {
		return false, err
	}
	if f.SHA256() != r.options.DataSHA256 {
		f.Close()
		return true, &Error{Option: "Data", Value: quote.Paths(files), Do: "give the same file",
			Err: fmt.Errorf("the tokens are not those that this run began with (SHA-256 %.12s, was %.12s)", f.SHA256(), r.options.DataSHA256)}
	}
	return true, r.useTokens(f, files[0], cmp.Or(length, r.model.Context()))
}
