package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
)

// fineTuningRate is the highest learning rate for a model that knows something
// already; transformers' Trainer has the same.
const fineTuningRate = 5e-5

// initFlags are the flags of a run that starts from a model.
type initFlags struct {
	model     string
	freeze    []string
	addTokens []string
}

func (f *initFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.model, "init", "", "model to start from: checkpoint, run, folder, GGUF or ONNX file")
	fl.StringArrayVar(&f.freeze, "freeze", nil, "weights that are not trained, by a pattern of their names; !PATTERN excepts some")
	fl.StringArrayVar(&f.addTokens, "add-token", nil, "token to add to the vocabulary of --init")
}

// check refuses flags that do not go together.
func (f *initFlags) check(given func(string) bool) error {
	switch {
	case given("init") && f.model == "":
		return fmt.Errorf("--init: the path is empty: name a model")
	case f.model == "" && len(f.addTokens) > 0:
		return fmt.Errorf("--add-token belongs to --init: give both")
	}
	for _, name := range []string{"arch", "preset", "tokenizer", "vocab", "layers", "heads", "kv-heads", "width", "inner"} {
		if f.model != "" && given(name) {
			return fmt.Errorf("--%s belongs to a new network, and --init gives one: leave one of them out", name)
		}
	}
	return nil
}

// apply sets the options of the run.
func (f *initFlags) apply(o *attnx.TrainOptions, given func(string) bool) {
	o.Settings.Freeze = f.freeze
	if f.model == "" {
		return
	}
	o.Init, o.AddTokens = f.model, f.addTokens
	o.Arch, o.Preset, o.Kind, o.Vocab = "", "", 0, 0
	if !given("lr") {
		o.Settings.LR = fineTuningRate
	}
	if !given("min-lr") {
		o.Settings.MinLR = o.Settings.LR / 10
	}
}
