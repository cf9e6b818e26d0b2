package placement

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// model returns a model with float inputs x and y, one in half precision, int64
// ids and int32 lens, the weights and the nodes; the outputs of the last node are its own.
func model(opset int64, weights []*onnx.Tensor, nodes ...*onnx.Node) *onnx.Model {
	g := &onnx.Graph{Name: "g", Initializers: weights, Nodes: nodes, Inputs: []onnx.ValueInfo{
		{Name: "x", DataType: onnx.Float, NoShape: true}, {Name: "y", DataType: onnx.Float, NoShape: true},
		{Name: "ids", DataType: onnx.Int64, NoShape: true}, {Name: "half", DataType: onnx.Float16, NoShape: true},
		{Name: "lens", DataType: onnx.Int32, NoShape: true},
	}}
	for _, o := range nodes[len(nodes)-1].Outputs {
		g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: o, NoShape: true})
	}
	return &onnx.Model{IRVersion: 10, Graph: g, Opsets: []onnx.Opset{{Domain: "", Version: opset}, {Domain: "com.microsoft", Version: 1}}}
}

// node reads "op a b -> c": the node has the operator's name.
func node(text string, attributes ...onnx.Attribute) *onnx.Node {
	left, right, _ := strings.Cut(text, " -> ")
	words := strings.Fields(left)
	n := &onnx.Node{Op: words[0], Name: strings.ToLower(words[0]), Outputs: strings.Fields(right), Attributes: attributes}
	for _, w := range words[1:] {
		n.Inputs = append(n.Inputs, strings.TrimPrefix(w, "_")) // "_" is an input left out
	}
	return n
}

func microsoft(n *onnx.Node) *onnx.Node {
	n.Domain = "com.microsoft"
	return n
}

// vector is an int64 weight of n elements.
func vector(name string, n int64) *onnx.Tensor {
	return &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{n}, Raw: make([]byte, 8*n)}
}

