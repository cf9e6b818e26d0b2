package attnx

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	attnxruntime "github.com/attnx/attnx/runtime"
)

// saved writes a model to a file.
func saved(t *testing.T, path string, m *onnx.Model) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := errors.Join(m.Encode(&b), os.WriteFile(path, b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
	return path
}

// recordedTensor writes a float32 tensor as ONNX's tests do.
func recordedTensor(t *testing.T, path, name string, shape []int, values ...float32) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := errors.Join(proto(format.FromFloat32s(name, shape, values)).Encode(&b), os.WriteFile(path, b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
}

// recordedFolder returns a folder with the model y = Neg(x) and two sets with the same
// input, of which the second has a wrong output.
func recordedFolder(t *testing.T) string {
	dir := t.TempDir()
	saved(t, filepath.Join(dir, "model.onnx"), hostileModel(nil, hostileNode("Neg", "y", nil, "x")))
	for i, last := range []float32{-4, -5} {
		set := filepath.Join(dir, fmt.Sprint("test_data_set_", i))
		recordedTensor(t, filepath.Join(set, "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
		recordedTensor(t, filepath.Join(set, "output_0.pb"), "y", []int{2, 2}, -1, -2, -3, last)
	}
	return dir
}

// verifiedIn verifies files in one runtime; it skips the test if that is not there.
func verifiedIn(t *testing.T, name string, paths ...string) attnxruntime.Report {
	t.Helper()
	r, err := VerifyONNX(context.Background(), paths, VerifyOptions{Runtimes: []string{name}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.Results[0].Reason, "runtime install") {
		t.Skip(r.Results[0].Reason)
	}
	return r
}

// Two sets with the same inputs are two sets.
func TestRecordedSetsWithOneInput(t *testing.T) {
	r := verifiedIn(t, "ort-cpu", recordedFolder(t))
	recorded := 0
	for _, x := range r.Results {
		if x.Against == "" {
			continue
		}
		recorded++
		if x.Status != attnxruntime.StatusFail || !strings.HasPrefix(x.Reason, "test_data_set_1: y[1,1] is -4, recorded is -5") {
			t.Errorf("%s: %s: %s", x.Runtime, x.Status, x.Reason)
		}
		if x.Runtime != attnxruntime.OracleName && !strings.HasSuffix(x.Reason, "the recorded outputs are others than this file's") {
			t.Errorf("%s: %s", x.Runtime, x.Reason)
		}
	}
	if recorded < 2 { // the oracle, and ONNX Runtime
		t.Errorf("%d results are against recorded outputs", recorded)
	}
}

// What a set has too much is refused, and a name that the file does not have is said.
func TestRecordedStrays(t *testing.T) {
	verify := func(dir string) (attnxruntime.Report, error) {
		return VerifyONNX(context.Background(), []string{dir}, VerifyOptions{Runtimes: []string{"onnx-go"}})
	}
	for name, c := range map[string]struct{ file, want string }{
		"an input":         {"input_1.pb", "the model has 1 input: "},
		"an output":        {"output_1.pb", "the model has 1 output: "},
		"a later output":   {"output_7.pb", "the model has 1 output: "},
		"neither of these": {"input_x.pb", ""},
	} {
		dir := recordedFolder(t)
		recordedTensor(t, filepath.Join(dir, "test_data_set_1", c.file), "z", []int{1}, 1)
		if _, err := verify(dir); (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	dir := recordedFolder(t)
	recordedTensor(t, filepath.Join(dir, "test_data_set_0", "input_0.pb"), "zzz", []int{2, 2}, 1, 2, 3, 4)
	r, err := verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`test_data_set_0: input_0.pb is called "zzz", which the file does not have: it was taken for "x" by its number`}; !slices.Equal(r.Notes, want) {
		t.Errorf("notes %q, want %q", r.Notes, want)
	}
}

// An output that is a huge number in the place of an infinity is the node's fault.
func TestLocateInfinity(t *testing.T) {
	want := format.FromFloat64s("y", []int{2}, []float64{1, math.Inf(-1)})
	got := format.FromFloat32s("y", []int{2}, []float32{1, -3.4e38})
	if _, same := attnxruntime.SameOutput(format.Float32, 1, want, got); same {
		t.Error("an output of -3.4e38 counts as -Inf")
	}
	if _, same := attnxruntime.SameResult(format.Float32, 1, want, got); !same {
		t.Error("inside a network -3.4e38 does not count as -Inf, as in masks")
	}
	if d, same := attnxruntime.SameOutput(format.Float32, 1, want, want.WithName("y")); !same {
		t.Errorf("%+v", d)
	}
}

// The words for a difference that is not located never call it one of roundings.
func TestNotLocated(t *testing.T) {
	m := hostileModel(nil, hostileNode("Neg", "y", nil, "x"))
	x, err := readONNX(saved(t, filepath.Join(t.TempDir(), "m.onnx"), m))
	if err != nil {
		t.Fatal(err)
	}
	f := newVerified(x)
	right := evaluating{x}
	inputs := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{2, 2}, []float32{1, 2, 3, 4})}
	for name, c := range map[string]struct {
		by       float64
		recorded bool
		want     string
	}{
		"right":    {1, false, "written anew with its weights as raw bytes, agree"},
		"recorded": {1, true, "the recorded outputs are others than this file's"},
		"wrong":    {2, false, "but not the whole"},
	} {
		s := &runSearch{cuts: f.cuts, computed: format.Float32, open: func(attnxruntime.File) (attnxruntime.Session, error) { return scaling{right, c.by}, nil }}
		if got := new(onnxVerification).notLocated(s, c.recorded, inputs); !strings.HasSuffix(got, c.want) && !strings.Contains(got, c.want) || strings.Contains(got, "rounding") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// scaling is a session whose outputs are wrong by a factor.
type scaling struct {
	attnxruntime.Session
	by float64
}

func (s scaling) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := s.Session.Run(inputs)
	for name, t := range out {
		v, _ := t.AsFloat64s()
		for i := range v {
			v[i] *= s.by
		}
		t, _, _ = format.FromFloat64s(name, t.Shape, v).Convert(format.Float32)
		out[name] = t
	}
	return out, err
}

// A runtime that lacks an operator, or float64, has not failed.
func TestOpenVINOLacks(t *testing.T) {
	doubles := hostileModel(nil, hostileNode("Neg", "y", nil, "x"))
	doubles.Graph.Inputs[0].DataType, doubles.Graph.Outputs[0].DataType = onnx.Double, onnx.Double
	within := hostileModel(nil, hostileNode("Cast", "d", []onnx.Attribute{onnx.IntAttr("to", int64(onnx.Double))}, "x"), hostileNode("Exp", "e", nil, "d"),
		hostileNode("Cast", "y", []onnx.Attribute{onnx.IntAttr("to", int64(onnx.Float))}, "e"))
	function := hostileModel(nil, &onnx.Node{Op: "Two", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}})
	call := func(name, of string) *onnx.Function {
		domain := "my"
		if of == "Neg" {
			domain = ""
		}
		return &onnx.Function{Name: name, Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Version: 21}, {Domain: "my", Version: 1}},
			Nodes: []*onnx.Node{{Op: of, Domain: domain, Inputs: []string{"a"}, Outputs: []string{"b"}}}}
	}
	function.Functions = []*onnx.Function{call("One", "Neg"), call("Two", "One")}
	for name, m := range map[string]*onnx.Model{"float64": doubles, "float64 within": within, "a function in a function": function} {
		r := verifiedIn(t, "openvino", saved(t, filepath.Join(t.TempDir(), "m.onnx"), m))
		if x := r.Results[0]; x.Status != attnxruntime.StatusUnavailable || r.Reason != "openvino was asked for and is unavailable" || strings.Count(x.Reason, "openvino") > 0 {
			t.Errorf("%s: %s: %s; %s", name, x.Status, x.Reason, r.Reason)
		}
	}
}

// External data may be named with a path, as long as it stays within the model's folder.
func TestExternalInFolder(t *testing.T) {
	for location, want := range map[string]string{
		"w.bin": "", "./w.bin": "", ".//w.bin": "", "sub/../w.bin": "", "../w.bin": "leaves the model's folder", "sub/../../w.bin": "leaves the model's folder", "./": "leaves the model's folder", "./none.bin": "no such file",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 16), 0o666); err != nil {
			t.Fatal(err)
		}
		w := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{2, 2}, External: &onnx.External{Location: location, Length: 16}}
		path := saved(t, filepath.Join(dir, "m.onnx"), hostileModel([]*onnx.Tensor{w}, hostileNode("Add", "y", nil, "x", "w")))
		_, err := RunONNX(path, RunOptions{Options: Options{Runtime: Oracle}})
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Count(err.Error(), ": ") < 4) {
			t.Errorf("%q: %v", location, err)
		}
	}
}

