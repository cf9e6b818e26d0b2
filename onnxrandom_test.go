package attnx

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/runtime"
)

// truth is a truth value in a file.
func truth(name string, v byte) *onnx.Tensor {
	return &onnx.Tensor{Name: name, DataType: onnx.Bool, Dims: []int64{}, Raw: []byte{v}}
}

// truthNode is a Constant with a truth value.
func truthNode(name string, v byte) *onnx.Node {
	return hostileNode("Constant", name, []onnx.Attribute{onnx.TensorAttr("value", truth("", v))})
}

// A shape of what is drawn, and a shape that the draws decide, keep no other output from
// being compared with the oracle.
func TestVerifyShapesOfDraws(t *testing.T) {
	half := &onnx.Tensor{Name: "half", DataType: onnx.Float, Dims: []int64{}, Raw: []byte{0, 0, 0, 0x3f}}
	m := hostileModel([]*onnx.Tensor{half}, hostileNode("RandomUniformLike", "u", nil, "x"), hostileNode("Shape", "s", nil, "u"),
		hostileNode("Greater", "above", nil, "u", "half"), hostileNode("NonZero", "places", nil, "above"), hostileNode("Shape", "count", nil, "places"), hostileNode("Neg", "y", nil, "x"))
	for _, name := range []string{"s", "count"} {
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: name, DataType: onnx.Int64, NoShape: true})
	}
	r := verifiedIn(t, "ort-cpu", saved(t, filepath.Join(t.TempDir(), "m.onnx"), m))
	if r.Verdict != runtime.Pass || r.Oracle != runtime.OracleName {
		t.Errorf("%s against %s: %s; %q", r.Verdict, r.Oracle, r.Reason, r.Notes)
	}
	for _, name := range []string{`output "s": it depends`, `output "count": it depends`} {
		if !slices.ContainsFunc(r.Coverage.LeftOut, func(left string) bool { return strings.HasPrefix(left, name) }) {
			t.Errorf("left out: %q, without %s", r.Coverage.LeftOut, name)
		}
	}
}

// A dropout in a function that does nothing leaves the file's outputs to be compared.
func TestVerifyIdleDropoutInFunction(t *testing.T) {
	m := hostileModel(nil, &onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}})
	m.Functions = []*onnx.Function{{Name: "F", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Version: 21}},
		Nodes: []*onnx.Node{truthNode("no", 0), hostileNode("Dropout", "b", nil, "a", "", "no")}}}
	if r := verifiedIn(t, "ort-cpu", saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)); r.Verdict != runtime.Pass || r.Oracle != runtime.OracleName {
		t.Errorf("%s against %s: %s; %q", r.Verdict, r.Oracle, r.Reason, r.Notes)
	}
}