// The expectations are ONNX Runtime's rules as its source states them; the
// same kinds of graph are in testdata, placed by ONNX Runtime itself.
func TestPlan(t *testing.T) {
	axis, ones := onnx.IntAttr("axis", 0), vector("one", 1)
	ones.Raw[0] = 1
	heads := []onnx.Attribute{onnx.IntAttr("num_heads", 2), onnx.IntAttr("kv_num_heads", 2)}
	for _, c := range []struct {
		name   string
		model  *onnx.Model
		away   string   // the nodes that are not on CUDA, as name:device
		why    string   // of the first of them
		copies []string // op:value
	}{
		{"clean", model(21, nil, node("MatMul x y -> a"), node("Softmax a -> b"), node("Gather b ids -> c")), "", "", nil},
		{"a shape that goes where it is wanted", model(21, []*onnx.Tensor{vector("zero", 1), vector("two", 1)},
			node("Shape x -> s"), node("Reshape y s -> a")), "", "", nil},
		{"no kernel", model(21, nil, node("Softmax x -> a"), node("DynamicQuantizeLinear a -> q qs qz"), node("DequantizeLinear q qs qz -> b")),
			"dynamicquantizelinear:cpu", "CUDA has no kernel for DynamicQuantizeLinear",
			[]string{"MemcpyToHost:a", "MemcpyFromHost:q", "MemcpyFromHost:qs", "MemcpyFromHost:qz"}},
		{"no kernel for the type", model(21, nil, microsoft(node("GroupQueryAttention x x x _ _ lens lens -> a", heads...))),
			"groupqueryattention:cpu", `CUDA has no kernel for GroupQueryAttention with T float ("x"), only with bfloat16, float16`, nil},
		{"the same in half precision", model(21, nil, microsoft(node("GroupQueryAttention half half half half half lens lens -> a", heads...))), "", "", []string{"MemcpyFromHost:lens"}},
		{"neither provider has it", model(21, nil, node("Cast x -> i", onnx.IntAttr("to", int64(onnx.Int64))), node("Relu i -> b")),
			"relu:none", `CUDA has no kernel for Relu with T int64 ("i"), only with bfloat16, double, float, float16; the CPU has no kernel`,
			[]string{"MemcpyToHost:i"}},
		{"no kernel for an output's type", model(21, nil, node("LayerNormalization x x -> a mean", onnx.IntAttr("stash_type", int64(onnx.Double)))),
			"layernormalization:none", `not valid with the operators of ONNX Runtime 1.30.0: "mean" is double, which LayerNormalization-17 does not take`, nil},
		{"which is not asked of an output left out", model(21, nil, node("LayerNormalization x x -> a", onnx.IntAttr("stash_type", int64(onnx.Double)))), "", "", nil},
		{"strings", model(21, nil, node("Cast x -> a", onnx.IntAttr("to", int64(onnx.String)))), "cast:cpu", "CUDA refuses it: it makes strings", nil},
		{"shape arithmetic is pulled", model(21, []*onnx.Tensor{vector("one", 1)},
			node("Shape x -> s"), node("Concat s one -> t", axis), node("Reshape y t -> a")),
			"concat:cpu", "pulled to the CPU: it only works on shapes, which are in the CPU's memory", nil},
		{"and what it makes is copied", model(21, []*onnx.Tensor{vector("one", 1)},
			node("Shape x -> s"), node("Concat s one -> t", axis), node("Neg y -> n"), node("Gather n t -> a")),
			"concat:cpu", "pulled", []string{"MemcpyFromHost:t"}},
		{"a large weight keeps it", model(21, []*onnx.Tensor{vector("large", 101)},
			node("Shape x -> s"), node("Concat s large -> t", axis), node("Reshape y t -> a")),
			"", "", []string{"MemcpyFromHost:s", "MemcpyToHost:t"}},
		{"a weight of the last size does not", model(21, []*onnx.Tensor{vector("small", 100)},
			node("Shape x -> s"), node("Concat s small -> t", axis), node("Reshape y t -> a")), "concat:cpu", "pulled", nil},
		{"nor does an input of the graph", model(21, nil, node("Shape x -> s"), node("Concat s ids -> t", axis), node("Reshape y t -> a")),
			"concat:cpu", "pulled", nil},
		{"a Constant is a weight", model(21, nil, node("Constant -> one", onnx.TensorAttr("value", vector("", 1))),
			node("Shape x -> s"), node("Concat s one -> t", axis), node("Reshape y t -> a")), "concat:cpu", "pulled", nil},
		{"half precision is not pulled", model(21, nil, node("Shape x -> s"), node("Cast s -> h", onnx.IntAttr("to", int64(onnx.Float16))),
			node("Add h half -> a")), "cast:cpu", "pulled", []string{"MemcpyFromHost:h"}},
		{"an input left out keeps it", model(21, []*onnx.Tensor{ones},
			node("Shape x -> s"), node("Slice s one one _ one -> t"), node("Reshape y t -> a")), "", "", []string{"MemcpyFromHost:s", "MemcpyToHost:t"}},
		{"an input of the graph for both", model(21, nil, node("Gather x ids -> a"), node("Reshape a ids -> b")), "", "", []string{"MemcpyFromHost:ids"}},
		{"an unknown type", model(21, nil, node("Softmax nowhere -> a")), "softmax:unknown", `the element type of "nowhere" is not known: declare it in the graph`, nil},
		{"an unknown domain", model(21, nil, &onnx.Node{Op: "Neg", Name: "neg", Domain: "of.ours", Inputs: []string{"x"}, Outputs: []string{"a"}}),
			"neg:unknown", `the table has no operators of domain "of.ours"`, nil},
		{"an operator younger than the opset", model(17, nil, node("Gelu x -> a")), "gelu:none", "not valid with the operators of ONNX Runtime 1.30.0: the model's opset has no Gelu", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Plan(c.model)
			if err != nil {
				t.Fatal(err)
			}
			var away, copies []string
			why := ""
			for _, n := range r.Nodes {
				if n.Device == OnCUDA {
					continue
				}
				if away == nil {
					why = n.Why
				}
				away = append(away, n.Node+":"+n.Device)
			}
			for _, c := range r.Copies {
				copies = append(copies, c.Op+":"+c.Value)
			}
			if got := strings.Join(away, " "); got != c.away {
				t.Errorf("not on CUDA: %s, want %s", got, c.away)
			}
			if !strings.HasPrefix(why, c.why) {
				t.Errorf("because %q, want %q", why, c.why)
			}
			if !slices.Equal(copies, c.copies) {
				t.Errorf("copies %v, want %v", copies, c.copies)
			}
			if r.Clean() != (c.away == "" && len(c.copies) == 0) {
				t.Errorf("clean: %v", r.Clean())
			}
		})
	}
}

