package onnx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// body returns a graph for an attribute: it uses what the graph around it has.
func body(uses string) *onnx.Graph {
	return &onnx.Graph{
		Name:    "body",
		Nodes:   []*onnx.Node{{Op: "Neg", Inputs: []string{uses}, Outputs: []string{"out"}}},
		Outputs: []onnx.ValueInfo{{Name: "out"}},
	}
}

// custom is a node of another domain with a graph in it.
func custom(g *onnx.Graph) *onnx.Node {
	return &onnx.Node{Op: "Wrap", Domain: "com.example", Inputs: []string{"x"}, Outputs: []string{"wrapped"},
		Attributes: []onnx.Attribute{{Name: "body", Type: onnx.AttrGraph, Graph: g}}}
}

func TestCheckAccepts(t *testing.T) {
	for name, change := range map[string]func(m *onnx.Model){
		"as it is":                   func(*onnx.Model) {},
		"the other name of a domain": func(m *onnx.Model) { m.Opsets[0].Domain = "ai.onnx" },
		"an input with a default":    func(m *onnx.Model) { m.Graph.Initializers[0].Name = "x"; m.Graph.Nodes[0].Inputs[1] = "x" },
		"an optional input left out": func(m *onnx.Model) {
			m.Graph.Nodes[1] = &onnx.Node{Op: "Clip", Inputs: []string{"xw", "", "bias"}, Outputs: []string{"y"}}
		},
		"a graph that sees out": func(m *onnx.Model) { m.Graph.Nodes = append(m.Graph.Nodes, custom(body("xw"))) },
		"names of its own": func(m *onnx.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, custom(body("xw")), &onnx.Node{Op: "Neg", Inputs: []string{"x"}, Outputs: []string{"out"}})
		},
	} {
		m := small()
		change(m)
		if err := onnx.Check(m, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusals are changes of small() that Check refuses, and what it says.
var refusals = map[string]struct {
	change func(m *onnx.Model)
	want   string
}{
	"no graph":        {func(m *onnx.Model) { m.Graph = nil }, "the model has no graph"},
	"IR too old":      {func(m *onnx.Model) { m.IRVersion = 2 }, "IR version 2, expects 3 or more"},
	"IR too new":      {func(m *onnx.Model) { m.IRVersion = 15 }, "IR version 15 is not supported"},
	"opset 0":         {func(m *onnx.Model) { m.Opsets[0].Version = 0 }, `operator set "" has version 0`},
	"opset twice":     {func(m *onnx.Model) { m.Opsets[1] = onnx.Opset{Domain: "ai.onnx", Version: 17} }, `operator set "" is declared twice`},
	"no opset":        {func(m *onnx.Model) { m.Opsets = m.Opsets[1:] }, `node "product" (MatMul): the model does not import operator set ""`},
	"metadata NUL":    {func(m *onnx.Model) { m.Metadata["k"] = "\x00" }, `metadata "k": it is a string with a NUL`},
	"metadata key":    {func(m *onnx.Model) { m.Metadata["\xff"] = "" }, "a key is a string that is not UTF-8"},
	"graph name":      {func(m *onnx.Model) { m.Graph.Name = "" }, "graph: it has no name"},
	"no outputs":      {func(m *onnx.Model) { m.Graph.Outputs = nil }, "graph: it has no outputs"},
	"output unknown":  {func(m *onnx.Model) { m.Graph.Outputs[0].Name = "q" }, `graph output: nothing defines "q"`},
	"output twice":    {func(m *onnx.Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) }, `graph output: "z" is there twice`},
	"input unnamed":   {func(m *onnx.Model) { m.Graph.Inputs[0].Name = "" }, "graph input: a name is empty"},
	"input untyped":   {func(m *onnx.Model) { m.Graph.Inputs[0].DataType = 0 }, `graph input "x": it has no element type`},
	"input complex":   {func(m *onnx.Model) { m.Graph.Inputs[0].DataType = 14 }, `elements of type complex64 are not supported`},
	"inputs twice":    {func(m *onnx.Model) { m.Graph.Inputs = append(m.Graph.Inputs, m.Graph.Inputs[0]) }, `graph input: "x" is defined twice`},
	"long name":       {func(m *onnx.Model) { m.Graph.Inputs[0].Name = strings.Repeat("n", 1025) }, "a name is a string of 1025 bytes"},
	"weight twice":    {func(m *onnx.Model) { m.Graph.Initializers[1].Name = "w" }, `initializer "w": it is there twice`},
	"weight unnamed":  {func(m *onnx.Model) { m.Graph.Initializers[1].Name = "" }, "a name is empty"},
	"weight as input": {func(m *onnx.Model) { m.Graph.Initializers[0].Name = "x"; m.Graph.Inputs[0].DataType = onnx.Int64 }, "its elements are float, the input has int64"},
	"IR 3":            {func(m *onnx.Model) { m.IRVersion = 3 }, `initializer "w": it is not a graph input, which IR version 3 expects`},
	"absurd size":     {func(m *onnx.Model) { m.Graph.Initializers[0].Dims = []int64{1 << 62, 1 << 62} }, `initializer "w": float[4611686018427387904 4611686018427387904] is not a size`},
	"negative size":   {func(m *onnx.Model) { m.Graph.Initializers[0].Dims = []int64{-2, -2} }, "is not a size"},
	"other size":      {func(m *onnx.Model) { m.Graph.Initializers[0].Dims = []int64{3, 2} }, "float[3 2] expects 24 bytes, has 16"},
	"weight untyped":  {func(m *onnx.Model) { m.Graph.Initializers[0].DataType = 0 }, "it has no element type"},
	"weight strings":  {func(m *onnx.Model) { m.Graph.Initializers[0].DataType = onnx.String }, "tensors of strings are not supported"},

	"cycle":             {func(m *onnx.Model) { m.Graph.Nodes[0].Inputs[0] = "y" }, `node "product" (MatMul): it uses "y", which node "sum" (Add) makes later: a cycle, or nodes out of order`},
	"a node by itself":  {func(m *onnx.Model) { m.Graph.Nodes[0].Inputs[0] = "xw" }, "a cycle"},
	"out of order":      {func(m *onnx.Model) { n := m.Graph.Nodes; n[0], n[1] = n[1], n[0] }, "a cycle, or nodes out of order"},
	"unknown op":        {func(m *onnx.Model) { m.Graph.Nodes[1].Op = "Frobnicate" }, `node "sum" (Frobnicate): "Frobnicate" is not an operator that attnx knows`},
	"control codes":     {func(m *onnx.Model) { m.Graph.Nodes[1].Op = "a\x1b[2J\nb" }, `node "sum" ("a\x1b[2J\nb")`},
	"dangling name":     {func(m *onnx.Model) { m.Graph.Nodes[1].Inputs[1] = "nowhere" }, `node "sum" (Add): it uses "nowhere", which nothing defines`},
	"made twice":        {func(m *onnx.Model) { m.Graph.Nodes[1].Outputs[0] = "xw" }, `node "sum" (Add): "xw" is defined twice`},
	"made and given":    {func(m *onnx.Model) { m.Graph.Nodes[1].Outputs[0] = "w" }, `"w" is defined twice`},
	"missing attribute": {func(m *onnx.Model) { m.Graph.Nodes[3].Attributes = nil }, `node of "z" (Concat): attribute "axis" is missing`},
	"attribute twice": {func(m *onnx.Model) {
		m.Graph.Nodes[3].Attributes = append(m.Graph.Nodes[3].Attributes, onnx.IntAttr("axis", 0))
	}, `attribute "axis" has no name or is there twice`},
	"attribute untyped":   {func(m *onnx.Model) { m.Graph.Nodes[3].Attributes[0].Type = 0 }, `attribute "axis": it has type 0`},
	"attribute empty":     {func(m *onnx.Model) { m.Graph.Nodes[2].Attributes[0].Tensor = nil }, `node of "c" (Constant) attribute "value": it lacks its value`},
	"attribute's size":    {func(m *onnx.Model) { m.Graph.Nodes[2].Attributes[0].Tensor.Dims = []int64{2} }, "int64[2] expects 16 bytes, has 8"},
	"opset too old":       {func(m *onnx.Model) { m.Graph.Nodes[1].Op = "Gelu" }, "Gelu came with opset 20, the model has 17"},
	"too few inputs":      {func(m *onnx.Model) { m.Graph.Nodes[1].Inputs = []string{"xw"} }, "Add with 1 inputs"},
	"too many inputs":     {func(m *onnx.Model) { m.Graph.Nodes[1].Inputs = []string{"xw", "w", "w"} }, "Add with 3 inputs"},
	"a required input":    {func(m *onnx.Model) { m.Graph.Nodes[1].Inputs[1] = "" }, "Add without input 1"},
	"too many outputs":    {func(m *onnx.Model) { m.Graph.Nodes[1].Outputs = []string{"y", "y2"} }, "Add with 2 outputs"},
	"node without output": {func(m *onnx.Model) { m.Graph.Nodes[2].Outputs = nil }, "node 2 (Constant): it has no outputs"},

	"a cycle inside":         {func(m *onnx.Model) { m.Graph.Nodes = append(m.Graph.Nodes, custom(body("out"))) }, "a cycle"},
	"a dangling name inside": {func(m *onnx.Model) { m.Graph.Nodes = append(m.Graph.Nodes, custom(body("nowhere"))) }, "nothing defines"},
	"a later name inside": {func(m *onnx.Model) {
		m.Graph.Nodes = append([]*onnx.Node{custom(body("y"))}, m.Graph.Nodes...)
	}, `node of "out" (Neg): it uses "y", which nothing defines`},
	"weights inside": {func(m *onnx.Model) {
		g := body("x")
		g.Initializers = []*onnx.Tensor{{Name: "v", DataType: onnx.Float, Dims: []int64{3}, External: &onnx.External{Location: "../v"}}}
		m.Graph.Nodes = append(m.Graph.Nodes, custom(g))
	}, `tensor "v": external data "../v": the path leaves`},
	"an op inside": {func(m *onnx.Model) {
		g := body("x")
		g.Nodes[0].Op = "Loop"
		m.Graph.Nodes = append(m.Graph.Nodes, custom(g))
	}, `"Loop" is not an operator that attnx knows`},
	"a name from inside": {func(m *onnx.Model) {
		m.Graph.Nodes = append(m.Graph.Nodes, custom(body("x")), &onnx.Node{Op: "Neg", Inputs: []string{"out"}, Outputs: []string{"o"}})
	}, `it uses "out", which nothing defines`},
}

func TestCheckRefuses(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			m := small()
			c.change(m)
			err := onnx.Check(m, "")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			foreign := strings.Contains(c.want, "not supported") || strings.Contains(c.want, "knows") || strings.Contains(c.want, "2J")
			var unsupported *onnx.UnsupportedError
			if errors.As(err, &unsupported) != foreign {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}
