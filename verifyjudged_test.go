package attnx

import (
	"context"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
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

	// No tensor that stands for maps is recorded.
	parts := t.TempDir()
	m = dataLoop("Neg")
	zip := &onnx.Node{Op: "ZipMap", Domain: "ai.onnx.ml", Inputs: []string{"p"}, Outputs: []string{"m"}, Attributes: []onnx.Attribute{{Name: "classlabels_int64s", Type: onnx.AttrInts, Ints: []int64{4, 5}}}}
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: "ai.onnx.ml", Version: 3})
	m.Graph.Nodes = append(m.Graph.Nodes, hostileNode("Softmax", "p", nil, "x"), zip)
	m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "m", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, Dims: []onnx.Dim{}}}}})
	saved(t, filepath.Join(parts, "model.onnx"), m)
	recordedTensor(t, filepath.Join(parts, "test_data_set_0", "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
	recordedTensor(t, filepath.Join(parts, "test_data_set_0", "output_0.pb"), "y", []int{2, 2}, -16, -24, -32, -40)
	r := verifiedIn(t, "ort-cpu", parts)
	if r.Verdict != runtime.Pass || len(r.Coverage.LeftOut) != 2 || !strings.HasPrefix(r.Coverage.LeftOut[1], `output "m": there is no oracle for the tensors`) {
		t.Errorf("%s: %s; left out %q", r.Verdict, r.Reason, r.Coverage.LeftOut)
	}
	if strings.Contains(strings.Join(r.Notes, "\n"), "its numbers are compared") {
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

// What draws run is the file on the disk, without their outputs.
func TestDrawsRunTheFile(t *testing.T) {
	m := hostileModel(nil, hostileNode("RandomUniformLike", "eps", nil, "x"), hostileNode("Add", "z", nil, "x", "eps"), hostileNode("Neg", "y", nil, "x"))
	m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "z", DataType: onnx.Float, NoShape: true})
	path := saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)
	x, err := readCompared(path)
	if err != nil {
		t.Fatal(err)
	}
	var opened runtime.File
	s, err := x.opened(func(f runtime.File, _ runtime.Options) (runtime.Session, error) {
		opened = f
		return giving{"y": format.FromFloat32s("y", []int{1}, []float32{1}), "z": format.FromFloat32s("z", []int{1}, []float32{2})}, nil
	}, runtime.File{Path: path}, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Run(nil)
	if _, there := out["z"]; err != nil || there || len(out) != 1 || opened.Path != path {
		t.Errorf("%v, %v, %+v", err, out, opened)
	}
	// The whole file runs: a node that only draws feed, and that fails, is seen.
	dir := t.TempDir()
	m.Graph.Nodes[1] = hostileNode("Reshape", "z", nil, "eps", "five")
	m.Graph.Initializers = append(m.Graph.Initializers, hostileInts("five", 5))
	if r := verifiedIn(t, "ort-cpu", saved(t, filepath.Join(dir, "m.onnx"), m)); r.Verdict != runtime.Fail || r.Results[0].Status != runtime.StatusFail {
		t.Errorf("%s: %+v", r.Verdict, r.Results)
	}
}

// giving is a session that gives the same outputs each time.
type giving map[string]format.Tensor

func (g giving) Run(map[string]format.Tensor) (map[string]format.Tensor, error) {
	return maps.Clone(g), nil
}
func (giving) Close() error { return nil }

// A runtime that others are compared with keeps what is compared, in its own type.
func TestPeersKeepWhatIsCompared(t *testing.T) {
	const rows, width = 64, 1 << 17 // twice what a case keeps
	wide := format.FromFloat32s("y", []int{rows, width}, make([]float32, rows*width))
	for i := range rows * width {
		wide.Data[4*i+2], wide.Data[4*i+3] = byte(i*7), 0x40 // numbers from 2 on
	}
	v := &onnxVerification{cases: []runtime.Case{{Batch: 1, Name: "a"}, {Batch: 1, Name: "b"}}}
	all, ran, err := v.runAlone(context.Background(), runtime.Candidate{Open: func() (runtime.Session, error) { return giving{"y": wide}, nil }})
	if err != nil || len(ran) != 2 {
		t.Fatalf("%d cases, %v", len(ran), err)
	}
	kept := 0
	for _, outputs := range all.outputs {
		for _, x := range outputs {
			kept += len(x.Data)
		}
	}
	if kept > 2*len(wide.Data)*3/4 {
		t.Errorf("%d bytes are kept of %d", kept, 2*len(wide.Data))
	}
	verify := func(got format.Tensor) runtime.Result {
		r, err := runtime.Verify(context.Background(), all, []runtime.Candidate{{Name: "other", Open: func() (runtime.Session, error) { return giving{"y": got}, nil }}}, ran)
		if err != nil {
			t.Fatal(err)
		}
		return r.Results[0]
	}
	if x := verify(wide); x.Status != runtime.StatusOK || x.Cases != 2 || x.MaxAbs != 0 {
		t.Errorf("%+v", x)
	}
	other := wide
	other.Data = slices.Clone(wide.Data)
	other.Data[len(other.Data)-1] = 0x41 // the last row is always kept
	if x := verify(other); x.Status != runtime.StatusFail || x.FirstDifference != "y[63,131071]" {
		t.Errorf("%+v", x)
	}
}

// A later case that the oracle does not read leaves it out too.
func TestUnreadAsksAllCases(t *testing.T) {
	dir := t.TempDir()
	// The size of x decides whether the loop runs at all.
	loop := dataLoop("Neg")
	then := &onnx.Graph{Name: "then", Nodes: loop.Graph.Nodes[:len(loop.Graph.Nodes)-1], Outputs: []onnx.ValueInfo{{Name: "l", DataType: onnx.Float, NoShape: true}}}
	otherwise := &onnx.Graph{Name: "else", Nodes: []*onnx.Node{hostileNode("Abs", "e", nil, "x")}, Outputs: []onnx.ValueInfo{{Name: "e", DataType: onnx.Float, NoShape: true}}}
	m := hostileModel(append(loop.Graph.Initializers, hostileInts("most", 3)), hostileNode("Size", "n0", nil, "x"), hostileNode("Greater", "c", nil, "n0", "most"),
		hostileNode("If", "i", []onnx.Attribute{{Name: "then_branch", Type: onnx.AttrGraph, Graph: then}, {Name: "else_branch", Type: onnx.AttrGraph, Graph: otherwise}}, "c"), hostileNode("Neg", "y", nil, "i"))
	m.Graph.Inputs[0].Dims = []onnx.Dim{{Open: true, Param: "a"}, {Open: true, Param: "b"}}
	saved(t, filepath.Join(dir, "model.onnx"), m)
	recordedTensor(t, filepath.Join(dir, "test_data_set_0", "input_0.pb"), "x", []int{1, 2}, 1, 2)
	recordedTensor(t, filepath.Join(dir, "test_data_set_0", "output_0.pb"), "y", []int{1, 2}, -1, -2)
	recordedTensor(t, filepath.Join(dir, "test_data_set_1", "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
	recordedTensor(t, filepath.Join(dir, "test_data_set_1", "output_0.pb"), "y", []int{2, 2}, -16, -24, -32, -40)
	if r := verifiedIn(t, "ort-cpu", dir); r.Verdict != runtime.Pass || r.Oracle != recordedOutputs || r.Cases != 2 {
		t.Errorf("%s against %s: %s", r.Verdict, r.Oracle, r.Reason)
	}
}

// Words have no distance, and no output is taken for a part of another one.
func TestWordsHaveNoDistance(t *testing.T) {
	dir := t.TempDir()
	m := wordsModel()
	m.Graph.Outputs = m.Graph.Outputs[:1]
	saved(t, filepath.Join(dir, "model.onnx"), m)
	recordedWords(t, filepath.Join(dir, "test_data_set_0", "input_0.pb"), "the", "cat", "the")
	for _, last := range []string{"der", "Kater"} {
		recordedWords(t, filepath.Join(dir, "test_data_set_0", "output_0.pb"), "der", "Kater", last)
		for _, x := range verifiedIn(t, "ort-cpu", dir).Results {
			if x.Runtime != runtime.OracleName && (x.Cases != 1 || !math.IsNaN(float64(x.MaxAbs)) || !math.IsNaN(float64(x.MaxRel)) || (x.Status == runtime.StatusOK) != (last == "der")) {
				t.Errorf("%s: %+v", last, x)
			}
		}
	}
	k := &kinds{kinded: kinded{ONNX: &ONNX{Path: "m.onnx"}}}
	one := format.FromFloat32s("", []int{1}, []float32{1})
	to := map[string]format.Tensor{}
	if err := k.take("s", runtime.Datum{List: &[]runtime.Datum{{Tensor: &one}}}, to); err != nil {
		t.Fatal(err)
	}
	if err := k.take("s[0]", runtime.Datum{Tensor: &one}, to); err == nil || !strings.Contains(err.Error(), `m.onnx: an output and a part of another one are both called "s[0]": rename`) {
		t.Error(err)
	}
	split := hostileModel(nil, hostileNode("SplitToSequence", "s", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "x"), hostileNode("Neg", "s[1]", nil, "x"))
	split.Graph.Outputs = []onnx.ValueInfo{{Name: "s[1]", DataType: onnx.Float, NoShape: true}, {Name: "s", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, NoShape: true}}}}
	r := verifiedIn(t, "ort-cpu", saved(t, filepath.Join(dir, "s.onnx"), split))
	if r.Verdict != runtime.Pass || !strings.Contains(strings.Join(r.Coverage.LeftOut, "; "), `output "s": it is a seq(float), and the file has a value of its own`) {
		t.Errorf("%s: %s; %q", r.Verdict, r.Reason, r.Coverage.LeftOut)
	}
}

// Of several draws the error names that of the first output, each time.
func TestRandomErrorIsOne(t *testing.T) {
	m := hostileModel(nil)
	m.Graph.Outputs = nil
	for _, name := range []string{"c", "a", "b", "e", "d"} {
		m.Graph.Nodes = append(m.Graph.Nodes, hostileNode("RandomUniformLike", name, nil, "x"))
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: name, DataType: onnx.Float, NoShape: true})
	}
	path := saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)
	for range 8 {
		if _, err := readCompared(path); err == nil || !strings.Contains(err.Error(), "node c (RandomUniformLike)") {
			t.Fatal(err)
		}
	}
}
