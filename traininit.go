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
	"github.com/attnx/attnx/model/role"
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
	freeze    []string // patterns of what is not trained by default
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
	for option, value := range map[string]string{"Labels": o.Labels, "Text": o.Text} {
		if value != "" && !o.tables() {
			return nil, &OptionError{Option: option, Reason: " names a column of tables, and the data are none: give files whose names end with .csv, .jsonl or .npz"}
		}
	}
	c, freeze, err := o.initial(tell)
	if err != nil {
		return nil, err
	}
	s := &started{freeze: freeze, origin: &train.Origin{Name: filepath.Base(filepath.Clean(o.Init)), Arch: c.Arch, SHA256: c.Weights.Hash(), Step: c.Step, Added: o.AddTokens}}
	if o.Data.Data == nil && !o.tables() && o.Loss == "" {
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

// initial reads the model, and what of an ONNX file is not trained by default.
func (o TrainOptions) initial(tell Tell) (c *model.Checkpoint, freeze []string, err error) {
	file := find.ModelIn(find.Held(o.Init))
	kind := find.Kind(0)
	if !find.IsFolder(file) {
		kind, _ = find.ExpectModel(file) // readAny reports what it is otherwise
	}
	if kind == find.ONNX && o.Loss != "" {
		t, err := readTrainable(file, batchSizes(o.Settings.Batch, cmp.Or(o.Context, longestDefault)), tell)
		if err != nil {
			return nil, nil, err
		}
		if err := checkSizes(file, t.model.Graph, o.Settings.Batch); err != nil {
			return nil, nil, err
		}
		if n := len(t.freeze); n > 0 {
			tell.Say(Notice, "%s: not trained: %d tensors of constants, integers or running moments", o.Init, n)
		}
		return t.model, t.freeze, nil
	}
	c, rounding, err := readAny(o.Init, tell, model.LoadModel)
	if err != nil && kind == find.ONNX {
		return nil, nil, &Error{Err: err, Do: TrainFile}
	}
	if err != nil {
		return nil, nil, err
	}
	if rounding.Changed > 0 {
		tell.Say(Notice, "%s: rounding to float32 changed %s weights", o.Init, quote.Count(rounding.Changed))
	}
	return c, nil, nil
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
	needed := o.Data.Data == nil && !o.tables() || len(o.AddTokens) > 0
	if needed || len(c.Tokenizer) > 0 && o.tables() {
		if s.tokenizer, err = tokenizerOf(o.Init, c); err != nil {
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
	r.options.Freeze = append(from.freeze, r.options.Freeze...)
	if err := r.adapt(o); err != nil {
		return err
	}
	if err := r.chooseLoss(o); err != nil {
		return err
	}
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
	if o.tables() {
		if err := o.Data.check(); err != nil {
			return err
		}
		err := r.readTable(o.Data.Files, from.tokenizer, train.Table{Labels: o.Labels, Text: o.Text, Length: length})
		if err == nil {
			r.options.DataSHA256 = r.data.SHA256()
		}
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
	if err := r.tokenize(ctx, text, from.tokenizer, length); err != nil {
		return err
	}
	return r.fillInputs()
}

// adapt adds an adapter, and freezes all else.
func (r *trainRun) adapt(o TrainOptions) (err error) {
	if o.LoRA == 0 {
		if o.LoRAAlpha != 0 || len(o.LoRATargets) > 0 {
			return &OptionError{Option: "LoRA", Reason: " is missing: LoRAAlpha and LoRATargets are settings of an adapter"}
		}
		return nil
	}
	if r.model, err = r.model.WithLoRA(o.LoRA, cmp.Or(o.LoRAAlpha, float64(2*o.LoRA)), o.LoRATargets, r.options.Seed); err != nil {
		return &Error{Option: "LoRA", Err: err}
	}
	a, b := r.model.LoRA.Names("*")
	r.options.Freeze = append([]string{"*", "!" + a, "!" + b}, o.Settings.Freeze...)
	return nil
}

// chooseLoss sets what is minimized.
func (r *trainRun) chooseLoss(o TrainOptions) error {
	if o.Loss == "" {
		if o.Output != "" {
			return &OptionError{Option: "Output", Reason: " is what a Loss is of: give both"}
		}
		return nil
	}
	loss, err := model.LossFor(r.model.Graph, o.Loss, o.Output)
	if err != nil {
		return &Error{Option: "Loss", Err: err}
	}
	r.options.Loss = &loss
	return nil
}

// fillInputs gives inputs that follow from the tokens of a text their data.
func (r *trainRun) fillInputs() error {
	loss, err := r.options.WithLoss(r.model.Graph)
	if err != nil {
		return err
	}
	return r.data.Fill(loss)
}

// length returns the number of tokens of a sequence.
func (s *started) length(o TrainOptions) (int, error) {
	most := s.model.Context()
	if in := s.model.Graph.Input(role.Of(role.Tokens)); in != nil {
		if n, fixed := fixedLength(in); fixed {
			most = n
		}
	}
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
	loss, err := r.options.WithLoss(r.model.Graph)
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
	if l := r.options.Loss; l != nil {
		return &Error{Option: "Output", Value: fmt.Sprintf("%.80q", l.Output), Err: errors.New("it depends on no weight: there is nothing to learn")}
	}
	return errors.New("the loss depends on no weight: there is nothing to learn")
}
