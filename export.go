package attnx

import (
	"bytes"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/model"
)

// Export writes a model as an ONNX file. The file carries the network, its
// configuration and the tokenizer.
func Export(c *model.Checkpoint, path string, p export.Profile) (export.Summary, error) {
	metadata, err := c.Metadata()
	if err != nil {
		return export.Summary{}, err
	}
	return export.File(path, c.Graph, c.Weights, p, metadata)
}

// ExportBytes returns a model as an ONNX file in memory.
func ExportBytes(c *model.Checkpoint, p export.Profile) ([]byte, error) {
	metadata, err := c.Metadata()
	if err != nil {
		return nil, err
	}
	return export.Bytes(c.Graph, c.Weights, p, metadata)
}

// ExportModel returns a model in the form of an ONNX file, and what changing
// its numbers did.
func ExportModel(c *model.Checkpoint, p export.Profile) (*onnx.Model, precision.Numbers, error) {
	metadata, err := c.Metadata()
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	return export.Convert(c.Graph, c.Weights, p, metadata)
}

// encoded returns a model in the form of an ONNX file, and the file's bytes.
func encoded(c *model.Checkpoint, p export.Profile) (*onnx.Model, []byte, error) {
	m, _, err := ExportModel(c, p)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	b.Grow(int(m.EncodedSize()))
	err = m.Encode(&b)
	return m, b.Bytes(), err
}
