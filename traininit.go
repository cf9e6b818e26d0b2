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
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
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

	batchMoments bool // see trainable
	names        map[string]string
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
	if err := o.packedTables(); err != nil {
		return nil, err
	}
	for option, value := range map[string]string{"Labels": o.Labels, "Text": o.Text} {
		if value != "" && !o.tables() {
			return nil, &OptionError{Option: option, Reason: " names a column, but the data have no columns: give files that end with .csv, .jsonl or .npz"}
		}
	}
	t, err := o.initial(tell)
	if err != nil {
		return nil, err
	}
	c := t.model
	s := &started{freeze: t.freeze, batchMoments: t.batchMoments, names: t.names, origin: &train.Origin{Name: filepath.Base(filepath.Clean(o.Init)), Arch: c.Arch, SHA256: c.Weights.Hash(), Step: c.Step, Added: o.AddTokens}}
	if !o.Pairs.empty() {
		if !c.Translates() {
			return nil, &Error{Option: "Init", Value: o.Init, Err: fmt.Errorf("%.80q reads no source, and pairs are learned by a network that translates", c.Arch), Do: "name one that does, or leave it out"}
		}
		if o.Loss != "" {
			return nil, &OptionError{Option: "Loss", Reason: " is cross-entropy where pairs are learned: leave it out"}
		}
	} else if o.Data.Data == nil && !o.tables() && o.Loss == "" {
		if err := c.Continues(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Init, err)
		}
	}
	if err := o.notStreamed(c); err != nil {
		return nil, err
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
func (o TrainOptions) initial(tell Tell) (*trainable, error) {
	file := find.ModelIn(find.Held(o.Init))
	kind := find.Kind(0)
	if !find.IsFolder(file) {
		kind, _ = find.ExpectModel(file) // readAny reports what it is otherwise
	}
	if kind == find.ONNX && o.Loss != "" {
		t, err := readTrainable(file, batchSizes(o.Settings.Batch, cmp.Or(o.Context, longestDefault)), o.Settings.Freeze, tell)
		if err != nil {
			return nil, err
		}
		if err := checkSizes(file, t.model.Graph, o.Settings.Batch); err != nil {
			return nil, err
		}
		if n := len(t.freeze); n > 0 {
			tell.Say(Notice, "%s: not trained: %d tensors of constants, integers or running moments", o.Init, n)
		}
		if n := len(t.doubtful); n > 0 {
			tell.Say(Notice, "%s: not trained: %d numbers that may be parameters or constants, such as %.80q: %s", o.Init, n, t.doubtful[0], ThawNumber)
		}
		if n := len(graph.Ratios(t.model.Graph)); n > 0 {
			tell.Say(Notice, "%s: %d Dropout nodes drop in steps, as the file says, and not in evaluations", o.Init, n)
		}
		if t.batchMoments {
			tell.Say(Notice, "%s: its BatchNormalization uses the moments of the batch in steps, and updates the running ones", o.Init)
		}
		return t, nil
	}
	if kind == find.GGUF && o.LoRA > 0 && o.Quantize == 0 {
		if len(o.AddTokens) > 0 {
			return nil, &Error{Option: "AddTokens", Err: fmt.Errorf("%s: its matrices stay integers under an adapter, and a table of integers cannot grow", o.Init), Do: QuantizeLarger}
		}
		c, err := find.ReadLowBits(file, tell)
		if err == nil {
			err = o.sayStored(kind, c, tell)
		}
		return &trainable{model: c}, err
	}
	c, rounding, err := readAny(o.Init, tell, model.LoadModel)
	if err != nil && kind == find.ONNX {
		return nil, &Error{Err: err, Do: TrainFile}
	}
	if err != nil {
		return nil, err
	}
	if rounding.Changed > 0 {
		tell.Say(Notice, "%s: rounding to float32 changed %s weights", o.Init, quote.Count(rounding.Changed))
	}
	if !huggingface.IsAdapter(find.Held(o.Init)) {
		if err := o.sayStored(kind, c, tell); err != nil {
			return nil, err
		}
	}
	return &trainable{model: c}, nil
}

// QuantizeLarger is the remedy for tokens that are added to a table of integers.
const QuantizeLarger = "give Quantize too, which reads the file as float32, adds the tokens and rounds again"

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
	s.origin.Rows = c.IDs()
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
	r.model, r.options.Init, r.names = from.model, from.origin, from.names
	r.options.Freeze = append(from.freeze, r.options.Freeze...)
	r.options.BatchStatistics = r.options.BatchStatistics || from.batchMoments
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
	if l := r.options.Loss; l != nil && l.Kind != model.CrossEntropy && r.options.Smoothing > 0 {
		return &OptionError{Option: "Smoothing", Reason: " spreads the labels of cross-entropy, and the loss is " + l.Kind + ": leave it out"}
	}
	if o.tables() {
		if r.options.Pack {
			return &OptionError{Option: "Pack", Reason: " joins texts, and the data are tables of examples: leave it out"}
		}
		if err := o.Data.check(); err != nil {
			return err
		}
		err := r.readTable(o.Data.Files, from.tokenizer, train.Table{Labels: o.Labels, Text: o.Text, Length: length}, o.Context)
		if err == nil {
			r.options.DataSHA256 = r.data.SHA256()
		}
		return err
	}
	if length != r.model.Context() {
		r.options.Context = length
	}
	if ids, err := openTokens(o.Data.Files); err != nil {
		return err
	} else if ids != nil {
		if !sameTokenizer(ids.Tokenizer(), from.tokenizer) {
			return errors.Join(&Error{Option: "Data", Value: o.Data.Files[0], Err: fmt.Errorf("its tokens are not from the tokenizer of %s", o.Init), Do: WriteTokensOf}, ids.Close())
		}
		return r.useTokens(ids, o.Data.Files[0], length)
	}
	r.ends = endOf(from.tokenizer) != nil
	text, err := r.readText(ctx, o.Data)
	if err != nil {
		return err
	}
	if o.Loss != "" && len(text.JSONLines) > 0 && text.Source == nil {
		return &Error{Option: "Data", Err: errors.New("labelled examples are not read from standard input"), Do: NameTable}
	}
	r.options.DataSHA256, r.options.Documents = text.SHA256, text.Documents != nil
	r.textRead(text)
	return r.tokenize(ctx, text, from.tokenizer, length)
}

