package attnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// plan counts the steps of a new run of epochs.
func (r *trainRun) plan() error {
	o := &r.options
	if o.Epochs == 0 {
		return nil
	}
	if err := o.Plan(r.data); err != nil {
		return &Error{Option: "Epochs", Value: fmt.Sprint(o.Epochs), Err: err}
	}
	if o.SaveEvery == 0 {
		o.SaveEvery = o.EvalEvery
	}
	return nil
}

// validate reads the data that validate the run, if they are not a part of those it
// learns from, and gives inputs that follow from the tokens of a text their data.
func (r *trainRun) validate(ctx context.Context) error {
	own := !r.val.empty() || r.options.ValSHA256 != ""
	if own && r.options.Table == nil && !r.model.Translates() {
		if err := r.readVal(ctx); err != nil {
			return err
		}
	}
	if r.text {
		return r.fillInputs()
	}
	return nil
}

// readVal reads the data for validation: the given ones, or otherwise those that the
// run's folder records.
func (r *trainRun) readVal(ctx context.Context) error {
	d, files := r.val, r.val.Files
	var at *train.Source // in the run's folder
	if d.empty() {
		s, err := readSource(r.in(store.SourceName))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &Error{Err: err, Do: GiveVal}
		}
		if err != nil || s.Val == nil {
			return &Error{Option: "Val", Value: isMissing, Err: fmt.Errorf("%s does not say where its data for validation are", r.folder), Do: GiveVal}
		}
		at, files = s.Val, s.Val.Paths
	} else if err := d.check(); err != nil {
		return asVal(err)
	}
	by, sum, from, err := r.readValFrom(ctx, d, files, at)
	if err != nil {
		return asVal(err)
	}
	if r.options.ValSHA256 != "" && sum != r.options.ValSHA256 {
		return &Error{Option: "Val", Value: quote.Paths(files), Do: GiveVal,
			Err: fmt.Errorf("they are not those that this run began with (SHA-256 %.12s, was %.12s)", sum, r.options.ValSHA256)}
	}
	if err := r.data.Validated(by); err != nil {
		return &Error{Option: "Val", Err: err}
	}
	r.options.ValSHA256 = sum
	if r.source != nil {
		whole := *r.source
		whole.Val, r.source = from, &whole
	}
	return nil
}

// asVal has an error about data name those for validation.
func asVal(err error) error {
	if about := new(Error); errors.As(err, &about) && about.Option == "Data" {
		about.Option = "Val"
	}
	return err
}

func (r *trainRun) readValFrom(ctx context.Context, d Corpus, files []string, at *train.Source) (by *train.Data, sum string, from *train.Source, err error) {
	if d.Data != nil {
		return d.Data, d.Data.SHA256(), nil, nil
	}
	tok, err := tokenizerOf(r.folder, r.model)
	if err != nil {
		return nil, "", nil, err
	}
	part := *r // with a text of its own
	part.tokens, part.data, part.source, part.events.Text = nil, nil, nil, nil
	length := r.options.Context
	if length == 0 {
		length = r.model.Context()
	}
	ids, err := openTokens(files)
	if err != nil {
		return nil, "", nil, err
	}
	if ids != nil {
		if !sameTokenizer(ids.Tokenizer(), tok) {
			return nil, "", nil, errors.Join(&Error{Option: "Data", Value: files[0], Err: errors.New("its tokens are not from the tokenizer of the model"), Do: WriteTokensOf}, ids.Close())
		}
		err := part.useTokens(ids, files[0], length)
		r.valTokens = part.tokens
		return part.data, part.options.DataSHA256, part.source, err
	}
	how := part.reading()
	how.Fields = true
	var text *train.Text
	if at != nil {
		text, err = at.Read(ctx, how)
	} else {
		text, err = d.read(ctx, how)
	}
	if err != nil {
		return nil, "", nil, &Error{Option: "Data", Err: err}
	}
	part.textRead(text)
	err = part.tokenize(ctx, text, tok, length)
	return part.data, text.SHA256, text.Source, err
}

// tableSource returns where tables are.
func tableSource(files []string, bytes int64) (*train.Source, error) {
	s := &train.Source{Glob: "*", Files: len(files), Bytes: bytes}
	for _, f := range files {
		path, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		s.Paths = append(s.Paths, path)
	}
	return s, nil
}

// sameTokenizer reports whether two tokenizers are the same.
func sameTokenizer(a, b *tokens.Tokenizer) bool {
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// chatOf renders conversations for training in a model's chat template: what comes
// before an answer of the assistant is given, and the answer with what ends it is
// learned.
func chatOf(c *model.Checkpoint) train.Chat {
	var special model.SpecialTokens
	if c.Special != nil {
		special = c.Special.Tokens
	}
	return func(list []byte) ([]string, error) { return conversation(c.ChatTemplate, special, list) }
}
