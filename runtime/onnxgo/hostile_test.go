package onnxgo_test

import (
	"bytes"
	"errors"
	"github.com/attnx/attnx/model/nn"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/onnxgo"
)

// TestHostileModels spoils a file of the flat profile in one place after the
// other. Each is an error or runs; none ends the process, as Concat along axis
// -1 does on Gorgonia's own machine.
func TestHostileModels(t *testing.T) {
	c := tinyGPT2
	c.Layers, c.Context = 1, 3
	g, err := nn.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	data, err := export.Bytes(g, model.NewWeights(g, 3), export.Flat{Length: 3})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[bool]int{}
	run := func(where string, m *onnx.Model) {
		t.Helper()
		var b bytes.Buffer
		if err := m.Encode(&b); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		s, err := onnxgo.OpenBytes(b.Bytes())
		if err == nil {
			_, err = s.Run(map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1, 3}, []int64{1, 2, 3})})
		}
		outcomes[err == nil]++
		if err != nil && (strings.Contains(err.Error(), "<nil>") || !strings.HasPrefix(err.Error(), "onnx-go: ")) {
			t.Errorf("%s: %v", where, err)
		}
	}
	seen := map[string]bool{} // operators whose nodes have been spoiled
	original, err := onnx.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range original.Graph.Nodes {
		if seen[n.Op] {
			continue
		}
		seen[n.Op] = true
		for a := range n.Attributes {
			for _, x := range []int64{-1, -7, 7, 1 << 40} {
				m, _ := onnx.Decode(data)
				bad := &m.Graph.Nodes[i].Attributes[a]
				bad.Int = x
				for j := range bad.Ints {
					bad.Ints[j] = x
				}
				run(n.Op+" "+bad.Name, m)
			}
		}
		m, _ := onnx.Decode(data)
		m.Graph.Nodes[i].Inputs = m.Graph.Nodes[i].Inputs[:1]
		run(n.Op+" with one argument", m)
		m, _ = onnx.Decode(data)
		m.Graph.Nodes[i].Inputs = append(m.Graph.Nodes[i].Inputs, "one_hot", "nowhere")
		run(n.Op+" with more arguments", m)
	}
	for _, axis := range []int64{-1, 0, 9} {
		m, _ := onnx.Decode(data)
		m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{Op: "Concat", Inputs: []string{"logits", "one_hot"}, Outputs: []string{"both"},
			Attributes: []onnx.Attribute{{Name: "axis", Type: onnx.AttrInt, Int: axis}}})
		run("Concat", m)
	}
	if len(seen) < 5 || outcomes[true] == 0 || outcomes[false] == 0 {
		t.Errorf("operators %v, outcomes %v", seen, outcomes)
	}
}

// onnx-go wraps a nil pointer as its error for this file, which PyTorch wrote.
func TestErrorThatIsNil(t *testing.T) {
	s, err := onnxgo.OpenAny(runtime.File{Path: "../../fixtures/train_onnx/mlp/model.onnx"}, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{1, 7}, make([]float32, 7))}); !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
