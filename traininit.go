package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// longestDefault is the most tokens of a sequence when a run starts from a
// model and names no length. The contexts of large models are longer than what
// a step on a CPU can hold.
const longestDefault = 512

// started is a model that a run starts from.
type started struct {
	model     *model.Checkpoint
	tokenizer *tokens.Tokenizer // nil for data without text
	origin    *train.Origin
}

// startFrom reads the model of TrainOptions.Init, and adds tokens to it.
func (o TrainOptions) startFrom(tell Tell) (*started, error) {
	for option, given := range map[string]bool{
		"Network": o.Network != nil, "Arch": o.Arch != "", "Preset": o.Preset != "", "Kind": o.Kind != 0, "Vocab": o.Vocab != 0, "Sizes": o.Sizes != (arch.Sizes{}),
	} {
		if given {
			return nil, &OptionError{Option: option, Reason: " belongs to a new network, and Init gives one: leave one of them out"}
		}
	}
	c, rounding, err := readAny(o.Init, tell, model.LoadModel)
	if err != nil {
		return nil, err
	}
	if rounding.Changed > 0 {
		tell.Say(Notice, "%s: rounding to float32 changed %s weights", o.Init, quote.Count(rounding.Changed))
	}
	s := &started{origin: &train.Origin{Name: filepath.Base(filepath.Clean(o.Init)), Arch: c.Arch, SHA256: c.Weights.Hash(), Step: c.Step, Added: o.AddTokens}}
	if o.Data.Data == nil {
		if err := c.Continues(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Init, err)
		}
	}
	if err := s.addTokens(o, c); err != nil {
		return nil, err
	}
	first := *s.model
	first.Step, first.Loss, first.ValLoss, first.Train, first.Seal = 0, nil, nil, nil, nil
	s.model = &first
	return s, nil
}

// addTokens sets the model with its tokenizer and the added tokens.
func (s *started) addTokens(o TrainOptions, c *model.Checkpoint) (err error) {
	s.model = c
	if len(c.Tokenizer) == 0 && o.Tokenizer != nil {
		if c.Tokenizer, err = o.Tokenizer.MarshalJSON(); err != nil {
			return err
		}
	} else if o.Tokenizer != nil {
		return &OptionError{Option: "Tokenizer", Reason: fmt.Sprintf(": %s has a tokenizer, which its weights know: leave it out", o.Init)}
	}
	if o.Data.Data == nil || len(o.AddTokens) > 0 {
		if s.tokenizer, err = find.Tokenizer(o.Init, c.Tokenizer, c); err != nil {
			return err
		}
	}
	if len(o.AddTokens) == 0 {
		return nil
	}
	larger := *c
	if larger.Tokenizer, err = tokens.Add(c.Tokenizer, o.AddTokens...); err != nil {
		return &Error{Option: "AddTokens", Err: err}
	}
	if s.tokenizer, err = tokens.Parse(larger.Tokenizer); err != nil {
		return &Error{Option: "AddTokens", Err: err}
	}
	if s.model, err = larger.WithVocab(s.tokenizer.VocabSize()); err != nil {
		return &Error{Option: "AddTokens", Err: fmt.Errorf("%s: %w", o.Init, err)}
	}
	return nil
}

// beginFrom reads the model that a new run starts from, and the data.
func (r *trainRun) beginFrom(ctx context.Context, o TrainOptions) error {
	from, err := o.startFrom(r.events.Tell)
	if err != nil {
		return err
	}
	r.model, r.options.Init = from.model, from.origin
	if err := r.checkFreeze(); err != nil {
		return err
	}
	if o.Data.Data != nil {
		if err := o.Data.check(); err != nil {
			return err
		}
		if r.data = o.Data.Data; r.options.DataSHA256 == "" {
			r.options.DataSHA256 = r.data.SHA256()
		}
		return nil
	}
	length, err := from.length(o)
	if err != nil {
		return err
	}
	if length != r.model.Context() {
		r.options.Context = length
	}
	r.ends = endOf(from.tokenizer) != nil
	text, err := r.readText(ctx, o.Data)
	if err != nil {
		return err
	}
	r.options.DataSHA256, r.options.Documents = text.SHA256, text.Documents != nil
	r.textRead(text)
	return r.tokenize(ctx, text, from.tokenizer, length)
}

// length returns the number of tokens of a sequence.
func (s *started) length(o TrainOptions) (int, error) {
	most := s.model.Context()
	if most > 0 && o.Context > most {
		return 0, &Error{Option: "Context", Value: fmt.Sprint(o.Context), Err: fmt.Errorf("%s has a context of %d tokens: take at most as many", o.Init, most)}
	}
	if most == 0 {
		most = longestDefault
	}
	return cmp.Or(o.Context, min(most, longestDefault)), nil
}

// checkFreeze refuses patterns that fit no weight, and weights that are all
// frozen.
func (r *trainRun) checkFreeze() error {
	names, err := r.options.Trained(r.model.Graph)
	if err != nil {
		return &Error{Option: "Freeze", Err: err}
	}
	loss, err := model.WithLoss(r.model.Graph)
	if err != nil {
		return err
	}
	reach, err := train.Reaching(loss, names)
	if err != nil {
		return err
	}
	if reach > 0 {
		return nil
	}
	if names != nil {
		return &Error{Option: "Freeze", Err: train.ErrAllFrozen}
	}
	return errors.New("the loss depends on no weight: there is nothing to learn")
}
