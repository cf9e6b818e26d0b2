package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// readONNX takes a model out of an ONNX file: the weights are the initializers
// of their names. Configuration, tokenizer and special ids are in the metadata
// of a file of ours, or in the files beside one of another tool. Only the
// weights are taken, so that operators which attnx does not know do no harm.
func readONNX(path string, s streams) (*model.Checkpoint, format.Rounding, error) {
	var rounding format.Rounding
	m, err := decodeModel(path)
	if err != nil {
		return nil, rounding, err
	}
	if m.Metadata[bundle.MetaWeightsSHA256] != "" { // ours; other tools do not say what their weights were
		verified, err := find.VerifyWeights(path, m)
		if err == nil {
			err = verified()
		}
		if err != nil {
			return nil, rounding, err
		}
	}
	c, err := aboutONNX(path, m, s)
	if err != nil {
		return nil, rounding, err
	}
	initializers, err := namedInitializers(path, m, c.Arch)
	if err != nil {
		return nil, rounding, err
	}
	for _, p := range c.Graph.Params {
		t := initializers[p.Name]
		if t == nil {
			return nil, rounding, fmt.Errorf("%s: it has no initializer %.80q: convert a file of the profile plain or cache without --quantize, whose weights keep their names and shapes", path, p.Name)
		}
		want, _ := p.Shape.Numbers()
		wide, r, err := loadInitializer(path, t)
		if err != nil {
			return nil, rounding, err
		}
		if !slices.Equal(wide.Shape, want) {
			return nil, rounding, fmt.Errorf("%s: initializer %.80q is %v, the configuration asks for %v: convert a file of the profile plain", path, t.Name, wide.Shape, want)
		}
		rounding.Add(r)
		c.Weights = append(c.Weights, wide.WithName(p.Name))
	}
	return c, rounding, checkEmbedding(path, m, c)
}

// decodeModel reads an ONNX file whose weights are wanted, whatever its
// operators are.
func decodeModel(path string) (*onnx.Model, error) {
	if err := find.RefusePointer(path); err != nil {
		return nil, err
	}
	m, err := onnx.DecodeFile(path)
	if err != nil {
		return nil, err
	}
	for _, problem := range onnx.Problems(m, filepath.Dir(path)) {
		if bad := new(onnx.FormatError); errors.As(problem, &bad) {
			_, err := find.ReadModel(path) // which names what is at fault
			if err == nil {
				err = fmt.Errorf("%s: %w", path, problem)
			}
			return nil, err
		}
	}
	return m, nil
}

// aboutONNX returns a checkpoint with all that is known of the model in an ONNX
// file but its weights.
func aboutONNX(path string, m *onnx.Model, s streams) (*model.Checkpoint, error) {
	if _, ours := m.Metadata[model.MetaConfig]; ours {
		c, err := model.FromMetadata(m.Metadata, len(m.Graph.Initializers))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return c, nil
	}
	folder := filepath.Dir(path)
	if filepath.Base(folder) == "onnx" && !huggingface.IsFolder(folder) {
		folder = filepath.Dir(folder) // as in folders for transformers.js
	}
	if !huggingface.IsFolder(folder) {
		return nil, fmt.Errorf("%s: it does not say what network it is, and there is no config.json beside it", path)
	}
	c, notes, err := huggingface.ReadAbout(folder)
	for _, note := range notes {
		fmt.Fprintf(s.err, "attnx: %s\n", oneLine(note))
	}
	return c, err
}

// namedInitializers returns the initializers by the network's names for them.
func namedInitializers(path string, m *onnx.Model, arch string) (map[string]*onnx.Tensor, error) {
	out := map[string]*onnx.Tensor{}
	for _, t := range m.Graph.Initializers {
		name := huggingface.NetworkName(arch, t.Name)
		if other := out[name]; other != nil {
			return nil, fmt.Errorf("%s: initializers %.80q and %.80q have the name of one weight, %s", path, other.Name, t.Name, name)
		}
		out[name] = t
	}
	return out, nil
}

// loadInitializer reads an initializer as float32.
func loadInitializer(path string, t *onnx.Tensor) (wide format.Tensor, r format.Rounding, err error) {
	dtype, known := find.WeightTypes[t.DataType]
	if !known {
		return wide, r, fmt.Errorf("%s: initializer %.80q is of type %s, a weight is of a floating-point type", path, t.Name, t.DataType)
	}
	x := format.Tensor{Name: t.Name, DType: dtype, Shape: shapeOf(t.Dims)}
	if x.Data, err = t.Load(filepath.Dir(path)); err == nil {
		wide, r, err = x.Convert(format.Float32)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return wide, r, err
}
