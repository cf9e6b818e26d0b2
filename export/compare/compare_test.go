package compare

import (
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// chain returns a model of n nodes in a row.
func chain(op string, n int) *onnx.Model {
	g := &onnx.Graph{Name: "g", Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float}}}
	before := "x"
	for i := range n {
		out := fmt.Sprint("v", i)
		if i == n-1 {
			out = "y"
		}
		g.Nodes = append(g.Nodes, &onnx.Node{Op: op, Inputs: []string{before}, Outputs: []string{out}})
		before = out
	}
	return &onnx.Model{Graph: g, Opsets: []onnx.Opset{{Version: 17}}}
}

// A file of any size takes a bounded time.
func TestHugeGraph(t *testing.T) {
	for n, want := range map[int]string{1000: "x is replaced by", 100_000: "the graph has 100000 nodes, export writes 3"} {
		r, err := Models(chain("Neg", n), chain("Neg", 3), Options{})
		if err != nil || len(r.Nodes.Departures) == 0 || !strings.Contains(fmt.Sprint(r.Nodes.Departures), want) {
			t.Errorf("%d nodes: %v, %v", n, r.Nodes.Departures, err)
		}
	}
}

// An attribute is named where either has it.
func TestAttributes(t *testing.T) {
	axis := func(axis ...int64) *onnx.Model {
		m := chain("Softmax", 1)
		for _, a := range axis {
			m.Graph.Nodes[0].Attributes = append(m.Graph.Nodes[0].Attributes, onnx.IntAttr("axis", a))
		}
		return m
	}
	for _, c := range []struct {
		file, want *onnx.Model
		found      string
	}{
		{axis(-1), axis(), "[]"},
		{axis(2), axis(1), "[y (Softmax) has the attribute axis 2, export writes axis 1]"},
		{axis(2), axis(), "[y (Softmax) has the attribute axis 2, export writes none]"},
		{axis(), axis(2), "[y (Softmax) lacks the attribute axis 2, which export writes]"},
	} {
		r, err := Models(c.file, c.want, Options{})
		if found := fmt.Sprint(r.Nodes.Departures); err != nil || found != c.found {
			t.Errorf("%s, want %s: %v", found, c.found, err)
		}
	}
}

// Weights that an optimizer has transposed are the weights.
func TestFoldedTranspose(t *testing.T) {
	want := chain("Transpose", 1)
	want.Graph.Inputs = nil
	want.Graph.Initializers = []*onnx.Tensor{{Name: "x", DataType: onnx.Uint8, Dims: []int64{2, 3}, Raw: []byte{1, 2, 3, 4, 5, 6}}}
	for _, c := range []struct {
		raw  []byte
		want string
	}{{[]byte{1, 4, 2, 5, 3, 6}, "[]"}, {[]byte{1, 4, 2, 5, 7, 6}, "[y[2,0] is 0x07, export writes 0x03; 1 of 6 elements differ]"}} {
		file := chain("Identity", 1)
		file.Graph.Inputs = nil
		file.Graph.Initializers = []*onnx.Tensor{{Name: "x", DataType: onnx.Uint8, Dims: []int64{3, 2}, Raw: c.raw}}
		file.Graph.Initializers[0].Name = "folded"
		file.Graph.Nodes[0].Inputs[0] = "folded"
		r, err := Models(file, want, Options{})
		if found := fmt.Sprint(r.Initializers.Departures); err != nil || found != c.want || !r.Whole() || len(r.Nodes.Departures) > 0 {
			t.Errorf("%v: %s, %v, %v", c.raw, found, r, err)
		}
	}
}
