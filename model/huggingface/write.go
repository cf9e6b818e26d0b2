package huggingface

import (
	"fmt"
	"io"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
)

// dtypes lists the types in which weights can be written, with PyTorch's
// names.
var dtypes = map[format.DType]string{
	format.Float32: "float32", format.BFloat16: "bfloat16", format.Float16: "float16",
}

// Write writes the model of a checkpoint as a folder that transformers opens
// with from_pretrained: config.json, generation_config.json, model.safetensors
// and, if the checkpoint has a tokenizer, tokenizer.json and
// tokenizer_config.json. Step and training state are not written. Weights are
// written as dtype: Float32, BFloat16 or Float16; Write returns the effect of
// rounding.
//
// The folder must not exist, or must be empty; it is created completely or not
// at all. Equal checkpoints give equal bytes. Errors name the folder or its
// file.
//
// transformers has no network like "simple": Read can read its folder,
// from_pretrained cannot. A network of another architecture gives an
// *ArchitectureError.
func Write(path string, c *model.Checkpoint, dtype format.DType) (format.Rounding, error) {
	var done format.Rounding
	files, err := Files(c, dtype, &done)
	if err != nil {
		return done, fmt.Errorf("%s: %w", path, err)
	}
	if err := store.SaveFolder(path, files); err != nil {
		return format.Rounding{}, err
	}
	return done, nil
}

// Files returns the files of Write, for a folder with others besides. done is the
// effect of rounding once they are written.
func Files(c *model.Checkpoint, dtype format.DType, done *format.Rounding) ([]store.File, error) {
	if dtypes[dtype] == "" {
		return nil, fmt.Errorf("weights cannot be written as %s: use F32, BF16 or F16", dtype)
	}
	if err := c.Weights.Check(c.Graph); err != nil {
		return nil, err
	}
	if _, _, err := networkOf(c); err != nil {
		return nil, err
	}
	files, err := texts(c, SpecialOf(c), dtype, nil)
	if err != nil {
		return nil, err
	}
	return append(files, store.File{Name: WeightsName, Write: func(w io.Writer) (err error) {
		*done, err = writeWeights(w, c, dtype)
		return err
	}}), nil
}

// FileName returns the name that a weight of a model has in a folder: that of the
// parameter in transformers.
func FileName(c *model.Checkpoint, weight string) string { return rowOf(c).fileName(weight) }

func content(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// writeWeights writes the file of weights. Only one weight at a time is in
// memory as dtype.
func writeWeights(w io.Writer, c *model.Checkpoint, dtype format.DType) (done format.Rounding, err error) {
	f := rowOf(c)
	weights := f.withTwin(c.Weights)
	infos := make([]format.TensorInfo, len(weights))
	for i, t := range weights {
		infos[i] = format.TensorInfo{Name: t.Name, DType: dtype, Shape: t.Shape}
	}
	h := f.header(infos)
	fw := format.NewWriter(w, h)
	for i, t := range weights {
		out, r, err := t.Convert(dtype)
		if err != nil {
			return done, err
		}
		if i < len(c.Weights) {
			done.Add(r)
		}
		fw.Add(out.WithName(h.Tensors[i].Name))
	}
	return done, fw.Close()
}

// header returns the header of the file of weights. weights have the network's
// names.
func (f family) header(weights []format.TensorInfo) format.Header {
	h := format.Header{Metadata: map[string]string{"format": "pt"}} // transformers rejects files without it
	for _, t := range weights {
		t.Name = f.fileName(t.Name)
		h.Tensors = append(h.Tensors, t)
	}
	return h
}
