package attnx

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/runtime"
)

// ONNX's Gather takes indices from -rows to rows-1: every runtime is given them as they
// are, and what is beyond is refused.
func TestNegativeIDs(t *testing.T) {
	table := hostileFloats("table", 3, 1)
	for i, v := range []float32{10, 11, 12} {
		binary.LittleEndian.PutUint32(table.Raw[4*i:], math.Float32bits(v))
	}
	dims := []onnx.Dim{{Open: true, Param: "n"}}
	path := writeModel(t, filepath.Join(t.TempDir(), "m.onnx"), &onnx.Graph{
		Name: "g", Initializers: []*onnx.Tensor{table}, Nodes: []*onnx.Node{hostileNode("Gather", "y", nil, "table", "ids")},
		Inputs:  []onnx.ValueInfo{{Name: "ids", DataType: onnx.Int64, Dims: dims}},
		Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
	})
	for _, name := range append(Runners(), Oracle) {
		if name == "onnx-go" {
			continue // it has no Gather
		}
		x, err := OpenONNX(path, Options{Runtime: name})
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		run := func(ids ...int64) ([]float64, error) {
			out, err := x.Run(map[string]format.Tensor{"ids": format.FromInt64s("ids", []int{len(ids)}, ids)})
			if err != nil {
				return nil, err
			}
			return out[0].AsFloat64s()
		}
		if got, err := run(-1, 0, -3, 2); err != nil || !slices.Equal(got, []float64{12, 10, 10, 12}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		for _, bad := range []int64{-4, 3} {
			var outside *format.RangeError
			if _, err := run(0, bad); !errors.As(err, &outside) {
				t.Errorf("%s: id %d: %v", name, bad, err)
			}
		}
		x.Close()
	}
	ids := filepath.Join(t.TempDir(), "ids.npy")
	f, err := os.Create(ids)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := npy.Write(f, format.FromInt64s("ids", []int{2}, []int64{-1, -2})); err != nil {
		t.Fatal(err)
	}
	report, err := VerifyONNX(context.Background(), []string{path}, VerifyOptions{Inputs: Files{{"ids", ids}}})
	if err != nil || report.Verdict != runtime.Pass {
		t.Errorf("%v, %+v", err, report)
	}
}

// What goes wrong in a run names the file, the node, the shapes that were given and a
// remedy on one line.
func TestRunFails(t *testing.T) {
	dims := func(a, b string) []onnx.Dim { return []onnx.Dim{{Open: true, Param: a}, {Open: true, Param: b}} }
	product := &onnx.Node{Name: "product", Op: "MatMul", Inputs: []string{"a", "b"}, Outputs: []string{"y"}}
	branch := func(n *onnx.Node) *onnx.Graph {
		return &onnx.Graph{Name: "branch", Nodes: []*onnx.Node{n}, Outputs: []onnx.ValueInfo{{Name: n.Outputs[0], DataType: onnx.Float, NoShape: true}}}
	}
	inner := &onnx.Node{Name: "product", Op: "MatMul", Inputs: []string{"a", "b"}, Outputs: []string{"p"}}
	other := &onnx.Node{Op: "Relu", Inputs: []string{"a"}, Outputs: []string{"r"}}
	choice := &onnx.Node{Name: "choice", Op: "If", Inputs: []string{"c"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{
		{Name: "then_branch", Type: onnx.AttrGraph, Graph: branch(inner)}, {Name: "else_branch", Type: onnx.AttrGraph, Graph: branch(other)}}}
	inputs := map[string]format.Tensor{
		"a": format.FromFloat32s("a", []int{2, 3}, make([]float32, 6)), "b": format.FromFloat32s("b", []int{4, 5}, make([]float32, 20)),
		"c": {Name: "c", DType: format.Bool, Shape: []int{}, Data: []byte{1}},
	}
	for _, n := range []*onnx.Node{product, choice} {
		path := writeModel(t, filepath.Join(t.TempDir(), "m.onnx"), &onnx.Graph{
			Name: "g", Nodes: []*onnx.Node{n, {Name: "more", Op: "Identity", Inputs: []string{"c"}, Outputs: []string{"d"}}},
			Inputs:  []onnx.ValueInfo{{Name: "a", DataType: onnx.Float, Dims: dims("n", "m")}, {Name: "b", DataType: onnx.Float, Dims: dims("k", "l")}, {Name: "c", DataType: onnx.Bool, Dims: []onnx.Dim{}}},
			Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}, {Name: "d", DataType: onnx.Bool, NoShape: true}},
		})
		for _, name := range []string{"ort", "openvino"} {
			x, err := OpenONNX(path, Options{Runtime: name})
			if err != nil {
				t.Logf("%s: %v", name, err)
				continue
			}
			defer x.Close()
			_, err = x.Run(inputs)
			var failed *runtime.RunError
			if !errors.As(err, &failed) || failed.Operator == "" || name == "ort" && (failed.Node != "product" || failed.Operator != "MatMul") {
				t.Errorf("%s, %s: %v", n.Op, name, err)
				continue
			}
			text := err.Error()
			for _, part := range []string{path + ": ", "node ", "the inputs were a F32[2 3], b F32[4 5], c BOOL[]: give inputs that fit the node, or " + runtime.AskOracle} {
				if !strings.Contains(text, part) || strings.Contains(text, "\n") || strings.Contains(text, "status code") {
					t.Errorf("%s, %s: %q lacks %q", n.Op, name, text, part)
				}
			}
		}
	}
}
