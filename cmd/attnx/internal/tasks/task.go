// Package tasks holds the flags for what a model learns.
package tasks

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
)

// Task holds the flags of what a model from elsewhere learns.
type Task struct {
	loss, output string
	labels, text string
	lora         int
	alpha        float64
	targets      []string
	quantize     string
}

// Flags adds the flags.
func (f *Task) Flags(fl *pflag.FlagSet) {
	fl.StringVar(&f.loss, "loss", "", "what to minimize: "+quote.Or(model.LossKinds())+"; trains an ONNX file as it is")
	fl.StringVar(&f.output, "output", "", "output that the loss is of (default: the logits, or the only one)")
	fl.StringVar(&f.labels, "labels", "", "column of the labels in .csv, .jsonl or .npz (default: labels, label, target or y)")
	fl.IntVar(&f.lora, "lora", 0, "train an adapter of this rank (LoRA) in place of the weights of --init")
	fl.Float64Var(&f.alpha, "lora-alpha", 0, "the adapter is multiplied by this over its rank (default: twice the rank)")
	fl.StringArrayVar(&f.targets, "lora-target", nil, "weights that it changes, by a pattern (default: all matrices but the head)")
	fl.StringVar(&f.quantize, "quantize", "", "keep the matrices of --init as int8 or int4 under --lora (default: as a GGUF file has them)")
	fl.StringVar(&f.text, "text", "", "column of the texts (default: text)")
}

// TaskNames are the names of the flags.
var TaskNames = strings.Fields("loss output labels text lora lora-alpha lora-target quantize")

// Check refuses flags that do not go together.
func (f *Task) Check(given func(string) bool, init string) error {
	for _, name := range TaskNames {
		if given(name) && init == "" {
			return fmt.Errorf("--%s belongs to --init: give both", name)
		}
		if strings.HasPrefix(name, "lora") && given(name) && f.lora < 1 {
			return fmt.Errorf("--lora %d: give the rank of the adapter, 1 or more", f.lora)
		}
	}
	if q := f.quantize; q != "" && q != "int8" && q != "int4" {
		return fmt.Errorf("--quantize %.20q: take int8 or int4", q)
	}
	return nil
}

// Apply sets the options of the run.
func (f *Task) Apply(o *attnx.TrainOptions) {
	o.Loss, o.Output, o.Labels, o.Text = f.loss, f.output, f.labels, f.text
	o.Quantize = map[string]int{"int8": 8, "int4": 4}[f.quantize]
	o.LoRA, o.LoRAAlpha, o.LoRATargets = f.lora, f.alpha, f.targets
}
