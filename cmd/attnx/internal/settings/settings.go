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
	options train.Options // those given below
	fl      *pflag.FlagSet
}

// Names returns the names of the flags. A resumed run cannot change them, except
// patience.
func Names() []string {
	fl := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(Settings).Flags(fl)
	var names []string
	fl.VisitAll(func(f *pflag.Flag) {
		if f.Name != patience {
			names = append(names, f.Name)
		}
	})
	return names
}

const patience = "patience"

// Flags adds the flags.
func (s *Settings) Flags(fl *pflag.FlagSet) {
	s.fl = fl
	fl.IntVar(&s.Sizes.Layers, "layers", 0, "layers of the network (default: the preset's)")
	fl.IntVar(&s.Sizes.Heads, "heads", 0, "heads of its attention (default: the preset's)")
	fl.IntVar(&s.Sizes.KVHeads, "kv-heads", 0, "heads of keys and values, which divide --heads (default: as many)")
	fl.IntVar(&s.Sizes.Width, "width", 0, "width of its hidden states (default: the preset's)")
	fl.IntVar(&s.Sizes.Inner, "inner", 0, "inner width of its feed-forward networks (default: the architecture's)")
	o, d := &s.options, train.DefaultOptions(100)
	fl.StringVar(&o.Schedule, "schedule", train.Schedules()[0], "how the learning rate decreases: "+quote.Or(train.Schedules()))
	fl.IntVar(&o.Decay, "decay", 0, "steps in which the schedule "+train.WarmupStableDecay+" decreases (default: a fifth of --steps)")
	fl.IntVar(&o.Warmup, "warmup", 0, "first steps, in which the learning rate increases (default: a tenth of --steps, at most 100)")
	fl.Float64Var(&o.MinLR, "min-lr", 0, "learning rate of the last step (default: a tenth of --lr)")
	fl.Float64Var(&o.WeightDecay, "weight-decay", d.WeightDecay, "AdamW: weight decay of matrices")
	fl.Float64Var(&o.Beta1, "beta1", d.Beta1, "AdamW: decay of the mean of gradients")
	fl.Float64Var(&o.Beta2, "beta2", d.Beta2, "AdamW: decay of the mean of their squares")
	fl.Float64Var(&o.Epsilon, "epsilon", d.Epsilon, "AdamW: added to the root of that mean")
	fl.Float64Var(&o.Clip, "clip", d.Clip, "longest gradient, longer ones are scaled down (0: any)")
	fl.Float64Var(&o.Smoothing, "label-smoothing", 0, "share of a label's probability that all tokens get, in training only")
	fl.IntVar(&o.EvalBatches, "eval-batches", d.EvalBatches, "batches of an evaluation")
	fl.IntVar(&o.Patience, patience, 0, "end after so many evaluations without a lower validation loss (0: never)")
}

// Check refuses sizes and numbers of steps that are not positive.
func (s *Settings) Check() error {
	for name, value := range map[string]int{
		"layers": s.Sizes.Layers, "heads": s.Sizes.Heads, "kv-heads": s.Sizes.KVHeads, "width": s.Sizes.Width, "inner": s.Sizes.Inner, "decay": s.options.Decay,
	} {
		if s.fl.Changed(name) && value < 1 {
			return fmt.Errorf("--%s %d: take 1 or more", name, value)
		}
	}
	return nil
}

// Patience returns the value of --patience.
func (s *Settings) Patience() int { return s.options.Patience }

// Apply changes the options whose flags are given.
func (s *Settings) Apply(o *train.Options) {
	given := s.options
	for name, apply := range map[string]func(){
		"schedule":        func() { o.Schedule = given.Schedule },
		"decay":           func() { o.Decay = given.Decay },
		"warmup":          func() { o.Warmup = given.Warmup },
		"min-lr":          func() { o.MinLR = given.MinLR },
		"weight-decay":    func() { o.WeightDecay = given.WeightDecay },
		"beta1":           func() { o.Beta1 = given.Beta1 },
		"beta2":           func() { o.Beta2 = given.Beta2 },
		"epsilon":         func() { o.Epsilon = given.Epsilon },
		"clip":            func() { o.Clip = given.Clip },
		"label-smoothing": func() { o.Smoothing = given.Smoothing },
		"eval-batches":    func() { o.EvalBatches = given.EvalBatches },
		patience:          func() { o.Patience = given.Patience },
	} {
		if s.fl.Changed(name) {
			apply()
		}
	}
	o.Schedule = strings.TrimPrefix(o.Schedule, train.Schedules()[0]) // a checkpoint of the default names none, as before there were others
}
