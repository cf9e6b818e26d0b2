package attnx

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/runtime"
)

// dataLoop returns a model that doubles |x|+1 until its sum reaches a limit: only data say how
// often. Its second output is one of the loop's values, computed by the given operator.
func dataLoop(last string) *onnx.Model {
	body := bodyOf("n", hostileNode("Mul", "n", nil, "n_s", "two"), hostileNode("ReduceSum", "sum", []onnx.Attribute{onnx.IntAttr("keepdims", 0)}, "n"), hostileNode("Less", "on", nil, "sum", "limit"))
	body.Outputs[0].Name = "on"
	number := func(name string, bits ...byte) *onnx.Tensor {
		return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: []int64{}, Raw: bits}
	}
	return hostileModel([]*onnx.Tensor{number("two", 0, 0, 0, 0x40), number("one", 0, 0, 0x80, 0x3f), number("limit", 0, 0, 0xc8, 0x42)},
		hostileNode("Abs", "a", nil, "x"), hostileNode("Add", "b", nil, "a", "one"), loopOf("l", "", "b", body), hostileNode(last, "y", nil, "l"))
}

// Runtimes are compared with each other where there is no oracle, which is never a pass.
func TestVerifyWithoutOracle(t *testing.T) {
	dir := t.TempDir()
	path := saved(t, filepath.Join(dir, "loop.onnx"), dataLoop("Neg"))
	r := verifiedIn(t, "ort-cpu", path)
	if r.Verdict != runtime.Fail || r.Oracle != "ort-cpu (disabled)" || !strings.Contains(r.Reason, "no oracle") {
		t.Errorf("%s against %s: %s", r.Verdict, r.Oracle, r.Reason)
	}
	if len(r.Results) != 2 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], `node "l": Loop`) {
		t.Errorf("%d results, notes %q", len(r.Results), r.Notes)
	}
	for _, x := range r.Results {
		if x.Status != runtime.StatusUncertified || x.Cases != 4 || math.IsNaN(float64(x.MaxAbs)) || !math.IsNaN(float64(x.BoundRatio)) || x.Closest != "" {
			t.Errorf("%+v", x)
		}
	}
	receipt := filepath.Join(dir, "r.json")
	if r, err := VerifyWithReceipt(context.Background(), []string{path}, receipt, nil, nil, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1}); err != nil || r.Verdict != runtime.Fail {
		t.Errorf("%s, %v", r.Verdict, err)
	}
	if _, err := os.Stat(receipt); err == nil {
		t.Error("there is a receipt of what no oracle judged")
	}

	r = verifiedIn(t, "ort-cpu", path, saved(t, filepath.Join(dir, "other.onnx"), dataLoop("Abs")))
	if r.Verdict != runtime.Fail || !strings.Contains(r.Reason, "other.onnx ort-cpu (disabled)") || !strings.Contains(r.Reason, "no oracle says which is right") {
		t.Errorf("another file: %s: %s", r.Verdict, r.Reason)
	}
	if x := r.Results[len(r.Results)-1]; x.Status != runtime.StatusFail || !strings.Contains(x.Reason, "ort-cpu (disabled) says -") {
		t.Errorf("another file: %s: %s", x.Status, x.Reason)
	}

	// What was recorded judges it, as before.
	saved(t, filepath.Join(dir, "set", "model.onnx"), dataLoop("Neg"))
	recordedTensor(t, filepath.Join(dir, "set", "test_data_set_0", "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
	recordedTensor(t, filepath.Join(dir, "set", "test_data_set_0", "output_0.pb"), "y", []int{2, 2}, -16, -24, -32, -40)
	if r = verifiedIn(t, "ort-cpu", filepath.Join(dir, "set")); r.Verdict != runtime.Pass || r.Oracle != recordedOutputs {
		t.Errorf("recorded: %s against %s: %s", r.Verdict, r.Oracle, r.Reason)
	}
}

// A file that nothing runs is refused by what the oracle does not read, and by the runtime.
func TestNothingReadsIt(t *testing.T) {
	m := hostileModel(nil, &onnx.Node{Op: "Foo", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}})
	_, err := VerifyONNX(context.Background(), []string{saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)}, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1})
	if err == nil || !strings.Contains(err.Error(), "my.Foo") || !strings.Contains(err.Error(), "no runtime runs it: ort-cpu (disabled)") {
		t.Error(err)
	}
}

