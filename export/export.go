package export

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/emit"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/graph"
)

// producer is the program name in every file.
const producer = "attnx"

// Metadata of every file. One with a cache has role.MetaCache, too.
const (
	MetaFingerprint = "attnx.fingerprint" // of the graph before lowering
	MetaProfile     = "attnx.profile"
	MetaLength      = "attnx.length" // flat: tokens in the sequence
)

// Summary describes the written files.
type Summary struct {
	Files   []string
	Opset   int
	Nodes   int
	Bytes   int64             // of all files
	Numbers precision.Numbers // effect of changing the numbers
}

// File writes g with its weights to path, atomically. Above 1.9 GB the weights
// go to path with "_data" appended, as ONNX external data. metadata, if given,
// are added to metadata_props.
func File(path string, g *graph.Graph, weights []format.Tensor, p Profile, metadata ...map[string]string) (Summary, error) {
	return file(path, bundle.Limit, g, weights, p, metadata...)
}

func file(path string, limit int64, g *graph.Graph, weights []format.Tensor, p Profile, metadata ...map[string]string) (Summary, error) {
	m, numbers, err := Convert(g, weights, p, metadata...)
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Files: []string{path}, Opset: int(m.Opset()), Nodes: len(m.Graph.Nodes), Bytes: m.EncodedSize(), Numbers: numbers}
	if sum.Bytes <= limit {
		if err := store.Save(path, m.Encode); err != nil {
			return Summary{}, err
		}
		return sum, nil
	}
	data := path + "_data"
	size, err := bundle.Split(m, filepath.Base(data)).Save(path)
	if err != nil {
		return Summary{}, err
	}
	sum.Files, sum.Bytes = append(sum.Files, data), size
	return sum, nil
}

// Bytes returns g with its weights as an ONNX file in memory.
func Bytes(g *graph.Graph, weights []format.Tensor, p Profile, metadata ...map[string]string) ([]byte, error) {
	m, err := Model(g, weights, p, metadata...)
	if err != nil {
		return nil, err
	}
	size := m.EncodedSize()
	if size > bundle.Limit {
		return nil, fmt.Errorf("export: %d bytes do not fit one ONNX file: export to a file", size)
	}
	var b bytes.Buffer
	b.Grow(int(size))
	err = m.Encode(&b)
	return b.Bytes(), err
}

// Model returns g with its weights as a checked ONNX model. It shares the
// memory of the weights.
func Model(g *graph.Graph, weights []format.Tensor, p Profile, metadata ...map[string]string) (*onnx.Model, error) {
	m, _, err := Convert(g, weights, p, metadata...)
	return m, err
}

// Convert is Model, and reports the effect of changing the numbers.
func Convert(g *graph.Graph, weights []format.Tensor, p Profile, metadata ...map[string]string) (*onnx.Model, precision.Numbers, error) {
	if p == nil {
		return nil, precision.Numbers{}, errors.New("export: no profile is given: take Plain, Cache, Flat or Train")
	}
	if err := p.Check(); err != nil {
		return nil, precision.Numbers{}, err
	}
	l, err := p.lower(g, weights)
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	m, err := l.written(p, metadata)
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	var numbers precision.Numbers
	if f := p.Numbers(); f.Changes() {
		if m, numbers, err = f.Apply(m, precision.Source{Graph: l.Graph, Fused: l.Fused}); err != nil {
			return nil, precision.Numbers{}, err
		}
	}
	if err := adapterInputs(m, p); err != nil {
		return nil, precision.Numbers{}, err
	}
	if err := onnx.Check(m, ""); err != nil {
		return nil, precision.Numbers{}, fmt.Errorf("export: %w", err)
	}
	return m, numbers, nil
}

