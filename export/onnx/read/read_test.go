package read_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

func open(name string) onnx.Dim { return onnx.Dim{Open: true, Param: name} }

func input(name string, t onnx.DataType, dims ...onnx.Dim) onnx.ValueInfo {
	return onnx.ValueInfo{Name: name, DataType: t, Dims: dims}
}

func op(name, output string, inputs ...string) *onnx.Node {
	return &onnx.Node{Op: name, Inputs: inputs, Outputs: []string{output}}
}

func with(n *onnx.Node, attrs ...onnx.Attribute) *onnx.Node {
	n.Attributes = attrs
	return n
}

func int64s(name string, v ...int64) *onnx.Tensor {
	t := &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(v))}}
	for _, x := range v {
		for i := range 8 {
			t.Raw = append(t.Raw, byte(x>>(8*i)))
		}
	}
	return t
}

// modelOf returns a model with the input x (n,4) and the output y.
func modelOf(nodes ...*onnx.Node) *onnx.Model {
	return &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}}, Graph: &onnx.Graph{
		Nodes: nodes, Inputs: []onnx.ValueInfo{input("x", onnx.Float, open("batch size"), onnx.Dim{Value: 4})},
		Outputs: []onnx.ValueInfo{{Name: "y"}},
	}}
}

// Sizes are computed as polynomials of the named dimensions, and what the file
// calls things keeps its name.
func TestSizesStaySymbolic(t *testing.T) {
	m := modelOf(
		op("Shape", "shape", "x"), op("Gather", "rows", "shape", "zero"), op("Mul", "all", "rows", "four"),
		op("Reshape", "flat", "x", "all"), op("Neg", "y", "flat"),
	)
	m.Graph.Initializers = []*onnx.Tensor{int64s("zero", 0), int64s("four", 4)}
	r, err := read.Model(m, read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var sb strings.Builder
	if err := graph.Print(&sb, r.Graph); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"x F32(batch_size,4) = Input", "flat F32(4*batch_size) = Reshape(x)", "y F32(4*batch_size) = Neg(flat)", "output y = y"} {
		if !strings.Contains(sb.String(), want) {
			t.Errorf("no %q in\n%s", want, &sb)
		}
	}
	if strings.Contains(sb.String(), "rows") {
		t.Errorf("what is known while reading is recorded:\n%s", &sb)
	}
	if r, err = read.Model(m, read.Options{Sizes: map[string]int{"batch size": 3}}); err != nil || !r.Graph.Outputs[0].Value.Shape.Equal(graph.Numbers(12)) {
		t.Errorf("with sizes: %v, %v", r, err)
	}
}

// A size that is computed from data names what must be given, and is read with it.
func TestOpenSizes(t *testing.T) {
	m := modelOf(op("Reshape", "y", "x", "shape"))
	m.Graph.Inputs = append(m.Graph.Inputs, input("shape", onnx.Int64, onnx.Dim{Value: 2}))
	_, err := read.Model(m, read.Options{})
	var e *read.OpenError
	if !errors.As(err, &e) || len(e.Inputs) != 1 || e.Inputs[0] != "shape" || len(e.Dimensions) != 1 || e.Dimensions[0] != "batch size" {
		t.Fatalf("%v: %+v", err, e)
	}
	values := map[string]format.Tensor{"shape": format.FromInt64s("shape", []int{2}, []int64{4, -1})}
	r, err := read.Model(m, read.Options{Values: values})
	if err != nil || len(r.Fixed) != 1 || r.Graph.Outputs[0].Value.Shape.String() != "(4,batch_size)" {
		t.Errorf("%v, %v", r, err)
	}
}

// Errors name the node and the operator, and say whether the file is broken or
// more than attnx reads.
func TestErrors(t *testing.T) {
	forever := &onnx.Function{Domain: "my", Name: "F", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Domain: "my", Version: 1}},
		Nodes: []*onnx.Node{{Op: "F", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}}}}
	twice := &onnx.Function{Domain: "my", Name: "G", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Version: 21}, {Domain: "my", Version: 1}}}
	previous := "a"
	for i := range 40 { // each level calls the next so often
		name := "b"
		if i < 39 {
			name = "c" + string(rune('A'+i))
		}
		twice.Nodes = append(twice.Nodes, &onnx.Node{Op: "F", Domain: "my", Inputs: []string{previous}, Outputs: []string{name}})
		previous = name
	}
	branching := *forever
	branching.Nodes = []*onnx.Node{{Op: "G", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}}}
	for name, c := range map[string]struct {
		m           *onnx.Model
		functions   []*onnx.Function
		unsupported bool
		says        []string
	}{
		"operator":     {modelOf(op("StringNormalizer", "y", "x")), nil, true, []string{`"y"`, "StringNormalizer", "does not read"}},
		"attribute":    {modelOf(with(op("Softmax", "y", "x"), onnx.IntAttr("other", 1))), nil, true, []string{"Softmax", `"other"`}},
		"input":        {modelOf(op("Neg", "y", "x", "x")), nil, true, []string{"Neg", "input 1"}},
		"no such name": {modelOf(op("Neg", "y", "z")), nil, false, []string{"Neg", `"z"`}},
		"axis":         {modelOf(with(op("Softmax", "y", "x"), onnx.IntAttr("axis", 2))), nil, false, []string{"axis 2"}},
		"recursion":    {modelOf(&onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}}), []*onnx.Function{forever}, true, []string{"depth"}},
		"blow-up":      {modelOf(&onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}}), []*onnx.Function{&branching, twice}, true, []string{"depth"}},
	} {
		c.m.Functions = c.functions
		_, err := read.Model(c.m, read.Options{})
		var unsupported *read.UnsupportedError
		var invalid *read.InvalidError
		if err == nil || errors.As(err, &unsupported) != c.unsupported || errors.As(err, &invalid) == c.unsupported {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %q is not in %v", name, part, err)
			}
		}
	}
}

// A loop without end is refused.
func TestEndlessLoop(t *testing.T) {
	body := &onnx.Graph{
		Inputs:  []onnx.ValueInfo{input("i", onnx.Int64), input("going", onnx.Bool), input("s", onnx.Float)},
		Nodes:   []*onnx.Node{op("Identity", "still", "going"), op("Neg", "next", "s")},
		Outputs: []onnx.ValueInfo{{Name: "still"}, {Name: "next"}},
	}
	loop := with(op("Loop", "y", "", "", "x"), onnx.Attribute{Name: "body", Type: onnx.AttrGraph, Graph: body})
	_, err := read.Model(modelOf(loop), read.Options{})
	var unsupported *read.UnsupportedError
	if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "200000 nodes") {
		t.Error(err)
	}
}