// A node is found where the other file calls some of its values otherwise.
func TestLocateRenamedInPart(t *testing.T) {
	weight := func(name string, last float32) *onnx.Tensor {
		p := proto(format.FromFloat32s(name, []int{2, 2}, []float32{1, 2, 3, last}))
		return p
	}
	chain := func(prefix string, last float32) string {
		m := hostileModel([]*onnx.Tensor{weight(prefix+"w0", 4), weight(prefix+"w1", last)},
			hostileNode("MatMul", prefix+"m0", nil, "x", prefix+"w0"), hostileNode("Relu", "h0", nil, prefix+"m0"),
			hostileNode("MatMul", prefix+"m1", nil, "h0", prefix+"w1"), hostileNode("Relu", "h1", nil, prefix+"m1"), hostileNode("Neg", "y", nil, "h1"))
		return saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)
	}
	r := verifiedIn(t, "ort-cpu", chain("", 4), chain("r", 5))
	found := false
	for _, x := range r.Results {
		if x.File == "" || x.Runtime != attnxruntime.OracleName {
			continue
		}
		if found = true; x.FirstDifference != "rm1" || strings.Contains(x.Reason, "nodes together") {
			t.Errorf("%s: %s", x.FirstDifference, x.Reason)
		}
	}
	if !found {
		t.Errorf("%+v", r.Results)
	}
}