// A name means what its own graph or function says, an operator what its domain and the
// version that is imported there say.
func TestRandomOutputsOfScopes(t *testing.T) {
	dropout := func(out, in, mode string) *onnx.Node { return hostileNode("Dropout", out, nil, in, "", mode) }
	branch := func(nodes ...*onnx.Node) *onnx.Graph {
		return &onnx.Graph{Nodes: nodes, Outputs: []onnx.ValueInfo{{Name: nodes[len(nodes)-1].Outputs[0]}}}
	}
	cond := func(out string, yes, no *onnx.Graph) *onnx.Node {
		return hostileNode("If", out, []onnx.Attribute{{Name: "then_branch", Graph: yes}, {Name: "else_branch", Graph: no}}, "c")
	}
	of := func(domain, op, out string) *onnx.Node {
		return &onnx.Node{Op: op, Domain: domain, Inputs: []string{"x"}, Outputs: []string{out}}
	}
	function := func(name string, version int64, nodes ...*onnx.Node) *onnx.Function {
		return &onnx.Function{Name: name, Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Version: version}}, Nodes: nodes}
	}
	m := hostileModel([]*onnx.Tensor{truth("t", 1), truth("f", 0)},
		cond("siblings", branch(truthNode("m", 0), dropout("p", "x", "m")), branch(truthNode("m", 1), dropout("q", "x", "m"))),
		cond("idle", branch(truthNode("m", 0), dropout("p", "x", "m")), branch(dropout("q", "x", "f"))),
		cond("shadowed", branch(truthNode("t", 0), dropout("p", "x", "t")), branch(truthNode("t", 0), dropout("q", "x", "t"))),
		cond("shadowing", branch(truthNode("f", 1), dropout("p", "x", "f")), branch(dropout("q", "x", "f"))),
		of("my", "Idle", "function idle"), of("my", "Trains", "function trains"), of("my", "Given", "function given"), of("my", "Old", "function old"), of("my", "Test", "function test"),
		of("my", "Sampling", "other sampling"), of("my", "Bernoulli", "other bernoulli"), of(onnx.Microsoft, "Sampling", "sampling"), of("ai.onnx", "Bernoulli", "bernoulli"))
	m.Functions = []*onnx.Function{
		function("Idle", 21, truthNode("no", 0), dropout("b", "a", "no")),
		function("Trains", 21, truthNode("f", 1), dropout("b", "a", "f")),
		function("Given", 21, dropout("b", "a", "f")), // the function does not see the graph's f
		function("Old", 6, hostileNode("Dropout", "b", nil, "a")),
		function("Test", 6, hostileNode("Dropout", "b", []onnx.Attribute{onnx.IntAttr("is_test", 1)}, "a")),
	}
	m.Graph.Outputs = nil
	for _, n := range m.Graph.Nodes {
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: n.Outputs[0]})
	}
	var got []string
	for name := range randomOutputs(m) {
		got = append(got, name)
	}
	slices.Sort(got)
	if want := []string{"bernoulli", "function given", "function old", "function trains", "sampling", "shadowing", "siblings"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Draws of either file are no difference, and what neither draws has its bound.
func TestCompareONNXThatDraws(t *testing.T) {
	graph := func(mode byte, last string) *onnx.Model {
		m := hostileModel([]*onnx.Tensor{truth("mode", mode)}, hostileNode("Dropout", "z", nil, "x", "", "mode"), hostileNode(last, "y", nil, "x"))
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "z", DataType: onnx.Float, NoShape: true})
		return m
	}
	dir := t.TempDir()
	idle, trains := saved(t, filepath.Join(dir, "idle.onnx"), graph(0, "Sin")), saved(t, filepath.Join(dir, "trains.onnx"), graph(1, "Tanh"))
	for _, c := range []struct{ first, second, says string }{
		{idle, trains, "node z (Dropout) of the second file"},
		{trains, idle, "node z (Dropout) draws"},
	} {
		x, err := CompareONNX(context.Background(), c.first, c.second, DiffOptions{Options: Options{Runtime: "ort"}, Seed: 1})
		if unavailable := new(runtime.UnavailableError); errors.As(err, &unavailable) {
			t.Skip(err)
		}
		noError(t, err)
		if len(x.Numbers.Outputs) != 2 || x.Numbers.Reason != "" {
			t.Fatalf("%+v", x.Numbers)
		}
		if y := x.Numbers.Outputs[0]; y.Status != OutputDiffers || !(y.OfBound > 100) {
			t.Errorf("an output without draws: %+v", y)
		}
		z := x.Numbers.Outputs[1]
		if z.Status != OutputNotCompared || !math.IsNaN(float64(z.MaxAbs)) || !strings.Contains(z.Reason, c.says) {
			t.Errorf("an output that %s decides: %+v", c.says, z)
		}
		text, err := json.Marshal(z)
		noError(t, err)
		if !strings.Contains(string(text), `"status":"not compared"`) || strings.Contains(string(text), `"within"`) {
			t.Errorf("%s", text)
		}
	}
}