// wordsModel gives words and numbers for words.
func wordsModel() *onnx.Model {
	texts := func(name string, words ...string) onnx.Attribute {
		a := onnx.Attribute{Name: name, Type: onnx.AttrStrings}
		for _, w := range words {
			a.Strings = append(a.Strings, []byte(w))
		}
		return a
	}
	numbers := onnx.Attribute{Name: "values_int64s", Type: onnx.AttrInts, Ints: []int64{1, 2}}
	keys := onnx.Attribute{Name: "keys_int64s", Type: onnx.AttrInts, Ints: []int64{1, 2}}
	encode := &onnx.Node{Op: "LabelEncoder", Domain: "ai.onnx.ml", Inputs: []string{"s"}, Outputs: []string{"k"}, Attributes: []onnx.Attribute{texts("keys_strings", "the", "cat"), numbers}}
	decode := &onnx.Node{Op: "LabelEncoder", Domain: "ai.onnx.ml", Inputs: []string{"k"}, Outputs: []string{"w"}, Attributes: []onnx.Attribute{keys, texts("values_strings", "der", "Kater")}}
	m := hostileModel(nil, encode, decode)
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: "ai.onnx.ml", Version: 2})
	texted := func(name string) onnx.ValueInfo {
		return onnx.ValueInfo{Name: name, DataType: onnx.String, Dims: []onnx.Dim{{Value: 3}}}
	}
	m.Graph.Inputs = []onnx.ValueInfo{texted("s")}
	m.Graph.Outputs = []onnx.ValueInfo{texted("w"), {Name: "k", DataType: onnx.Int64, Dims: []onnx.Dim{{Value: 3}}}}
	return m
}

// recordedWords writes strings as ONNX's tests do.
func recordedWords(t *testing.T, path string, words ...string) {
	t.Helper()
	p := &onnx.Tensor{DataType: onnx.String, Dims: []int64{int64(len(words))}}
	for _, w := range words {
		p.Strings = append(p.Strings, []byte(w))
	}
	recordedProto(t, path, p)
}

// recordedProto writes any tensor as ONNX's tests do.
func recordedProto(t *testing.T, path string, p *onnx.Tensor) {
	t.Helper()
	var b bytes.Buffer
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), p.Encode(&b), os.WriteFile(path, b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
}

// Words are compared: with those that were recorded, or else those of another runtime.
func TestVerifyWords(t *testing.T) {
	dir := t.TempDir()
	saved(t, filepath.Join(dir, "model.onnx"), wordsModel())
	r := verifiedIn(t, "ort-cpu", filepath.Join(dir, "model.onnx"))
	if r.Verdict != runtime.Fail || r.Cases != kindDraws || !strings.Contains(r.Reason, "no oracle") || r.Coverage.Elements.Of != 6*kindDraws {
		t.Errorf("%s: %s; %d cases, %+v", r.Verdict, r.Reason, r.Cases, r.Coverage)
	}
	set := filepath.Join(dir, "test_data_set_0")
	recordedWords(t, filepath.Join(set, "input_0.pb"), "the", "cat", "the")
	recordedWords(t, filepath.Join(set, "output_0.pb"), "der", "Kater", "der")
	recordedProto(t, filepath.Join(set, "output_1.pb"), hostileInts("k", 1, 2, 1))
	if r = verifiedIn(t, "ort-cpu", dir); r.Verdict != runtime.Pass || r.Oracle != recordedOutputs || r.Cases != 1 {
		t.Errorf("%s against %s: %s", r.Verdict, r.Oracle, r.Reason)
	}
	recordedWords(t, filepath.Join(set, "output_0.pb"), "der", "Kater", "Kater")
	r = verifiedIn(t, "ort-cpu", dir)
	if x := r.Results[len(r.Results)-1]; r.Verdict != runtime.Fail || !strings.Contains(x.Reason, `w[2] is "der", recorded is "Kater"`) {
		t.Errorf("%s: %s", r.Verdict, x.Reason)
	}
	if _, err := VerifyONNX(context.Background(), []string{filepath.Join(dir, "model.onnx"), filepath.Join(dir, "model.onnx")}, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), `input "s" is a string`) {
		t.Errorf("two files: %v", err)
	}
}

