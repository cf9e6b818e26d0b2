package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// Translate is the task of a network that turns a text into another.
const Translate = "translate"

// Names are what train can learn.
var Names = []string{"text", Translate}

// Pairs holds the flags of a run that learns to translate.
type Pairs struct {
	task, target, best string
	separate           bool
}

// PairNames are the names of the flags.
var PairNames = strings.Fields("task target best separate-vocabularies")

// Flags adds the flags.
func (f *Pairs) Flags(fl *pflag.FlagSet) {
	fl.StringVar(&f.task, "task", Names[0], "what to learn: "+quote.Or(Names))
	fl.StringVar(&f.target, "target", "", "translate: file with the translation of each line of the file --data")
	fl.BoolVar(&f.separate, "separate-vocabularies", false, "translate: a vocabulary for each side")
	fl.StringVar(&f.best, "best", train.BestBLEU, "translate: score of held-out pairs that makes a checkpoint the best: bleu or chrf")
}

// Check refuses flags that do not go together.
func (f *Pairs) Check(given func(string) bool) error {
	switch {
	case !slices.Contains(Names, f.task):
		return fmt.Errorf("--task %.80q: take %s", f.task, quote.Or(Names))
	case f.task != Translate && (given("target") || given("best") || given("separate-vocabularies")):
		return fmt.Errorf("--target, --best and --separate-vocabularies belong to --task %s: give both", Translate)
	}
	return nil
}

// Apply sets the options of a run that learns to translate. Where no flag is given, the task
// has its own defaults.
func (f *Pairs) Apply(o *attnx.TrainOptions, given func(string) bool) {
	if f.task != Translate {
		return
	}
	o.Data, o.Pairs = attnx.Corpus{}, attnx.PairCorpus{Files: o.Data.Files, Glob: o.Data.Glob, Target: f.target}
	o.Settings.Best, o.SeparateVocabularies = f.best, f.separate
	if !given("arch") {
		o.Arch = ""
	}
	if !given("tokenizer") && o.Init == "" {
		o.Kind = tokens.BPE
	}
	if !given("batch") {
		o.Settings.Batch = 32
	}
}
