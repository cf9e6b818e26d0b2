package attnx

import (
	"bytes"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// Form is how a model is written as an ONNX file.
type Form struct {
	export.Options
	LastLogits bool // profile cache: logits of the last token alone
}

// graph returns the network of a model as a form wants it, with the options
// to write it by: the file says where it is from.
func (f Form) graph(c *model.Checkpoint) (g *graph.Graph, o export.Options, err error) {
	g = c.Graph
	if f.Profile == export.Cache {
		g, err = model.Cached(g, f.LastLogits)
	}
	if err == nil {
		f.Metadata, err = c.Metadata()
	}
	return g, f.Options, err
}

// File writes a model as an ONNX file.
func (f Form) File(c *model.Checkpoint, path string) (export.Summary, error) {
	g, o, err := f.graph(c)
	if err != nil {
		return export.Summary{}, err
	}
	return export.File(path, g, c.Weights, o)
}

// Bytes returns a model as an ONNX file in memory.
func (f Form) Bytes(c *model.Checkpoint) ([]byte, error) {
	g, o, err := f.graph(c)
	if err != nil {
		return nil, err
	}
	return export.Bytes(g, c.Weights, o)
}

// Model returns a model in the form of an ONNX file.
func (f Form) Model(c *model.Checkpoint) (*onnx.Model, error) {
	m, _, err := f.Written(c)
	return m, err
}

// Encoded returns a model in the form of an ONNX file, and the file's bytes.
func (f Form) Encoded(c *model.Checkpoint) (*onnx.Model, []byte, error) {
	m, err := f.Model(c)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	b.Grow(int(m.EncodedSize()))
	err = m.Encode(&b)
	return m, b.Bytes(), err
}

// Written is Model, and says what changing the numbers did.
func (f Form) Written(c *model.Checkpoint) (*onnx.Model, precision.Numbers, error) {
	g, o, err := f.graph(c)
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	return export.Written(g, c.Weights, o)
}