// A kernel without a last version takes its first only; that is the trap of
// new opsets. In the version of the table CUDA has every version of what attnx
// writes, so the kernels here are made up: Reshape as CUDA had it once.
func TestOpsetAboveTheKernels(t *testing.T) {
	f, err := parse("version\t1.0\nopset\tai.onnx\t24\n" +
		"kernel\tcuda\tai.onnx\tReshape\t14\t20\tT=float\t1\t\nkernel\tcuda\tai.onnx\tReshape\t21\t\tT=float\t1\t\n" +
		"kernel\tcpu\tai.onnx\tReshape\t21\t24\tT=float\t\t\n" +
		"without\tai.onnx\tReshape\t19\nwithout\tai.onnx\tReshape\t23\nop\tai.onnx\tReshape\t24\t\tdata:T;shape:int64\treshaped:T\t\tT=float\n")
	if err != nil {
		t.Fatal(err)
	}
	for opset, want := range map[int64]string{
		14: "", 20: "", 21: "", 23: "",
		13: "CUDA has no kernel for Reshape",
		24: "CUDA has no kernel for Reshape-24, only for 14-20, 21",
	} {
		p, err := newPlanner(f, model(opset, nil, node("Reshape x ids -> a")))
		if err != nil {
			t.Fatal(err)
		}
		p.kernel(0)
		if got := p.nodes[0].Why; (want == "") != (p.nodes[0].Device == OnCUDA) || opset != 13 && got != want {
			t.Errorf("opset %d: %s, %q, want %q", opset, p.nodes[0].Device, got, want)
		}
	}
	var unsupported *onnx.UnsupportedError
	if _, err := newPlanner(f, model(25, nil, node("Reshape x ids -> a"))); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "opens, 24") {
		t.Errorf("an opset newer than the table: %v", err)
	}
}

func TestGraphInANode(t *testing.T) {
	n := node("If x -> a", onnx.Attribute{Name: "then_branch", Type: onnx.AttrGraph, Graph: &onnx.Graph{}})
	var unsupported *onnx.UnsupportedError
	if _, err := Plan(model(21, nil, n)); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "If holds a graph") {
		t.Errorf("%v", err)
	}
}