// What depends on random draws is not compared, and everything else is.
func TestVerifyRandom(t *testing.T) {
	draw := hostileNode("RandomUniformLike", "eps", nil, "x")
	draw.Name = "the draw"
	m := hostileModel(nil, draw, hostileNode("Add", "z", nil, "x", "eps"), hostileNode("Neg", "y", nil, "x"))
	m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "z", DataType: onnx.Float, NoShape: true})
	r := verifiedIn(t, "ort-cpu", saved(t, filepath.Join(t.TempDir(), "m.onnx"), m))
	if r.Verdict != runtime.Pass || r.Oracle != runtime.OracleName || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], `output "z" is not compared: it depends on what node the draw (RandomUniformLike) draws at random`) {
		t.Errorf("%s against %s: %s; %q", r.Verdict, r.Oracle, r.Reason, r.Notes)
	}
	if !slices.Contains(r.Coverage.LeftOut, `output "z": it depends on what node the draw (RandomUniformLike) draws at random`) { // from where a receipt has it
		t.Errorf("left out: %q", r.Coverage.LeftOut)
	}
	other := hostileModel(nil, draw, hostileNode("Add", "z", nil, "x", "eps"), hostileNode("Abs", "y", nil, "x"))
	other.Graph.Outputs = m.Graph.Outputs
	dir := t.TempDir()
	x, err := CompareONNX(context.Background(), saved(t, filepath.Join(dir, "a.onnx"), m), saved(t, filepath.Join(dir, "b.onnx"), other), DiffOptions{Seed: 1})
	if err != nil || len(x.Numbers.Outputs) != 2 {
		t.Fatalf("%v: %+v", err, x)
	}
	if d := x.Numbers.Outputs[1]; d.Status != OutputNotCompared || !math.IsNaN(float64(d.MaxAbs)) || !strings.Contains(d.Reason, "the draw (RandomUniformLike)") {
		t.Errorf("%+v", d)
	}
	m.Graph.Outputs = m.Graph.Outputs[1:]
	_, err = readCompared(saved(t, filepath.Join(t.TempDir(), "m.onnx"), m))
	if random := new(RandomError); !errors.As(err, &random) {
		t.Error(err)
	}
}

// Draws are found in subgraphs, functions and dropouts that train.
func TestRandomOutputs(t *testing.T) {
	draw := func(out string) *onnx.Node { return hostileNode("RandomNormal", out, nil) }
	truth := func(name string, v byte) *onnx.Tensor {
		return &onnx.Tensor{Name: name, DataType: onnx.Bool, Dims: []int64{}, Raw: []byte{v}}
	}
	branch := func(n *onnx.Node) *onnx.Graph {
		return &onnx.Graph{Nodes: []*onnx.Node{n}, Outputs: []onnx.ValueInfo{{Name: n.Outputs[0]}}}
	}
	cond := func(out string, yes, no *onnx.Node) *onnx.Node {
		return hostileNode("If", out, []onnx.Attribute{{Name: "then_branch", Graph: branch(yes)}, {Name: "else_branch", Graph: branch(no)}}, "c")
	}
	call := &onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"f"}}
	m := hostileModel([]*onnx.Tensor{truth("no", 0), truth("yes", 1)}, draw("r"), hostileNode("Shape", "s", nil, "r"), hostileNode("Add", "sum", nil, "x", "r"),
		cond("i", hostileNode("Neg", "p", nil, "x"), draw("q")), cond("j", hostileNode("Neg", "p", nil, "x"), hostileNode("Neg", "q", nil, "r")), cond("k", hostileNode("Neg", "p", nil, "x"), hostileNode("Abs", "q", nil, "x")),
		call, hostileNode("Dropout", "d0", nil, "x", "", "no"), hostileNode("Dropout", "d1", nil, "x", "", "yes"), hostileNode("Dropout", "d2", nil, "x"))
	m.Functions = []*onnx.Function{{Name: "F", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Nodes: []*onnx.Node{draw("b")}}}
	m.Graph.Outputs = nil
	for _, name := range []string{"r", "s", "sum", "i", "j", "k", "f", "d0", "d1", "d2"} {
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: name})
	}
	var got []string
	for name := range randomOutputs(m) {
		got = append(got, name)
	}
	slices.Sort(got)
	if want := []string{"d1", "f", "i", "j", "r", "s", "sum"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