// An array of another shape is refused before it is unpacked.
func TestArchiveOfAnotherShape(t *testing.T) {
	path := saved(t, filepath.Join(t.TempDir(), "m.onnx"), hostileModel(nil, hostileNode("Neg", "y", nil, "x")))
	bomb := filepath.Join(t.TempDir(), "x.npz")
	f, err := os.Create(bomb)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	const rows = 100 << 20
	for _, name := range []string{"other.npy", "x.npy"} { // the first is not asked for
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }", rows)
		header += strings.Repeat(" ", 117-len(header)) + "\n"
		if _, err := w.Write(append([]byte("\x93NUMPY\x01\x00\x76\x00"), header...)); err != nil {
			t.Fatal(err)
		}
		for range rows >> 20 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = RunONNX(path, RunOptions{Options: Options{Runtime: Oracle}, Inputs: []File{{"x", bomb}}})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("has shape [%d], the file takes x F32[2,2]: reshape it", rows)) {
		t.Error(err)
	}
	if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 20 {
		t.Errorf("%d MiB allocated", got)
	}
}

// Files that ONNX's checker and ONNX Runtime take.
func TestOutputsTwiceAndNone(t *testing.T) {
	m := hostileModel(nil, hostileNode("Neg", "y", nil, "x"))
	m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0])
	twice := saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)
	for _, name := range []string{Oracle, "ort", "openvino"} {
		r, err := RunONNX(twice, RunOptions{Options: Options{Runtime: name}, Seed: 1})
		if errors.Is(err, attnxruntime.ErrUnavailable) {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(r.Outputs) != 2 || r.Outputs[0].Name != "y" || r.Outputs[1].Name != "y" || r.Outputs[0].Max != r.Outputs[1].Max {
			t.Errorf("%s: %+v", name, r.Outputs)
		}
	}
	if r := verifiedIn(t, "ort-cpu", twice); r.Verdict != attnxruntime.Pass {
		t.Errorf("%+v", r)
	}
	m.Graph.Outputs = nil
	none := saved(t, filepath.Join(t.TempDir(), "m.onnx"), m)
	if _, err := RunONNX(none, RunOptions{}); err == nil || !strings.Contains(err.Error(), "it has no outputs, so there is nothing to compute: add one to the file") {
		t.Error(err)
	}
	if _, err := Inspect(none, nil); err != nil {
		t.Error(err)
	}
}
