package bundle_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
)

// weighted returns a model x·w with a weight of 4 KB.
func weighted() *onnx.Model {
	raw := make([]byte, 4096)
	for i := range raw {
		raw[i] = byte(i)
	}
	rows, size := onnx.Dim{Open: true, Param: "n"}, onnx.Dim{Value: 32}
	return &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{
		Name: "g", Nodes: []*onnx.Node{{Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
		Initializers: []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{32, 32}, Raw: raw}},
		Inputs:       []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{rows, size}}},
		Outputs:      []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, Dims: []onnx.Dim{rows, size}}},
	}}
}

// A model whose weights lie beside it holds none of them, and is read back with the same
// bytes; the model that was split is as before.
func TestSplit(t *testing.T) {
	m := weighted()
	path := filepath.Join(t.TempDir(), "model.onnx")
	size, err := bundle.Split(m, "weights.bin").Save(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.Graph.Initializers[0].External != nil || len(m.Graph.Initializers[0].Raw) != 4096 {
		t.Error("the model was changed")
	}
	model, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(filepath.Dir(path), "weights.bin"))
	if err != nil || size != int64(len(model)+len(weights)) || len(model) > 1000 {
		t.Errorf("%v: %d bytes, of which %d model and %d weights", err, size, len(model), len(weights))
	}
	back, err := onnx.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := back.Graph.Initializers[0].Load(filepath.Dir(path))
	if err != nil || !bytes.Equal(raw, m.Graph.Initializers[0].Raw) {
		t.Errorf("%v: the weight has other bytes", err)
	}
	if _, err := bundle.Split(m, "../weights.bin").Save(path); err == nil {
		t.Error("weights outside the folder are written")
	}
}

// Triton's configuration has the file's inputs and outputs, an open size as -1, and
// refuses a type that Triton does not have.
func TestTritonConfig(t *testing.T) {
	m := weighted()
	text, err := bundle.TritonConfig("net", m, nil)
	if err != nil || !strings.Contains(string(text), `{ name: "x", data_type: TYPE_FP32, dims: [ -1, 32 ] }`) || !strings.Contains(string(text), `name: "y"`) {
		t.Errorf("%v: %s", err, text)
	}
	m.Graph.Inputs[0].DataType = onnx.Int4
	if _, err := bundle.TritonConfig("net", m, nil); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("int4: %v", err)
	}
}