// adapterInputs makes the matrices of an adapter inputs, if the profile asks for it:
// ONNX Runtime puts those of an activated adapter there.
func adapterInputs(m *onnx.Model, p Profile) error {
	plain, _ := p.(Plain)
	cache, _ := p.(Cache)
	if !plain.AdapterInputs && !cache.AdapterInputs {
		return nil
	}
	found := false
	for _, t := range m.Graph.Initializers {
		if !strings.HasSuffix(t.Name, ".lora_A.weight") && !strings.HasSuffix(t.Name, ".lora_B.weight") {
			continue
		}
		if t.DataType != onnx.Float {
			return &ProfileError{p.Name(), "has adapter inputs in float32 alone", "leave out other number types"}
		}
		v := onnx.ValueInfo{Name: t.Name, DataType: t.DataType}
		for _, n := range t.Dims {
			v.Dims = append(v.Dims, onnx.Dim{Value: n})
		}
		m.Graph.Inputs, found = append(m.Graph.Inputs, v), true
	}
	if !found {
		return &ProfileError{p.Name(), "has adapter inputs only for a model with an adapter", "train one with LoRA"}
	}
	return nil
}

// written returns the model with its metadata.
func (l lowered) written(p Profile, metadata []map[string]string) (*onnx.Model, error) {
	all := map[string]string{}
	for _, given := range append(metadata, l.metadata) {
		maps.Copy(all, given)
	}
	all[MetaFingerprint], all[MetaProfile] = graph.Fingerprint(l.given), p.Name()
	versions := p.opsets()
	l.form.Opset = versions.written()
	m, err := l.Model(l.weights, l.form)
	if later := (*emit.OpsetError)(nil); errors.As(err, &later) && versions.asked == 0 && later.Since <= versions.newest {
		l.form.Opset = later.Since
		m, err = l.Model(l.weights, l.form)
	}
	if err != nil {
		return nil, err
	}
	m.ProducerName, m.Metadata = producer, all
	return m, nil
}

// Packed returns a network with a past whose matrices stay in their blocks, for
// ONNX Runtime (see precision.Packed). A weight in blocks has no data in weights.
func Packed(g *graph.Graph, weights []format.Tensor, blocks map[string]format.Blocks, p Cache, metadata ...map[string]string) (*onnx.Model, error) {
	if err := checkWeights(g, weights, blocks); err != nil {
		return nil, err
	}
	can := precision.Factors(g)
	for name := range blocks {
		if !can[name] {
			return nil, fmt.Errorf("export: weight %.80q cannot stay in blocks: it is no factor (out,in) of products alone", name)
		}
	}
	l, err := p.prepare(g, weights)
	if err != nil {
		return nil, err
	}
	m, err := l.written(p, metadata)
	if err != nil {
		return nil, err
	}
	m = precision.Packed(m, precision.Source{Graph: l.Graph}, blocks)
	if err := onnx.Check(m, ""); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return m, nil
}

// Layers returns the weights that a profile with integers rounds, and the forms in
// which a file can hold them; none without integers.
func Layers(g *graph.Graph, weights []format.Tensor, p Profile) ([]precision.Layer, error) {
	l, err := p.lower(g, weights)
	if err != nil {
		return nil, err
	}
	return p.Numbers().Layers(l.Graph, l.weights)
}

// checkWeights returns the first difference between the weights and the
// parameters of g. Those in blocks have no data of their own.
func checkWeights(g *graph.Graph, weights []format.Tensor, blocks map[string]format.Blocks) error {
	infos := make([]format.TensorInfo, len(weights))
	for i, t := range weights {
		err := t.Check()
		if b, packed := blocks[t.Name]; packed {
			if err = b.Check(); err == nil && !slices.Equal(t.Shape, []int{b.Rows, b.Columns}) {
				err = fmt.Errorf("tensor %.80q has shape %v, its blocks [%d %d]", t.Name, t.Shape, b.Rows, b.Columns)
			}
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		infos[i] = t.Info()
	}
	if err := g.CheckParams(infos); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for i, p := range g.Params {
		if weights[i].DType != p.DType {
			return fmt.Errorf("export: weight %.80q is %s, the graph has %s", p.Name, weights[i].DType, p.DType)
		}
	}
	return nil
}
