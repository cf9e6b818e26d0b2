package huggingface

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// Parts are the contents of a folder, for callers that add more to it than
// Write does, such as a model that refers to the weights.
type Parts struct {
	Texts   []store.File          // config.json, generation_config.json and, with a tokenizer, two more
	Weights func(io.Writer) error // writes the file WeightsName
	Offsets map[string]int64      // where the data of a weight start in that file, by the network's name
	Special *model.Special        // the special ids in these files
}

// Prepare returns the parts of a folder for a checkpoint of any architecture:
// a program that runs the graph needs only the ids of config.json. weights are
// all weights of the network, with its names and in its order, as F32, BF16 or
// F16. They are shared until written. Wider types come first in the file, so
// that each weight starts at a multiple of its element size. With browser,
// the configuration points transformers.js to the models and their weights.
func Prepare(c *model.Checkpoint, weights []format.Tensor, browser *Web) (Parts, error) {
	f := rowOf(c)
	sorted := f.withTwin(weights)
	slices.SortStableFunc(sorted, func(a, b format.Tensor) int { return cmp.Compare(b.DType.Size(), a.DType.Size()) })
	dtype := format.Float32
	infos := make([]format.TensorInfo, len(sorted))
	for i, t := range sorted {
		if dtypes[t.DType] == "" {
			return Parts{}, fmt.Errorf("weight %s is %s: transformers reads F32, BF16 or F16", t.Name, t.DType)
		}
		infos[i], dtype = t.Info(), t.DType // the narrowest type names the model
	}
	h := f.header(infos)
	offsets, err := format.Offsets(h)
	if err != nil {
		return Parts{}, err
	}
	p := Parts{Offsets: map[string]int64{}}
	for i, t := range sorted {
		p.Offsets[t.Name] = offsets[i]
	}
	p.Weights = func(w io.Writer) error {
		fw := format.NewWriter(w, h)
		for i, t := range sorted {
			fw.Add(t.WithName(h.Tensors[i].Name))
		}
		return fw.Close()
	}
	p.Special = SpecialOf(c)
	p.Texts, err = texts(c, p.Special, dtype, browser)
	return p, err
}

// configOf returns the config.json of a model. For a user-defined network it
// is the network's own configuration, for programs that run the graph.
func configOf(c *model.Checkpoint, dtype format.DType, special *model.Special, browser *Web) ([]byte, error) {
	f, n, err := networkOf(c)
	if unknown := (*ArchitectureError)(nil); errors.As(err, &unknown) {
		return encodeOwnConfig(c.Config, dtype, special)
	}
	if err != nil {
		return nil, err
	}
	return encodeConfig(f, n, dtype, special, browser)
}

// texts returns config.json, generation_config.json and, with a tokenizer,
// tokenizer.json and tokenizer_config.json.
func texts(c *model.Checkpoint, special *model.Special, dtype format.DType, browser *Web) ([]store.File, error) {
	if len(c.Tokenizer) > maxTokenizer {
		return nil, fmt.Errorf("the tokenizer has %d bytes, at most %d can be read back", len(c.Tokenizer), maxTokenizer)
	}
	config, err := configOf(c, dtype, special, browser)
	if err != nil {
		return nil, err
	}
	files := []store.File{{Name: configName, Write: content(config)}}
	if c.Continues() == nil || c.Translates() {
		generation, err := encodeGeneration(special)
		if err != nil {
			return nil, err
		}
		files = append(files, store.File{Name: GenerationName, Write: content(generation)})
	}
	if n, err := c.Network(); err == nil {
		sentence, err := sentenceFiles(n, c.Width())
		if err != nil {
			return nil, err
		}
		files = append(files, sentence...)
	}
	if len(c.Tokenizer) == 0 {
		return files, nil
	}
	if own, err := marianFiles(c); len(own) > 0 || err != nil {
		return append(files, own...), err
	}
	about, err := encodeTokenizerConfig(c, special.Tokens)
	if err != nil {
		return nil, err
	}
	own := c.Tokenizer
	if source, target, ok := tokens.SplitPair(c.Tokenizer); ok {
		own, files = source, append(files, store.File{Name: targetTokenName, Write: content(target)})
	}
	return append(files, store.File{Name: tokenizerName, Write: content(own)}, store.File{Name: tokenizerConfigName, Write: content(about)}), nil
}
