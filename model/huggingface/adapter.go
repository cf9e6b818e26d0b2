package huggingface

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// Names of the files of an adapter, as PEFT has them.
const (
	AdapterConfigName  = "adapter_config.json"
	AdapterWeightsName = "adapter_model.safetensors"
)

// adapterPrefix precedes the name of a weight in the file of an adapter: PEFT's
// model holds that of transformers as base_model.model.
const adapterPrefix = "base_model.model."

// adapterConfig is adapter_config.json.
type adapterConfig struct {
	Type          string   `json:"peft_type"`
	Task          string   `json:"task_type,omitempty"`
	Base          string   `json:"base_model_name_or_path"`
	Rank          int      `json:"r"`
	Alpha         float64  `json:"lora_alpha"`
	Dropout       float64  `json:"lora_dropout"`
	Targets       []string `json:"target_modules"`
	FanInFanOut   bool     `json:"fan_in_fan_out"` // weights are (in,out)
	Bias          string   `json:"bias"`
	InferenceMode bool     `json:"inference_mode"`
}

// BesideAdapter is what the folder of an adapter has beside the adapter.
type BesideAdapter struct {
	Base      string   // names the model below it, for PEFT's AutoPeftModel; may be empty
	Whole     []string // weights that are written whole, as PEFT saves the embedding of a vocabulary that grew
	Tokenizer bool     // tokens were added: by the tokenizer AutoPeftModel enlarges a base with fewer rows
}

// WriteAdapter writes the adapter of a checkpoint as a folder that PEFT opens
// with PeftModel.from_pretrained: adapter_config.json and
// adapter_model.safetensors. The folder must not exist, or must be empty.
func WriteAdapter(path string, c *model.Checkpoint, beside BesideAdapter) error {
	l := c.LoRA
	f := rowOf(c)
	config := adapterConfig{Type: "LORA", Base: beside.Base, Rank: l.Rank, Alpha: l.Alpha, Bias: "none", InferenceMode: true}
	if c.Continues() == nil {
		config.Task = "CAUSAL_LM"
	}
	matrices := graph.Matrices(c.Graph)
	var tensors []format.Tensor
	for i, w := range l.Targets {
		if i > 0 && matrices[w] == config.FanInFanOut {
			return fmt.Errorf("%s: weight %.80q lies in the other direction than %.80q, and PEFT has one for all: merge the adapter", path, w, l.Targets[0])
		}
		config.FanInFanOut = !matrices[w]
		config.Targets = append(config.Targets, strings.TrimSuffix(f.moduleName(w), ".weight"))
		a, b := l.Names(w)
		inA, inB := l.Names(f.moduleName(w))
		for _, pair := range [][2]string{{a, inA}, {b, inB}} {
			name, in := pair[0], pair[1]
			at := slices.IndexFunc(c.Weights, func(t format.Tensor) bool { return t.Name == name })
			if at < 0 {
				return fmt.Errorf("%s: the model has no weight %.80q", path, name)
			}
			tensors = append(tensors, c.Weights[at].WithName(adapterPrefix+in))
		}
	}
	for _, name := range beside.Whole {
		at := slices.IndexFunc(c.Weights, func(t format.Tensor) bool { return t.Name == name && t.DType == format.Float32 })
		if at < 0 {
			return fmt.Errorf("%s: weight %.80q is not float32, as PEFT would save it: merge the adapter", path, name)
		}
		in := f.moduleName(name)
		if slices.Contains(l.Targets, name) { // PEFT's layer holds the one that it changes
			in = underLayer(in)
		}
		tensors = append(tensors, c.Weights[at].WithName(adapterPrefix+in))
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	var tokenizer []store.File
	if beside.Tokenizer {
		about, err := encodeTokenizerConfig(c, SpecialOf(c).Tokens)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		tokenizer = []store.File{{Name: tokenizerName, Write: content(c.Tokenizer)}, {Name: tokenizerConfigName, Write: content(about)}}
	}
	h := format.Header{Metadata: map[string]string{"format": "pt"}}
	for _, t := range tensors {
		h.Tensors = append(h.Tensors, t.Info())
	}
	return store.SaveFolder(path, append([]store.File{
		{Name: AdapterConfigName, Write: content(append(text, '\n'))},
		{Name: AdapterWeightsName, Write: func(w io.Writer) error {
			fw := format.NewWriter(w, h)
			for _, t := range tensors {
				fw.Add(t)
			}
			return fw.Close()
		}},
	}, tokenizer...))
}

// underLayer returns the name of a weight that an adapter changes, as PEFT has it.
func underLayer(weight string) string {
	return strings.TrimSuffix(weight, ".weight") + ".base_layer.weight"
}
