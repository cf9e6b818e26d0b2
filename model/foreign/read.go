package foreign

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// Read returns the model in an ONNX file as a float32 checkpoint, and the
// effect of rounding to float32. The weights are the initializers with the
// names of the network's weights. The rest comes from the metadata of a file
// that attnx wrote, or from configuration and tokenizer next to a file of
// another tool. Read does not run the graph, so it may have operators that
// attnx does not know. Errors name the file.
func Read(path string, tell find.Tell) (*model.Checkpoint, format.Rounding, error) {
	var rounding format.Rounding
	m, err := decode(path)
	if err != nil {
		return nil, rounding, err
	}
	if m.Metadata[bundle.MetaWeightsSHA256] != "" { // written by attnx; other tools store no digest
		verified, err := find.VerifyWeights(path, m)
		if err == nil {
			err = verified()
		}
		if err != nil {
			return nil, rounding, err
		}
	}
	c, err := about(path, m, tell)
	if err != nil {
		return nil, rounding, err
	}
	initializers, err := initializersOf(path, m, c.Arch)
	if err != nil {
		return nil, rounding, err
	}
	for _, p := range c.Graph.Params {
		t := initializers[p.Name]
		if t == nil {
			return nil, rounding, fmt.Errorf("%s: it has no initializer %.80q: convert a file of the profile plain or cache without quantized weights, which keep their names and shapes", path, p.Name)
		}
		want, _ := p.Shape.Numbers()
		wide, r, err := load(path, t)
		if err != nil {
			return nil, rounding, err
		}
		if !slices.Equal(wide.Shape, want) {
			return nil, rounding, fmt.Errorf("%s: initializer %.80q is %v, the configuration expects %v: convert a file of the profile plain", path, t.Name, wide.Shape, want)
		}
		rounding.Add(r)
		c.Weights = append(c.Weights, wide.WithName(p.Name))
	}
	return c, rounding, checkHead(path, m, c)
}

// decode reads an ONNX file with any operators.
func decode(path string) (*onnx.Model, error) {
	if err := find.RefusePointer(path); err != nil {
		return nil, err
	}
	m, err := onnx.DecodeFile(path)
	if err != nil {
		return nil, err
	}
	for _, problem := range onnx.Problems(m, filepath.Dir(path)) {
		if bad := new(onnx.FormatError); errors.As(problem, &bad) {
			_, err := find.ReadModel(path) // its error says what is wrong
			if err == nil {
				err = fmt.Errorf("%s: %w", path, problem)
			}
			return nil, err
		}
	}
	return m, nil
}

// about returns a checkpoint with everything known about the model in an ONNX
// file except its weights.
func about(path string, m *onnx.Model, tell find.Tell) (*model.Checkpoint, error) {
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
		return nil, fmt.Errorf("%s: it does not describe its network, and there is no config.json next to it", path)
	}
	c, notes, err := huggingface.ReadAbout(folder)
	for _, note := range notes {
		tell.Say(find.Warning, "%s", quote.Line(note, 2000))
	}
	return c, err
}

// initializersOf returns the initializers, keyed by the network's names for
// them.
func initializersOf(path string, m *onnx.Model, arch string) (map[string]*onnx.Tensor, error) {
	out := map[string]*onnx.Tensor{}
	for _, t := range m.Graph.Initializers {
		name := huggingface.NetworkName(arch, t.Name)
		if other := out[name]; other != nil {
			return nil, fmt.Errorf("%s: initializers %.80q and %.80q both name the weight %s", path, other.Name, t.Name, name)
		}
		out[name] = t
	}
	return out, nil
}

// load reads an initializer as float32.
func load(path string, t *onnx.Tensor) (wide format.Tensor, r format.Rounding, err error) {
	dtype, known := find.WeightTypes[t.DataType]
	if !known {
		return wide, r, fmt.Errorf("%s: initializer %.80q is of type %s, a weight must be floating-point", path, t.Name, t.DataType)
	}
	x := format.Tensor{Name: t.Name, DType: dtype, Shape: make([]int, len(t.Dims))}
	for i, d := range t.Dims {
		x.Shape[i] = int(d)
	}
	if x.Data, err = t.Load(filepath.Dir(path)); err == nil {
		wide, r, err = x.Convert(format.Float32)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return wide, r, err
}
