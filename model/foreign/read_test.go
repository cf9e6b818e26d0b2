package foreign_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/foreign"
)

// config is a GPT-2 of one layer, in transformers' words.
const config = `{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"n_embd":4,"n_head":1,"n_layer":1,"n_positions":8,"n_ctx":8,"vocab_size":5}`

// A file whose network is not known, or whose weights are not the configuration's, is
// refused with its path and what it lacks.
func TestReadRefuses(t *testing.T) {
	dims := []onnx.Dim{{Value: 2}}
	table := func(shape ...int64) []*onnx.Tensor {
		return []*onnx.Tensor{{Name: "transformer.wte.weight", DataType: onnx.Float, Dims: shape, Raw: make([]byte, 4*shape[0]*shape[1])}}
	}
	for name, c := range map[string]struct {
		config       string
		initializers []*onnx.Tensor
		want         string
	}{
		"no configuration":  {"", nil, "config.json"},
		"no weights":        {config, nil, "initializer"},
		"some weights":      {config, table(5, 4), "initializer"},
		"a broken document": {config[:40], nil, "config.json"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.onnx")
		if c.config != "" {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.config), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.Create(path)
		if err == nil {
			m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{
				Name: "g", Nodes: []*onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}}, Initializers: c.initializers,
				Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: dims}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, Dims: dims}},
			}}
			err = m.Encode(f)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := foreign.Read(path, nil); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Log(err)
		}
	}
}
