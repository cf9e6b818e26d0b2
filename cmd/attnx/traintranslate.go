package main

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

// translate is the task of a network that turns a text into another.
const translate = "translate"

// tasks are what train can learn.
var tasks = []string{"text", translate}

// pairFlags are the flags of a run that learns to translate.
type pairFlags struct{ task, target, best string }

// pairNames are the names of the flags.
var pairNames = strings.Fields("task target best")

func (f *pairFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.task, "task", tasks[0], "what to learn: "+quote.Or(tasks))
	fl.StringVar(&f.target, "target", "", "translate: file with the translation of each line of the file --data")
	fl.StringVar(&f.best, "best", train.BestBLEU, "translate: score of held-out pairs that makes a checkpoint the best: bleu or chrf")
}

// check refuses flags that do not go together.
func (f *pairFlags) check(given func(string) bool) error {
	switch {
	case !slices.Contains(tasks, f.task):
		return fmt.Errorf("--task %.80q: take %s", f.task, quote.Or(tasks))
	case f.task != translate && (given("target") || given("best")):
		return fmt.Errorf("--target and --best belong to --task %s: give both", translate)
	case f.task == translate && given("init"):
		return fmt.Errorf("--init and --task %s exclude each other: a translator learns from the start", translate)
	}
	return nil
}

// apply makes options those of a run that learns to translate. What no flag gives has
// defaults of its own there.
func (f *pairFlags) apply(o *attnx.TrainOptions, given func(string) bool) {
	if f.task != translate {
		return
	}
	o.Data, o.Pairs = attnx.Corpus{}, attnx.PairCorpus{Files: o.Data.Files, Glob: o.Data.Glob, Target: f.target}
	o.Settings.Best = f.best
	if !given("arch") {
		o.Arch = ""
	}
	if !given("tokenizer") {
		o.Kind = tokens.BPE
	}
	if !given("batch") {
		o.Settings.Batch = 32
	}
}
