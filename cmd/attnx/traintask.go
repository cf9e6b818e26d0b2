package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
)

// taskFlags are the flags of what a model from elsewhere learns.
type taskFlags struct {
	loss, output string
	labels, text string
	lora         int
	alpha        float64
	targets      []string
}

func (f *taskFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.loss, "loss", "", "what to minimize: "+quote.Or(model.LossKinds())+"; trains an ONNX file as it is")
	fl.StringVar(&f.output, "output", "", "output that the loss is of (default: the logits, or the only one)")
	fl.StringVar(&f.labels, "labels", "", "column of the labels in .csv, .jsonl or .npz (default: labels, label, target or y)")
	fl.IntVar(&f.lora, "lora", 0, "train an adapter of this rank (LoRA) in place of the weights of --init")
	fl.Float64Var(&f.alpha, "lora-alpha", 0, "the adapter is multiplied by this over its rank (default: twice the rank)")
	fl.StringArrayVar(&f.targets, "lora-target", nil, "weights that it changes, by a pattern (default: all matrices but the head)")
	fl.StringVar(&f.text, "text", "", "column of the texts (default: text)")
}

// taskNames are the names of the flags.
var taskNames = strings.Fields("loss output labels text lora lora-alpha lora-target")

// check refuses flags that do not go together.
func (f *taskFlags) check(given func(string) bool, init string) error {
	for _, name := range taskNames {
		if given(name) && init == "" {
			return fmt.Errorf("--%s belongs to --init: give both", name)
		}
		if strings.HasPrefix(name, "lora") && given(name) && f.lora < 1 {
			return fmt.Errorf("--lora %d: give the rank of the adapter, 1 or more", f.lora)
		}
	}
	return nil
}

// apply sets the options of the run.
func (f *taskFlags) apply(o *attnx.TrainOptions) {
	o.Loss, o.Output, o.Labels, o.Text = f.loss, f.output, f.labels, f.text
	o.LoRA, o.LoRAAlpha, o.LoRATargets = f.lora, f.alpha, f.targets
}