// Facts of docs/OperatorKernels.md of ONNX Runtime 1.24 and of the kernels'
// registrations. Later versions add types, so both are reported: types that are
// there, and types whose absence decided how attnx exports.
func TestLookup(t *testing.T) {
	for _, c := range []struct {
		provider   Provider
		domain, op string
		variable   string
		has, lacks string
	}{
		{CUDA, "com.microsoft", "GroupQueryAttention", "T", "bfloat16 float16", "float"},
		{CPU, "com.microsoft", "GroupQueryAttention", "T", "float float16", "bfloat16"},
		{CUDA, "com.microsoft", "SkipLayerNormalization", "T", "bfloat16 float float16", ""},
		{CPU, "com.microsoft", "SkipLayerNormalization", "T", "double float float16", ""},
		{CUDA, "com.microsoft", "BiasGelu", "T", "bfloat16 double float float16", ""},
		{CPU, "com.microsoft", "BiasGelu", "T", "float", "float16"},
		{CPU, "com.microsoft", "FastGelu", "T", "float", "float16"},
		{CUDA, "com.microsoft", "FusedMatMul", "T", "bfloat16 double float float16", ""},
		{CPU, "com.microsoft", "MatMulNBits", "T1", "float float16", ""},
		{CUDA, "com.microsoft", "Attention", "T", "bfloat16 float float16", ""},
		{CUDA, "com.microsoft", "MultiHeadAttention", "T", "bfloat16 float float16", ""},
		{CPU, "com.microsoft", "MultiHeadAttention", "T", "float", ""},
		{CPU, "ai.onnx", "Softmax", "T", "double float", "float16"},
		{CUDA, "", "MatMulInteger", "T1", "int8", "uint8"},
		{CUDA, "", "DynamicQuantizeLinear", "T1", "", "float"},
	} {
		var types []string
		for _, k := range Lookup(c.provider, c.domain, c.op) {
			types = append(types, k.Types[c.variable]...)
		}
		for _, want := range strings.Fields(c.has) {
			if !slices.Contains(types, want) {
				t.Errorf("%s %s takes %v, not %s", c.provider, c.op, types, want)
			}
		}
		for _, no := range strings.Fields(c.lacks) {
			if slices.Contains(types, no) {
				t.Errorf("%s %s takes %v, even %s", c.provider, c.op, types, no)
			}
		}
	}
	host := map[string]string{"Shape": "[] [0]", "Reshape": "[1] []", "Slice": "[1 2 3 4] []", "Range": "[0 1 2] []"}
	for op, want := range host {
		list := Lookup(CUDA, "", op)
		k := list[len(list)-1]
		if got := fmt.Sprint(k.HostInputs, " ", k.HostOutputs); got != want {
			t.Errorf("%s: in the CPU's memory %s, want %s", op, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, line := range []string{"", "kernel\tcuda", "kernel\tcuda\t\tNeg\tsix\t\t\t\t", "kernel\tcuda\t\tNeg\t6\tx\t\t\t",
		"kernel\tcuda\t\tNeg\t6\t\t\tx\t", "kernel\tcuda\t\tNeg\t6\t\t\t\tx", "opset\t\tx", "op\t\tNeg\tx\t\t",
		"op\t\tNeg\t1\t\ta\t\t\t", "without\t\tNeg\tx"} {
		if _, err := parse("version\t1.0\n" + line + "\n"); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestWriteText(t *testing.T) {
	r, err := Plan(model(21, []*onnx.Tensor{vector("one", 1)}, node("Shape x -> s"), node("Concat s one -> t", onnx.IntAttr("axis", 0)),
		node("Neg y -> n"), node("Gather n t -> a"), node("Softmax nowhere -> b")))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.WriteText(&b, "m.onnx"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"concat +Concat +cpu +pulled", "MemcpyFromHost +t +concat +gather\n",
		"m.onnx: 3 of 5 nodes on CUDA, 1 on the CPU, 1 copies \\(kernels of ONNX Runtime " + Version() + "\\)\n", "1 nodes have no known place"} {
		if !matches(want, b.String()) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// Nodes that ONNX Runtime 1.30 does not open, each for one reason.
// fixtures/oracle/check_plans.py asks it about the same kinds of node.
func TestPlanRefused(t *testing.T) {
	weight := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{5, 4}, Raw: make([]byte, 80)}
	whole := &onnx.Tensor{Name: "whole", DataType: onnx.Int64, Dims: []int64{2, 3}, Raw: make([]byte, 48)}
	shaped := func(m *onnx.Model) *onnx.Model { // x is (2,3)
		m.Graph.Inputs[0].NoShape, m.Graph.Inputs[0].Dims = false, []onnx.Dim{{Value: 2}, {Value: 3}}
		return m
	}
	axis := func(v int64) onnx.Attribute { return onnx.IntAttr("axis", v) }
	declared := model(21, nil, node("Relu x -> a"))
	declared.Graph.Outputs[0].DataType = onnx.Int64
	for why, m := range map[string]*onnx.Model{
		`"x" is float and "whole" is int64, Add-14 takes one type`:  model(21, []*onnx.Tensor{whole}, node("Add x whole -> a")),
		`Clip-13 has no attribute "max"`:                            model(21, nil, node("Clip x -> a", onnx.FloatAttr("max", 1))),
		`Squeeze-21 has no attribute "axes"`:                        model(21, nil, node("Squeeze x -> a", onnx.IntsAttr("axes", 0))),
		`Attention-24 has no attribute "left_window_size"`:          model(25, nil, node("Attention x x x -> a", onnx.IntAttr("left_window_size", 2))),
		`ReduceMean-13 has 1 inputs, the node has 2`:                model(17, nil, node("ReduceMean x ids -> a")),
		`Clip-13 needs input 0 (input)`:                             model(21, nil, node("Clip _ x -> a")),
		`attribute "axis" is of type float, Concat-13 has type int`: model(21, nil, node("Concat x y -> a", onnx.FloatAttr("axis", 0))),
		`attribute "to" is missing`:                                 model(21, nil, node("Cast x -> a")),
		`"ids" is int64, which Sqrt-13 does not take`:               model(21, nil, node("Sqrt ids -> a")),
		`"x" is float, Reshape-21 takes int64 there`:                model(21, nil, node("Reshape x x -> a")),
		`axis 5 of "x", which has 2 axes`:                           shaped(model(21, nil, node("Gather x ids -> a", axis(5)))),
		`axis -3 of "x", which has 2 axes`:                          shaped(model(21, nil, node("Softmax x -> a", axis(-3)))),
		`perm [0 1 2] of a value with 2 axes`:                       shaped(model(21, nil, node("Transpose x -> a", onnx.IntsAttr("perm", 0, 1, 2)))),
		`the first factor has 3 columns, the second 5 rows`:         shaped(model(21, []*onnx.Tensor{weight}, node("MatMul x w -> a"))),
		`inputs of the sizes 3 and 4 on axis 1`:                     shaped(model(21, []*onnx.Tensor{weight}, node("Concat x w -> a", axis(0)))),
		`sizes 2 and 5 do not broadcast`:                            shaped(model(21, []*onnx.Tensor{weight}, node("Add x w -> a"))),
		`its output "a" is float, the file declares int64`:          declared,
		`the model's opset has no Scatter`:                          model(21, nil, node("Scatter x ids x -> a")),
		`a Constant has one value, this one has 2`:                  model(21, nil, node("Constant -> a", onnx.FloatAttr("value_float", 1), onnx.IntAttr("value_int", 1))),
		`Split-18 has 1 or more outputs, the node has 0`:            model(21, nil, node("Relu x -> a"), node("Split x")),
	} {
		r, err := Plan(m)
		if err != nil {
			t.Errorf("%s: %v", why, err)
			continue
		}
		last := r.Nodes[len(r.Nodes)-1]
		if r.Clean() || last.Device != OnNothing || last.Why != "not valid with the operators of ONNX Runtime 1.30.0: "+why {
			t.Errorf("%s, %q, want %q", last.Device, last.Why, why)
		}
	}
	for n, m := range map[int]*onnx.Model{ // nodes whose shapes are not known to be valid
		0: shaped(model(21, nil, node("Relu x -> a"), node("Softmax x -> b"))),
		1: model(21, nil, node("Relu x -> a"), node("Softmax a -> b")),
		2: shaped(model(21, nil, node("Reshape x ids -> a"), node("Add a x -> b"))),
	} {
		if r, err := Plan(m); err != nil || r.Unchecked != n {
			t.Errorf("%d unchecked, want %d: %v", r.Unchecked, n, err)
		}
	}
	newer := model(21, nil, node("Relu x -> a"))
	newer.IRVersion = 14
	if _, err := Plan(newer); err == nil || !strings.Contains(err.Error(), "IR version 14 is newer than the last that ONNX Runtime 1.30.0 opens, 13") {
		t.Errorf("IR 14: %v", err)
	}
}
