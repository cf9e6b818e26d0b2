package huggingface

import (
	"fmt"
	"io"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// dtypes are the types that weights can be written in, with PyTorch's names.
var dtypes = map[format.DType]string{
	format.Float32: "float32", format.BFloat16: "bfloat16", format.Float16: "float16",
}

// Write writes the model of a checkpoint as a folder that transformers opens
// with from_pretrained: config.json and model.safetensors, and where the
// checkpoint has a tokenizer tokenizer.json and tokenizer_config.json. Step
// and training state are left behind. Weights are written as dtype: Float32,
// BFloat16 or Float16; what rounding did to them is returned.
//
// The folder must not exist, or be empty, and is there whole or not at all.
// Equal checkpoints give equal bytes. Errors name the folder or its file.
//
// transformers has no network like "simple". Its folder has the same files
// and Read takes it back; from_pretrained does not.
func Write(path string, c *model.Checkpoint, dtype format.DType) (format.Rounding, error) {
	var done format.Rounding
	if dtypes[dtype] == "" {
		return done, fmt.Errorf("%s: weights cannot be written as %s: take F32, BF16 or F16", path, dtype)
	}
	g, err := model.Build(c.Config)
	if err == nil {
		err = c.Weights.Check(g)
	}
	if err != nil {
		return done, fmt.Errorf("%s: %w", path, err)
	}
	if len(c.Tokenizer) > maxTokenizer {
		return done, fmt.Errorf("%s: the tokenizer has %d bytes, at most %d are read back", path, len(c.Tokenizer), maxTokenizer)
	}
	tokenizer, err := tokens.Parse(c.Tokenizer)
	if err != nil {
		tokenizer = nil // it is written all the same: other programs may know its kind
	}
	config, err := encodeConfig(c.Config, dtype, tokenizer)
	if err != nil {
		return done, fmt.Errorf("%s: %w", path, err)
	}
	files := []store.File{
		{Name: configName, Write: content(config)},
		{Name: weightsName, Write: func(w io.Writer) (err error) {
			done, err = writeWeights(w, c, dtype)
			return err
		}},
	}
	if len(c.Tokenizer) > 0 {
		about, err := encodeTokenizerConfig(c.Config, tokenizer)
		if err != nil {
			return done, fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, store.File{Name: tokenizerName, Write: content(c.Tokenizer)}, store.File{Name: tokenizerConfigName, Write: content(about)})
	}
	if err := store.SaveFolder(path, files); err != nil {
		return format.Rounding{}, err
	}
	return done, nil
}

func content(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// writeWeights writes the file of the weights. One of them at a time is in
// memory as dtype.
func writeWeights(w io.Writer, c *model.Checkpoint, dtype format.DType) (done format.Rounding, err error) {
	before := ""
	if c.Config.Arch == model.GPT2 {
		before = prefix
	}
	h := format.Header{Metadata: map[string]string{"format": "pt"}} // transformers reads no file without it
	for _, t := range c.Weights {
		h.Tensors = append(h.Tensors, format.TensorInfo{Name: before + t.Name, DType: dtype, Shape: t.Shape})
	}
	fw := format.NewWriter(w, h)
	for _, t := range c.Weights {
		out, r, err := t.Convert(dtype)
		if err != nil {
			return done, err
		}
		done.Add(r)
		fw.Add(out.WithName(before + t.Name))
	}
	return done, fw.Close()
}
