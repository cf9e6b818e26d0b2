package huggingface

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// resave is how to convert weights of any format to a supported one.
const resave = "open it in Python with AutoModelForCausalLM.from_pretrained(FOLDER) and write it with save_pretrained(OUT)"

// The file that marks a PEFT folder, and a description of such a folder.
const (
	adapterName = "adapter_config.json"
	adapter     = "it is an adapter of PEFT, which changes another model: merge it into that with merge_and_unload and save the result"
)

// foreign lists other formats of weights, and what to do about each.
var foreign = []struct {
	is   func(name string) bool
	what string
}{
	{named(adapterName, "adapter_model.safetensors", "adapter_model.bin"), adapter},
	{func(n string) bool {
		return strings.HasSuffix(n, ".safetensors") || strings.Contains(n, ".safetensors.index.")
	},
		"it is not named " + WeightsName + ": rename it, with its index where it has shards, or save the model without a variant"},
	{func(n string) bool {
		return slices.Contains([]string{".bin", ".pt", ".pth", ".ckpt", ".pkl"}, path.Ext(n)) && !trainerFile(n) || n == "pytorch_model.bin.index.json"
	}, "it is a pickle, which can run any program when it is read: " + resave},
	{ending(".h5"), "it holds the weights of TensorFlow: open it in Python with transformers 4, AutoModelForCausalLM.from_pretrained(FOLDER, from_tf=True), and write it with save_pretrained(OUT)"},
	{ending(".msgpack"), "it holds the weights of Flax: open it in Python with transformers 4, AutoModelForCausalLM.from_pretrained(FOLDER, from_flax=True), and write it with save_pretrained(OUT)"},
	{ending(".gguf"), "it is a GGUF file: name the file itself"},
	{ending(".onnx"), "it is an ONNX file, not a checkpoint: convert it into one"},
}

func named(names ...string) func(string) bool {
	return func(n string) bool { return slices.Contains(names, n) }
}

func ending(suffix string) func(string) bool {
	return func(n string) bool { return strings.HasSuffix(n, suffix) }
}

// trainerFile reports whether a pickle is a state file of transformers'
// Trainer.
func trainerFile(name string) bool {
	return slices.ContainsFunc([]string{"training_args", "optimizer", "scheduler", "scaler", "rng_state"}, func(s string) bool { return strings.HasPrefix(name, s) })
}

// noWeights returns the error for a folder without supported weights. It names
// the unsupported ones.
func (d *folder) noWeights() error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, cause(err))
	}
	for _, form := range foreign {
		for _, e := range entries {
			if !e.IsDir() && form.is(e.Name()) {
				return d.errorf(e.Name(), "%s", form.what)
			}
		}
	}
	for _, e := range entries {
		if below := path.Join(e.Name(), WeightsName); e.IsDir() && d.has(below) {
			return d.errorf(WeightsName, "the folder has no such file, but %s: name the folder that has both this file and %s", below, configName)
		}
	}
	return d.errorf(WeightsName, "the folder has no such file, and no %s", indexName)
}
