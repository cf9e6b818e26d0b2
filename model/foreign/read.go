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

// Read returns the model in an ONNX file as a checkpoint in float32, and what
// rounding to it did. The weights are the initializers of their names. The rest
// is in the metadata of a file that attnx wrote, or in the configuration and the
// tokenizer beside one of another tool. Only weights are read, so that the graph
// may have operators that attnx does not know. Errors name the file.
func Read(path string, tell find.Tell) (*model.Checkpoint, format.Rounding, error) {
	var rounding format.Rounding
	m, err := decode(path)
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
			return nil, rounding, fmt.Errorf("%s: initializer %.80q is %v, the configuration asks for %v: convert a file of the profile plain", path, t.Name, wide.Shape, want)
		}
		rounding.Add(r)
		c.Weights = append(c.Weights, wide.WithName(p.Name))
	}
	return c, rounding, checkHead(path, m, c)
}

// decode reads an ONNX file, whatever its operators are.
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
			_, err := find.ReadModel(path) // which names what is at fault
			if err == nil {
				err = fmt.Errorf("%s: %w", path, problem)
			}
			return nil, err
		}
	}
	return m, nil
}

// about returns a checkpoint with all that is known of the model in an ONNX
// file but its weights.
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
		return nil, fmt.Errorf("%s: it does not say what network it is, and there is no config.json beside it", path)
	}
	c, notes, err := huggingface.ReadAbout(folder)
	for _, note := range notes {
		tell.Say(find.Warning, "%s", quote.Line(note, 2000))
	}
	return c, err
}

// initializersOf returns the initializers by the network's names for them.
func initializersOf(path string, m *onnx.Model, arch string) (map[string]*onnx.Tensor, error) {
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

// load reads an initializer as float32.
func load(path string, t *onnx.Tensor) (wide format.Tensor, r format.Rounding, err error) {
	dtype, known := find.WeightTypes[t.DataType]
	if !known {
		return wide, r, fmt.Errorf("%s: initializer %.80q is of type %s, a weight is of a floating-point type", path, t.Name, t.DataType)
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
