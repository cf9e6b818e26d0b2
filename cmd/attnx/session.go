package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/ort"
)

// device is where ONNX Runtime works, as the flags say.
type device struct {
	library string // --ort-lib
	name    string // --device
	tf32    bool   // --tf32
}

// flags adds what says where ONNX Runtime works.
func (d *device) flags(fl *pflag.FlagSet) {
	fl.StringVar(&d.library, "ort-lib", "", "path of the ONNX Runtime library (default: the one that is found)")
	fl.StringVar(&d.name, "device", "cpu", "where to run: cpu, cuda or auto")
	fl.BoolVar(&d.tf32, "tf32", false, "CUDA: allow TF32, which rounds products to 10 bits")
}

// check refuses what is no device before any file is read.
func (d device) check() error {
	if !slices.Contains([]string{"cpu", "cuda", "auto"}, d.name) {
		return fmt.Errorf("--device %.80q: take cpu, cuda or auto", d.name)
	}
	return nil
}

// options converts the flags to ort.Options.
func (d device) options() (ort.Options, error) {
	lib, err := ort.Find(d.library, d.name)
	return ort.Options{Library: lib.Path, Device: d.name, CUDA: ort.CUDAOptions{TF32: d.tf32}}, err
}

// language is a model that can be run on text.
type language struct {
	*opened
	tok *tokens.Tokenizer
	end []int64 // ids that end a text
}

// openLanguage opens what openModel opens, with its tokenizer.
func openLanguage(path string, d device, s streams) (*language, error) {
	var tok *tokens.Tokenizer
	o, err := openModel(path, d, s, func(o *opened) (err error) {
		tok, err = tokenizerOf(o.path, o.network.Tokenizer, o.network)
		return err
	})
	if err != nil {
		return nil, err
	}
	special := o.special
	if special == nil {
		special = model.Spelled(tok, o.network.Vocab())
	}
	return &language{o, tok, special.End}, nil
}

// tokenizerOf reads the tokenizer of the model in a file. It may have added
// tokens that the model does not know, as transformers leaves behind where a
// token for padding is added and the model is not resized: encodeWith refuses
// the texts that they are written in.
func tokenizerOf(path string, data []byte, c *model.Checkpoint) (*tokens.Tokenizer, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: the model has no tokenizer: it cannot read or write text", path)
	}
	t, err := tokens.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", path, err)
	}
	if t.OrdinarySize() > c.Vocab() {
		return nil, tooLarge(path, t, c)
	}
	return t, nil
}

// tooLarge says that a tokenizer has tokens that its model does not.
func tooLarge(path string, t *tokens.Tokenizer, c *model.Checkpoint) error {
	return fmt.Errorf("%s: the tokenizer has %d tokens, the model %d: its ids would be out of range, train or export again", path, t.VocabSize(), c.Vocab())
}

// encodeWith returns the ids of a text, all of them the model's. Errors call the
// text by its name.
func encodeWith(t *tokens.Tokenizer, c *model.Checkpoint, name, text string) ([]int64, error) {
	ids := t.Encode(text)
	return ids, checkIDs(t, c, name, ids)
}

// checkIDs refuses ids of a text that the model does not have.
func checkIDs(t *tokens.Tokenizer, c *model.Checkpoint, name string, ids []int64) error {
	for _, id := range ids {
		if id >= int64(c.Vocab()) {
			return fmt.Errorf("%s: the token %.80q has the id %d, and the model's ids are from 0 to %d: leave it out", name, t.Token(id), id, c.Vocab()-1)
		}
	}
	return nil
}

// warnTokenizer says of a model that is written why its tokenizer, which goes
// along as it is, will not be read. One that is not valid is an error: it would
// be of no use to any program.
func warnTokenizer(path string, c *model.Checkpoint, s streams) error {
	note, err := aboutTokenizer(path, c)
	if note != "" {
		fmt.Fprintf(s.err, "attnx: %s; it is written as it is, and attnx cannot turn text into ids with it\n", note)
	}
	return err
}

// aboutTokenizer returns why attnx does not read the tokenizer of a model, in one
// line: empty where it does, or the model has none. One that is not valid is an
// error.
func aboutTokenizer(path string, c *model.Checkpoint) (note string, err error) {
	if len(c.Tokenizer) == 0 {
		return "", nil
	}
	_, err = tokenizerOf(path, c.Tokenizer, c)
	if invalid := new(tokens.FormatError); err == nil || errors.As(err, &invalid) {
		return "", err
	}
	return oneLine(err.Error()), nil
}

// encode turns a prompt into ids. Unknown words become the unknown token; a
// warning says so. Both it and errors call the prompt by its name.
func (l *language) encode(name, prompt string, s streams) ([]int64, error) {
	ids, err := encodeWith(l.tok, l.network, name, prompt)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s is empty: give at least one token", name)
	}
	if len(ids) > l.context {
		return nil, fmt.Errorf("%s has %d tokens, the model sees %d: shorten it", name, len(ids), l.context)
	}
	if unknown, ok := l.tok.Unknown(); ok {
		n := 0
		for _, id := range ids {
			if id == unknown {
				n++
			}
		}
		if n > 0 {
			fmt.Fprintf(s.err, "attnx: %s: %d of %d tokens are not in the model's vocabulary\n", name, n, len(ids))
		}
	}
	return ids, nil
}
