package attnx

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
)

// A comparison of two files says what differs, whether structure proves that they
// compute the same, and how far their outputs are apart.
func TestCompareONNX(t *testing.T) {
	original := smallModel(t)
	find := func(m *onnx.Model, op string) *onnx.Node {
		return m.Graph.Nodes[slices.IndexFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == op })]
	}
	for _, c := range []struct {
		name      string
		edit      func(m *onnx.Model)
		kinds     []diff.Kind
		identical bool
		apart     bool
	}{
		{"names", func(m *onnx.Model) {}, nil, true, false},
		{"an output of another name", func(m *onnx.Model) {
			was := m.Graph.Outputs[0].Name
			for _, n := range m.Graph.Nodes {
				for i, v := range n.Outputs {
					if v == was {
						n.Outputs[i] = "answer"
					}
				}
			}
			m.Graph.Outputs[0].Name = "answer"
		}, []diff.Kind{diff.Declared}, true, false},
		{"an Identity", func(m *onnx.Model) {
			n := find(m, "Relu")
			m.Graph.Nodes = slices.Insert(m.Graph.Nodes, slices.Index(m.Graph.Nodes, n), &onnx.Node{Op: "Identity", Inputs: []string{n.Inputs[0]}, Outputs: []string{"same"}})
			n.Inputs[0] = "same"
		}, []diff.Kind{diff.NodeAdded}, true, false},
		{"another operator", func(m *onnx.Model) { find(m, "Relu").Op = "Tanh" }, []diff.Kind{diff.Operator}, false, true},
	} {
		m, err := onnx.DecodeFile(original)
		noError(t, err)
		c.edit(m)
		renamed(m, true, true)
		path := filepath.Join(t.TempDir(), "b.onnx")
		noError(t, writeTo(path, m.Encode))
		x, err := CompareONNX(context.Background(), original, path, DiffOptions{Options: Options{Runtime: Oracle}, Seed: 1})
		noError(t, err)
		var kinds []diff.Kind
		for _, change := range x.Changes {
			kinds = append(kinds, change.Kind)
		}
		if !slices.Equal(kinds, c.kinds) || x.Identical != c.identical || x.Equal != (len(c.kinds) == 0) {
			t.Errorf("%s: %v, identical %v (%s): %v", c.name, kinds, x.Identical, x.Reason, x.Changes)
		}
		if x.Equal {
			if x.Numbers != nil {
				t.Errorf("%s: equal files were run", c.name)
			}
			continue
		}
		want := OutputWithin
		if c.apart {
			want = OutputDiffers
		}
		if len(x.Numbers.Outputs) == 0 || x.Numbers.Outputs[0].Status != want || *x.Numbers.Outputs[0].Within != (want == OutputWithin) || c.apart && !(x.Numbers.Outputs[0].OfBound > 100) {
			t.Errorf("%s: %+v", c.name, x.Numbers)
		}
		var text strings.Builder
		noError(t, x.WriteText(&text))
		if said := strings.Contains(text.String(), "identical by structure"); said != c.identical {
			t.Errorf("%s: %s", c.name, text.String())
		}
	}
}

// What cannot be run is compared by structure, and the report says why.
func TestCompareONNXOfOthers(t *testing.T) {
	write := func(op string) string {
		g := &onnx.Graph{Name: "g", Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, NoShape: true}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
			Nodes: []*onnx.Node{{Op: op, Domain: "of.others", Inputs: []string{"x"}, Outputs: []string{"y"}}}}
		path := filepath.Join(t.TempDir(), "model.onnx")
		m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}, {Domain: "of.others", Version: 1}}, Graph: g}
		noError(t, writeTo(path, m.Encode))
		return path
	}
	x, err := CompareONNX(context.Background(), write("One"), write("Other"), DiffOptions{Seed: 1})
	noError(t, err)
	if len(x.Changes) != 1 || x.Changes[0].Kind != diff.Operator || x.Identical || x.Numbers.Reason == "" || x.Reason == "" {
		t.Errorf("%+v", x)
	}
}
