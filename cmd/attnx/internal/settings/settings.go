// Package settings holds the flags for how a network is trained, and the file
// that gives flags.
package settings

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
)

// Settings are the flags for the sizes of a network, the learning rate, the
// optimizer and the evaluations.
type Settings struct {
	Sizes   arch.Sizes
	Val     []string      // data for validation
	options train.Options // those given below
	fl      *pflag.FlagSet
}

// Names returns the names of the flags that a resumed run cannot change.
func Names() []string {
	fl := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(Settings).Flags(fl)
	var names []string
	fl.VisitAll(func(f *pflag.Flag) {
		if f.Name != patience && f.Name != epochs && f.Name != val {
			names = append(names, f.Name)
		}
	})
	return names
}

// Flags that a resumed run takes.
const (
	patience = "patience"
	epochs   = "epochs"
	val      = "val"
)

// Flags adds the flags.
func (s *Settings) Flags(fl *pflag.FlagSet) {
	s.fl = fl
	fl.IntVar(&s.Sizes.Layers, "layers", 0, "layers of the network (default: the preset's)")
	fl.IntVar(&s.Sizes.Heads, "heads", 0, "heads of its attention (default: the preset's)")
	fl.IntVar(&s.Sizes.KVHeads, "kv-heads", 0, "heads of keys and values, which divide --heads (default: as many)")
	fl.IntVar(&s.Sizes.Width, "width", 0, "width of its hidden states (default: the preset's)")
	fl.IntVar(&s.Sizes.Inner, "inner", 0, "inner width of its feed-forward networks (default: the architecture's)")
	o, d := &s.options, train.DefaultOptions(100)
	fl.StringArrayVar(&s.Val, "val", nil, "text file, folder or table for validation (default: a tenth of --data)")
	fl.IntVar(&o.Epochs, "epochs", 0, "passes over the data in place of --steps, each in an order of its own")
	fl.BoolVar(&o.Pack, "pack", false, "let short examples (with prompts, or lines) share a sequence")
	fl.StringVar(&o.Schedule, "schedule", train.Schedules()[0], "how the learning rate decreases: "+quote.Or(train.Schedules()))
	fl.IntVar(&o.Decay, "decay", 0, "steps in which the schedule "+train.WarmupStableDecay+" decreases (default: a fifth of --steps)")
	fl.IntVar(&o.Warmup, "warmup", 0, "first steps, in which the learning rate increases (default: a tenth of --steps, at most 100)")
	fl.Float64Var(&o.MinLR, "min-lr", 0, "learning rate of the last step (default: a tenth of --lr)")
	fl.Float64Var(&o.WeightDecay, "weight-decay", d.WeightDecay, "AdamW: weight decay of matrices")
	fl.Float64Var(&o.Beta1, "beta1", d.Beta1, "AdamW: decay of the mean of gradients")
	fl.Float64Var(&o.Beta2, "beta2", d.Beta2, "AdamW: decay of the mean of their squares")
	fl.Float64Var(&o.Epsilon, "epsilon", d.Epsilon, "AdamW: added to the root of that mean")
	fl.Float64Var(&o.Clip, "clip", d.Clip, "longest gradient, longer ones are scaled down (0: any)")
	fl.Float64Var(&o.Dropout, "dropout", 0, "probability that an element of a branch, of attention or of the embeddings is dropped, in training only")
	fl.BoolVar(&o.BatchStatistics, "batch-statistics", false, "BatchNormalization uses the moments of the batch in a step, and updates the running ones")
	fl.Float64Var(&o.Smoothing, "label-smoothing", 0, "share of a label's probability that all tokens get, in training only")
	fl.StringVar(&o.DType, "dtype", train.Float32, "numbers that products multiply, beside float32 weights: "+quote.Or(train.DTypes())+" (both: a GPU)")
	fl.BoolVar(&o.Recompute, "recompute", false, "compute logits and scores in pieces, and most of the forward pass again in the backward pass: less memory, for long contexts and large vocabularies, and more time")
	fl.IntVar(&o.EvalBatches, "eval-batches", d.EvalBatches, "batches of an evaluation")
	fl.IntVar(&o.Patience, patience, 0, "end after so many evaluations without a lower validation loss (0: never)")
}

// Check refuses sizes and numbers of steps that are not positive.
func (s *Settings) Check() error {
	for name, value := range map[string]int{
		epochs: s.options.Epochs, "layers": s.Sizes.Layers, "heads": s.Sizes.Heads, "kv-heads": s.Sizes.KVHeads, "width": s.Sizes.Width, "inner": s.Sizes.Inner, "decay": s.options.Decay,
	} {
		if s.fl.Changed(name) && value < 1 {
			return fmt.Errorf("--%s %d: take 1 or more", name, value)
		}
	}
	if s.fl.Changed("min-lr") && s.options.Schedule == train.Constant {
		return fmt.Errorf("--min-lr belongs to a schedule that decreases, and --schedule %s does not: leave one of them out", train.Constant)
	}
	if s.fl.Changed(epochs) && s.fl.Changed("steps") {
		return fmt.Errorf("--epochs and --steps exclude each other: the steps follow from the epochs")
	}
	return nil
}

// Epochs returns the value of --epochs.
func (s *Settings) Epochs() int { return s.options.Epochs }

// Patience returns the value of --patience.
func (s *Settings) Patience() int { return s.options.Patience }

// Apply changes the options whose flags are given.
func (s *Settings) Apply(o *train.Options) {
	given := s.options
	for name, apply := range map[string]func(){
		"schedule":         func() { o.Schedule = given.Schedule },
		"decay":            func() { o.Decay = given.Decay },
		"warmup":           func() { o.Warmup = given.Warmup },
		"min-lr":           func() { o.MinLR = given.MinLR },
		"weight-decay":     func() { o.WeightDecay = given.WeightDecay },
		"beta1":            func() { o.Beta1 = given.Beta1 },
		"beta2":            func() { o.Beta2 = given.Beta2 },
		"epsilon":          func() { o.Epsilon = given.Epsilon },
		"clip":             func() { o.Clip = given.Clip },
		"dropout":          func() { o.Dropout = given.Dropout },
		"batch-statistics": func() { o.BatchStatistics = given.BatchStatistics },
		"label-smoothing":  func() { o.Smoothing = given.Smoothing },
		"dtype":            func() { o.DType = given.DType },
		"recompute":        func() { o.Recompute = given.Recompute },
		"eval-batches":     func() { o.EvalBatches = given.EvalBatches },
		patience:           func() { o.Patience = given.Patience },
		"pack":             func() { o.Pack = given.Pack },
	} {
		if s.fl.Changed(name) {
			apply()
		}
	}
	if o.Epochs = given.Epochs; o.Epochs > 0 { // the steps are counted once the data are read
		o.Steps = 0
		if !s.fl.Changed("warmup") {
			o.Warmup = 0
		}
		if !s.fl.Changed("eval-every") {
			o.EvalEvery = 0
		}
	}
	o.Schedule = strings.TrimPrefix(o.Schedule, train.Schedules()[0]) // a checkpoint of the default names none, as before there were others
}
