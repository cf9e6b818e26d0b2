package read_test

import (
	"encoding/binary"
	"errors"
	"math"
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

// A number that an operator rounds decides sizes while reading, but the graph takes the
// operator: its rounding is a runtime's own. An exact number stays one.
func TestRoundedNumbers(t *testing.T) {
	number := func(name string, x float32) *onnx.Tensor {
		return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: []int64{1}, Raw: binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))}
	}
	m := modelOf(
		op("Exp", "e", "third"), op("Neg", "minus", "e"), op("Unsqueeze", "e2", "minus", "zero"), op("Mul", "scaled", "x", "e2"), // -e^(1/3)
		op("Sqrt", "eight", "64"), op("Div", "eighth", "one", "eight"), op("Mul", "y", "scaled", "eighth"),
		op("Log", "l", "64"), op("Ceil", "c", "l"), with(op("Cast", "rows", "c"), onnx.IntAttr("to", int64(onnx.Int64))), // log 64 = 4.2
		with(op("Concat", "size", "rows", "one1", "one1"), onnx.IntAttr("axis", 0)), op("Expand", "five", "y", "size"),
		op("Identity", "same", "l"), op("Identity", "same2", "l"),
	)
	m.Graph.Initializers = []*onnx.Tensor{number("third", 1.0/3), number("64", 64), number("one", 1), int64s("zero", 0), int64s("one1", 1)}
	m.Graph.Outputs = []onnx.ValueInfo{{Name: "five"}, {Name: "same"}, {Name: "same2"}}
	r, err := read.Model(m, read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var sb strings.Builder
	if err := graph.Print(&sb, r.Graph); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"e F32(1) = Exp(third)", "minus F32(1) = Neg(e)", "e2 F32(1,1) = ", "five F32(5,batch_size,4) = ", "eighth F32(1) = Param", "l F32(1) = Log(64)", "same F32(1) = Identity(l)"} {
		if strings.Count(sb.String(), want) != 1 {
			t.Errorf("no %q in\n%s", want, &sb)
		}
	}
	for _, none := range []string{"Sqrt", "Div", "Ceil"} {
		if strings.Contains(sb.String(), none) {
			t.Errorf("%s is recorded:\n%s", none, &sb)
		}
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
		"recursion":    {modelOf(&onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}}), []*onnx.Function{forever}, true, []string{"calls itself"}},
		"blow-up":      {modelOf(&onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}}), []*onnx.Function{&branching, twice}, true, []string{"calls itself"}},
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
	var beyond *read.BoundError
	if !errors.As(err, &unsupported) || !errors.As(err, &beyond) || !math.IsInf(beyond.Rounds, 1) || !strings.Contains(err.Error(), `node "y": Loop: it never ends`) {
		t.Error(err)
	}
}

// Endless refuses what constants decide, and nothing that data decide or that does not
// run.
func TestEndless(t *testing.T) {
	number := func(name string, v int64) *onnx.Tensor {
		return &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{}, Raw: binary.LittleEndian.AppendUint64(nil, uint64(v))}
	}
	truth := func(name string, v byte) *onnx.Tensor {
		return &onnx.Tensor{Name: name, DataType: onnx.Bool, Dims: []int64{}, Raw: []byte{v}}
	}
	body := func(condition *onnx.Node, nodes ...*onnx.Node) *onnx.Graph {
		return &onnx.Graph{
			Inputs:  []onnx.ValueInfo{input("i", onnx.Int64), input("going", onnx.Bool), input("s", onnx.Float)},
			Nodes:   append([]*onnx.Node{condition, op("Neg", "next", "s")}, nodes...),
			Outputs: []onnx.ValueInfo{{Name: "still"}, {Name: "next"}},
		}
	}
	goesOn := op("Identity", "still", "going")
	loop := func(count, condition string, b *onnx.Graph) *onnx.Node {
		return with(op("Loop", "y", count, condition, "x"), onnx.Attribute{Name: "body", Type: onnx.AttrGraph, Graph: b})
	}
	branches := func(first, second *onnx.Node) *onnx.Node {
		of := func(n *onnx.Node) *onnx.Graph {
			return &onnx.Graph{Nodes: []*onnx.Node{n}, Outputs: []onnx.ValueInfo{{Name: "y"}}}
		}
		return with(op("If", "z", "b"), onnx.Attribute{Name: "then_branch", Type: onnx.AttrGraph, Graph: of(first)}, onnx.Attribute{Name: "else_branch", Type: onnx.AttrGraph, Graph: of(second)})
	}
	ten := loop("ten", "", body(goesOn))
	for _, c := range []struct {
		name   string
		node   *onnx.Node
		rounds float64 // 0: not refused
	}{
		{"no count", loop("", "", body(goesOn)), math.Inf(1)},
		{"a true constant", loop("", "yes", body(op("Identity", "still", "yes"))), math.Inf(1)},
		{"a false constant", loop("", "no", body(goesOn)), 0},
		{"ends after a round", loop("", "", body(op("Identity", "still", "no"))), 0},
		{"data decide", loop("", "", body(op("Less", "still", "s", "x"))), 0},
		{"the first condition is data", loop("", "b", body(goesOn)), 0},
		{"the largest count, and data", loop("most", "", body(op("Less", "still", "s", "x"))), 0},
		{"the largest count", loop("most", "", body(goesOn)), math.MaxInt64},
		{"ten", ten, 0},
		{"many in many", loop("many", "", body(goesOn, loop("many", "", body(goesOn)))), 1e12},
		{"many in data", loop("", "", body(op("Less", "still", "s", "x"), loop("many", "", body(goesOn)))), 0},
		{"endless in data", loop("", "b", body(goesOn, loop("", "", body(goesOn)))), 0},
		{"one branch ends", branches(ten, loop("", "", body(goesOn))), 0},
		{"no branch ends", branches(loop("", "", body(goesOn)), loop("most", "", body(goesOn))), math.Inf(1)},
	} {
		m := modelOf(c.node)
		m.Graph.Initializers = append(m.Graph.Initializers, number("ten", 10), number("many", 1e6), number("most", math.MaxInt64), truth("yes", 1), truth("no", 0))
		err := read.Endless(m)
		var beyond *read.BoundError
		if c.rounds == 0 {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if !errors.As(err, &beyond) || beyond.Rounds != c.rounds || beyond.Node == "" {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(c.name, "data") && !read.HasLoop(m) {
			t.Errorf("%s: no loop", c.name)
		}
	}
}