// adapt adds an adapter, and freezes all else.
func (r *trainRun) adapt(o TrainOptions) (err error) {
	rounds, err := r.quantize(o)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && rounds != "" {
			r.events.Tell.Say(Notice, "%s: %s rounds what its products read, and gradients pass it as if it did not (straight-through)", o.Init, rounds)
		}
	}()
	if o.LoRA == 0 {
		if o.LoRAAlpha != 0 || len(o.LoRATargets) > 0 {
			return &OptionError{Option: "LoRA", Reason: " is missing: LoRAAlpha and LoRATargets are settings of an adapter"}
		}
		if r.model.LoRA != nil { // it is trained further
			r.freezeBase(o)
		}
		return nil
	}
	if r.model, err = r.model.WithLoRA(o.LoRA, cmp.Or(o.LoRAAlpha, float64(2*o.LoRA)), o.LoRATargets, r.options.Seed); err != nil {
		return &Error{Option: "LoRA", Err: err}
	}
	r.freezeBase(o)
	return nil
}

// quantize keeps weights as integers, if that is wanted, and says what they take. rounds is
// the operator that rounds what products read, if there is one.
func (r *trainRun) quantize(o TrainOptions) (rounds string, err error) {
	switch {
	case o.Quantize == 0:
	case o.Quantize != 4 && o.Quantize != 8:
		return "", &OptionError{Option: "Quantize", Reason: fmt.Sprintf(" is %d: take 8 or 4", o.Quantize)}
	case o.LoRA == 0:
		return "", &Error{Option: "Quantize", Err: ErrIntegerWeights, Do: GiveLoRA}
	default:
		if r.model, err = gguf.Quantized(r.model, o.Quantize); err != nil {
			return "", &Error{Option: "Quantize", Err: err, Do: LeaveItOut}
		}
	}
	integers, rounds := graph.Integers(r.model.Graph)
	switch {
	case integers && rounds == (graph.RoundTo8Bits{}).Name():
		return "", &Error{Option: "Init", Value: o.Init, Do: QuantizeInit,
			Err: fmt.Errorf("its weights are integers, and %s rounds what they are multiplied with, which has no gradient", rounds)}
	case integers && o.LoRA == 0 && r.model.LoRA == nil:
		return "", &Error{Option: "Init", Value: o.Init, Err: ErrIntegerWeights, Do: GiveLoRA}
	}
	r.options.StraightThrough = rounds != ""
	if len(r.model.LowBits) == 0 {
		return rounds, nil
	}
	var now, before int64
	for _, w := range r.model.Weights {
		if r.model.Stored(w.Name) {
			now += int64(len(w.Data))
		}
	}
	for _, l := range r.model.LowBits {
		n, _ := r.model.Graph.Lookup(l.Weight).Shape.Elements().Number()
		before += 4 * int64(n)
	}
	r.events.Tell.Say(Notice, "%s: %d matrices stay integers: %.1f MB, %.1f MB as float32", o.Init, len(r.model.LowBits), float64(now)/1e6, float64(before)/1e6)
	return rounds, nil
}

// ErrIntegerWeights reports that integers would have to be trained.
var ErrIntegerWeights = errors.New("its weights are integers, which have no gradient")

// GiveLoRA is the remedy for integers that would have to be trained.
const GiveLoRA = "train an adapter over them (LoRA), or start from the model before it was quantized"

// QuantizeInit is the remedy for a model that rounds what its products read.
const QuantizeInit = "start from the model before it was quantized (Quantize)"

// freezeBase trains the matrices of the adapter alone.
func (r *trainRun) freezeBase(o TrainOptions) {
	a, b := r.model.LoRA.Names("*")
	r.options.Freeze = append([]string{"*", "!" + a, "!" + b}, o.Settings.Freeze...)
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

// NameOutput is the remedy for an output from which nothing is learned.
const NameOutput = "name another Output"

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
	reach, flat, err := train.Reaching(loss, names)
	if err != nil || reach > 0 {
		return err
	}
	none := errors.New("it depends on no weight: there is nothing to learn")
	if flat != nil {
		none = fmt.Errorf("it depends on weights through %s %.80q alone, whose derivative is 0: there is nothing to learn", flat.Op().Name(), flat.Name)
	}
	if names != nil && flat == nil {
		return &Error{Option: "Freeze", Err: train.ErrAllFrozen}
	}
	if l := r.options.Loss; l != nil {
		if r.options.Init != nil {
			none = fmt.Errorf("%s: %w", r.options.Init.Name, none)
		}
		return &Error{Option: "Output", Value: fmt.Sprintf("%.80q", l.Output), Err: none, Do: NameOutput}
	}
	return fmt.Errorf("the loss: %w", none)
}
