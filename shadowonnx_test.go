package attnx

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// Subgraphs that redefine a name of a graph around them: a file that ONNX's checker
// refuses runs nowhere and is refused at the node, and the oracle computes the others as
// ONNX Runtime does (fixtures/oracle/shadow_verdicts.py).
func TestShadows(t *testing.T) {
	var golden struct {
		Files []struct {
			Base    string
			Basic   bool
			Runtime string // why it refuses the file
			Outputs []float64
			Model   []byte
		}
	}
	data, err := os.ReadFile(filepath.Join("export", "onnx", "check", "testdata", "shadows.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	inputs := map[string]format.Tensor{
		"seed": format.FromFloat32s("seed", nil, []float32{1.5}), "cond": {Name: "cond", DType: format.Bool, Shape: []int{}, Data: []byte{1}},
		"row": format.FromFloat32s("row", []int{2}, []float32{0.5, -2}), "count": format.FromInt64s("count", nil, []int64{2}), "x": format.FromFloat32s("x", nil, []float32{7}),
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	ran, shadowing := 0, 0
	for _, c := range golden.Files {
		if err := os.WriteFile(path, c.Model, 0o644); err != nil {
			t.Fatal(err)
		}
		outputs, err := oracleOn(path, inputs)
		switch {
		case strings.HasPrefix(c.Base, "custom operator"):
			m, err := onnx.DecodeFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := onnx.CheckStructure(m, ""); (err == nil) != c.Basic {
				t.Errorf("%s: %v", c.Base, err)
			}
		case !c.Basic || c.Runtime != "":
			if err == nil {
				t.Errorf("%s: it ran, ONNX Runtime says %s", c.Base, c.Runtime)
			} else if text := err.Error(); strings.Contains(text, "a name that its graph or one around it has") {
				if shadowing++; !strings.Contains(text, "node") || !strings.HasSuffix(text, "give the value another name") {
					t.Errorf("%s: %v", c.Base, err)
				}
			}
		case err != nil:
			t.Errorf("%s: %v", c.Base, err)
		default:
			if ran++; !slices.Equal(outputs, c.Outputs) {
				t.Errorf("%s: %v, ONNX Runtime %v", c.Base, outputs, c.Outputs)
			}
		}
	}
	if ran < 300 || shadowing < 70 {
		t.Errorf("%d files ran, and %d were refused because of a name", ran, shadowing)
	}
}

func oracleOn(path string, inputs map[string]format.Tensor) (values []float64, err error) {
	x, err := OpenONNX(path, Options{Runtime: Oracle})
	if err != nil {
		return nil, err
	}
	defer x.Close()
	given := map[string]format.Tensor{}
	for _, v := range x.inputs {
		given[v.Name] = inputs[v.Name]
	}
	outputs, err := x.Run(given)
	if err != nil {
		return nil, err
	}
	for _, out := range outputs {
		numbers, err := out.AsFloat64s()
		if err != nil {
			return nil, err
		}
		values = append(values, numbers...)
	}
	return values, nil
}
