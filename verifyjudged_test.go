package attnx

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/runtime"
)

// refusedIn returns why files are not verified.
func refusedIn(t *testing.T, paths ...string) string {
	t.Helper()
	r, err := VerifyONNX(context.Background(), paths, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1})
	if err == nil {
		return "it is verified: " + string(r.Verdict)
	}
	return err.Error()
}

// Without an oracle what was recorded judges every output, or the set is refused.
func TestRecordedSetsJudgeAll(t *testing.T) {
	words := t.TempDir()
	saved(t, filepath.Join(words, "model.onnx"), wordsModel())
	recordedWords(t, filepath.Join(words, "test_data_set_0", "input_0.pb"), "the", "cat", "the")
	recordedWords(t, filepath.Join(words, "test_data_set_0", "output_0.pb"), "der", "Kater", "der")
	if got := refusedIn(t, words); !strings.Contains(got, `test_data_set_0: it has no output "k"`) || !strings.Contains(got, "record it too") {
		t.Error(got)
	}
	recordedProto(t, filepath.Join(words, "test_data_set_0", "output_1.pb"), hostileInts("k", 1, 2, 1))
	recordedWords(t, filepath.Join(words, "test_data_set_1", "input_0.pb"), "the", "cat", "cat")
	if got := refusedIn(t, words); !strings.Contains(got, "record the outputs of test_data_set_1 too") {
		t.Error(got)
	}

	numbers := t.TempDir()
	m := dataLoop("Neg")
	m.Graph.Nodes = append(m.Graph.Nodes, hostileNode("Abs", "z", nil, "l"))
	m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "z", DataType: onnx.Float, NoShape: true})
	saved(t, filepath.Join(numbers, "model.onnx"), m)
	recordedTensor(t, filepath.Join(numbers, "test_data_set_0", "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
	recordedTensor(t, filepath.Join(numbers, "test_data_set_0", "output_0.pb"), "y", []int{2, 2}, -16, -24, -32, -40)
	if got := refusedIn(t, numbers); !strings.Contains(got, `test_data_set_0: it has no output "z"`) {
		t.Error(got)
	}

	// No tensor that stands for a sequence is recorded.
	parts := t.TempDir()
	m = dataLoop("Neg")
	m.Graph.Nodes = append(m.Graph.Nodes, hostileNode("SplitToSequence", "s", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "x"))
	m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "s", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, NoShape: true}}})
	saved(t, filepath.Join(parts, "model.onnx"), m)
	recordedTensor(t, filepath.Join(parts, "test_data_set_0", "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
	recordedTensor(t, filepath.Join(parts, "test_data_set_0", "output_0.pb"), "y", []int{2, 2}, -16, -24, -32, -40)
	r := verifiedIn(t, "ort-cpu", parts)
	if r.Verdict != runtime.Pass || len(r.Coverage.LeftOut) != 1 || !strings.HasPrefix(r.Coverage.LeftOut[0], `output "s": `) {
		t.Errorf("%s: %s; left out %q", r.Verdict, r.Reason, r.Coverage.LeftOut)
	}
	if strings.Contains(strings.Join(r.Notes, "\n"), "its elements are compared") {
		t.Errorf("%q", r.Notes)
	}
}

// joinModel gives what a TopK without an order finds, and two texts after one another.
func joinModel() *onnx.Model {
	top := &onnx.Node{Op: "TopK", Inputs: []string{"x", "two"}, Outputs: []string{"v", "p"}, Attributes: []onnx.Attribute{onnx.IntAttr("sorted", 0)}}
	m := hostileModel([]*onnx.Tensor{hostileInts("two", 2)}, top, hostileNode("StringConcat", "w", nil, "s", "s2"))
	text := func(name string) onnx.ValueInfo {
		return onnx.ValueInfo{Name: name, DataType: onnx.String, Dims: []onnx.Dim{{Value: 2}}}
	}
	m.Graph.Inputs = []onnx.ValueInfo{text("s"), text("s2"), {Name: "x", DataType: onnx.Int64, Dims: []onnx.Dim{{Value: 3}}}}
	m.Graph.Outputs = []onnx.ValueInfo{text("w"), {Name: "v", DataType: onnx.Int64, NoShape: true}, {Name: "p", DataType: onnx.Int64, NoShape: true}}
	return m
}

// Recorded values of any kind are taken by name, have the declared kind, and leave open the
// order that the file leaves open.
func TestRecordedKinds(t *testing.T) {
	dir := t.TempDir()
	saved(t, filepath.Join(dir, "model.onnx"), joinModel())
	set := func(name string) string { return filepath.Join(dir, "test_data_set_0", name+".pb") }
	text := func(name string, words ...string) *onnx.Tensor {
		p := &onnx.Tensor{Name: name, DataType: onnx.String, Dims: []int64{int64(len(words))}}
		for _, w := range words {
			p.Strings = append(p.Strings, []byte(w))
		}
		return p
	}
	recordedProto(t, set("input_0"), text("s2", "b", "d"))
	recordedProto(t, set("input_1"), text("s", "a", "c"))
	recordedProto(t, set("input_2"), hostileInts("x", 3, 9, 7))
	recordedProto(t, set("output_0"), text("w", "ab", "cd"))
	recordedProto(t, set("output_1"), hostileInts("v", 7, 9)) // in another order
	recordedProto(t, set("output_2"), hostileInts("p", 2, 1))
	if r := verifiedIn(t, "ort-cpu", dir); r.Verdict != runtime.Pass || r.Oracle != recordedOutputs {
		t.Errorf("%s against %s: %s: %+v", r.Verdict, r.Oracle, r.Reason, r.Results)
	}
	// A value of another kind than its number's is taken by its name too.
	recordedProto(t, set("input_2"), text("s", "a", "c"))
	recordedProto(t, set("input_1"), hostileInts("x", 3, 9, 7))
	if r := verifiedIn(t, "ort-cpu", dir); r.Verdict != runtime.Pass {
		t.Errorf("%s: %s: %+v", r.Verdict, r.Reason, r.Results)
	}
	recordedProto(t, set("input_1"), text("x", "3", "9", "7"))
	if got := refusedIn(t, dir); !strings.Contains(got, `test_data_set_0: input "x": it holds string, and the file declares int64 (3): record that`) {
		t.Error(got)
	}
	recordedProto(t, set("input_1"), hostileInts("x", 3, 9))
	if got := refusedIn(t, dir); !strings.Contains(got, `input "x": its shape is [2], the file takes a`) {
		t.Error(got)
	}
}

// Every runtime that was compared, and how it ended, is in the reason of a file without an
// oracle, and a second file that the oracle does not read ends nothing.
func TestWithoutOracleNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	loop := saved(t, filepath.Join(dir, "loop.onnx"), dataLoop("Neg"))
	shaped := dataLoop("Neg")
	shaped.Graph.Nodes[len(shaped.Graph.Nodes)-1].Outputs[0] = "n"
	shaped.Graph.Initializers = append(shaped.Graph.Initializers, hostileInts("four", 4))
	shaped.Graph.Nodes = append(shaped.Graph.Nodes, hostileNode("Reshape", "y", nil, "n", "four"))
	r := verifiedIn(t, "ort-cpu", loop, saved(t, filepath.Join(dir, "sh.onnx"), shaped))
	if !strings.Contains(r.Reason, "sh.onnx ort-cpu (disabled)") || !strings.Contains(r.Reason, "differ, and no oracle says which is right") {
		t.Error(r.Reason)
	}
	v := onnxVerification{files: []*verified{{}}, report: runtime.Report{Oracle: "ort-cpu (disabled)", Cases: 4, Verdict: runtime.Fail, Reason: "x"}}
	for status, want := range map[runtime.Status]string{
		runtime.StatusFail:        "openvino failed where ort-cpu (disabled) gives outputs",
		runtime.StatusUncertified: "how far openvino may be from ort-cpu (disabled) is not known",
		runtime.StatusMeasured:    "how far openvino may be from ort-cpu (disabled) is not known",
		runtime.StatusUnavailable: "ort-cpu (disabled) is the only runtime that runs it",
	} {
		v.report.Results = []runtime.Result{{Runtime: "openvino", Status: status, Cases: 1, Reason: "node n: no"}}
		if v.unproved(); !strings.Contains(v.report.Reason, want) {
			t.Errorf("%s: %s", status, v.report.Reason)
		}
	}
	v.report.Results = []runtime.Result{{Runtime: "openvino", Against: itsOwnGraph, Status: runtime.StatusOK, Cases: 4, Bound: 2}}
	if v.unproved(); v.report.Results[0].Status != runtime.StatusOK || v.report.Results[0].Bound != 2 {
		t.Errorf("%+v", v.report.Results[0])
	}

	// Integer weights, with a loop and without one.
	for _, looped := range []bool{true, false} {
		q := dataLoop("Neg")
		if !looped {
			q = hostileModel(nil, hostileNode("Neg", "y", nil, "x"))
		}
		q.Graph.Initializers = append(q.Graph.Initializers, &onnx.Tensor{Name: "q", DataType: onnx.Int8, Dims: []int64{}, Raw: []byte{3}}, &onnx.Tensor{Name: "scale", DataType: onnx.Float, Dims: []int64{}, Raw: []byte{0, 0, 0x80, 0x3f}})
		last := q.Graph.Nodes[len(q.Graph.Nodes)-1]
		last.Outputs = []string{"n"}
		q.Graph.Nodes = append(q.Graph.Nodes, hostileNode("DequantizeLinear", "d", nil, "q", "scale"), hostileNode("Add", "y", nil, "n", "d"))
		r := verifiedIn(t, "ort-cpu", loop, saved(t, filepath.Join(dir, "q.onnx"), q))
		if r.Verdict != runtime.Fail || r.Results[0].Status != runtime.StatusUncertified {
			t.Errorf("%s: %+v", r.Reason, r.Results)
		}
		for _, x := range r.Results {
			if x.File == "" || x.Runtime == runtime.OracleName {
				continue
			}
			want := runtime.StatusMeasured
			if !looped {
				want = runtime.StatusOK
			}
			if x.Status != want || looped == (x.Against == itsOwnGraph) {
				t.Errorf("loop %v: %+v", looped, x)
			}
		}
	}
}
