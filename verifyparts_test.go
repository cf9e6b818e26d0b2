package attnx

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// What of a file is made of numbers is compared, and the rest is said.
func TestVerifyParts(t *testing.T) {
	text := onnx.ValueInfo{Name: "text", Other: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.String, NoShape: true}}
	sequence := onnx.ValueInfo{Name: "s", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, NoShape: true}}}
	maps := onnx.ValueInfo{Name: "m", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, Dims: []onnx.Dim{}}}}}
	asText := hostileNode("Cast", "text", []onnx.Attribute{onnx.IntAttr("to", int64(onnx.String))}, "x")
	split := hostileNode("SplitToSequence", "s", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "x")
	zip := &onnx.Node{Op: "ZipMap", Domain: "ai.onnx.ml", Inputs: []string{"p"}, Outputs: []string{"m"}, Attributes: []onnx.Attribute{{Name: "classlabels_int64s", Type: onnx.AttrInts, Ints: []int64{4, 5}}}}
	for name, c := range map[string]struct {
		m        *onnx.Model
		outputs  []onnx.ValueInfo
		elements int // of the drawn case
		note     string
	}{
		"strings":    {hostileModel(nil, asText, hostileNode("Neg", "y", nil, "x")), []onnx.ValueInfo{text}, 4, `output "text" is not compared: it is a string`},
		"a sequence": {hostileModel(nil, split, hostileNode("Neg", "y", nil, "x")), []onnx.ValueInfo{sequence}, 8, `output "s" is a seq(float): its elements are compared, as 2 tensors`},
		"maps":       {hostileModel(nil, hostileNode("Neg", "y", nil, "x"), hostileNode("Softmax", "p", nil, "x"), zip), []onnx.ValueInfo{maps}, 8, `its numbers are compared, as the tensor "p"`},
	} {
		c.m.Opsets = append(c.m.Opsets, onnx.Opset{Domain: "ai.onnx.ml", Version: 3})
		c.m.Graph.Outputs = append(c.m.Graph.Outputs, c.outputs...)
		r := verifiedIn(t, "ort-cpu", saved(t, filepath.Join(t.TempDir(), "m.onnx"), c.m))
		if r.Verdict != runtime.Pass || len(r.Notes) != 2 || !strings.Contains(r.Notes[0], c.note) || !strings.Contains(r.Notes[1], "the runtimes ran a copy") || r.Coverage.Elements.Of != c.elements*r.Cases {
			t.Errorf("%s: %s: %s; notes %q, %d elements in %d cases", name, r.Verdict, r.Reason, r.Notes, r.Coverage.Elements.Of, r.Cases)
		}
		c.m.Graph.Outputs = []onnx.ValueInfo{text}
		c.m.Graph.Nodes = append(c.m.Graph.Nodes, asText)
		if name != "strings" {
			_, err := readCompared(saved(t, filepath.Join(t.TempDir(), "m.onnx"), c.m))
			if err == nil || !strings.Contains(err.Error(), "none of its outputs is made of numbers") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Files that differ in what is not compared are not identical.
func TestPartsAreNoProof(t *testing.T) {
	dir := t.TempDir()
	maps := onnx.ValueInfo{Name: "m", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, Dims: []onnx.Dim{}}}}}
	file := func(name string, labels ...int64) string {
		zip := &onnx.Node{Op: "ZipMap", Domain: "ai.onnx.ml", Inputs: []string{"p"}, Outputs: []string{"m"}, Attributes: []onnx.Attribute{{Name: "classlabels_int64s", Type: onnx.AttrInts, Ints: labels}}}
		m := hostileModel(nil, hostileNode("Neg", "y", nil, "x"), hostileNode("Softmax", "p", nil, "x"), zip)
		m.Opsets = append(m.Opsets, onnx.Opset{Domain: "ai.onnx.ml", Version: 3})
		m.Graph.Outputs = append(m.Graph.Outputs, maps)
		return saved(t, filepath.Join(dir, name), m)
	}
	if r := judgedFiles(t, file("a.onnx", 4, 5), file("b.onnx", 5, 4)); r.Files[0].Layer == runtime.IdenticalLayer {
		t.Errorf("%s: %+v", r.Verdict, r.Files[0])
	}
}

// A folder's recorded inputs are used, though none of its recorded outputs is compared.
func TestVerifyRecordedParts(t *testing.T) {
	dir := t.TempDir()
	m := hostileModel(nil, hostileNode("SplitToSequence", "s", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "x"))
	m.Graph.Outputs = []onnx.ValueInfo{{Name: "s", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, NoShape: true}}}}
	saved(t, filepath.Join(dir, "model.onnx"), m)
	recordedTensor(t, filepath.Join(dir, "test_data_set_0", "input_0.pb"), "x", []int{2, 2}, 1, 2, 3, 4)
	r := verifiedIn(t, "ort-cpu", dir)
	if r.Verdict != runtime.Pass || r.Cases != 1 {
		t.Errorf("%s: %s, %d cases", r.Verdict, r.Reason, r.Cases)
	}
}

// run and verify take one another's names of runtimes.
func TestRuntimeNames(t *testing.T) {
	if got := runtimeNames([]string{"ort", "ort-cuda", "oracle", "openvino"}); !slices.Equal(got, []string{"ort-cpu", "ort-cuda", "ref", "openvino"}) {
		t.Error(got)
	}
	for name, want := range map[string]Options{"ort-cpu": {Runtime: "ort", Device: "cpu"}, "ort-cuda": {Runtime: "ort", Device: "cuda"}, "ref": {Runtime: Oracle}, "openvino": {Runtime: "openvino"}, "ort-x": {Runtime: "ort-x"}} {
		if got := (Options{Runtime: name}).runName(); got.Runtime != want.Runtime || got.Device != want.Device {
			t.Errorf("%s: %s on %s", name, got.Runtime, got.Device)
		}
	}
	if got := (Options{Runtime: "ort-cuda", Device: "cpu"}).runName(); got.Runtime != "ort-cuda" {
		t.Errorf("a name that contradicts the device: %+v", got)
	}
}

// Numbers that a type does not have are described as what they are.
func TestConvertedWords(t *testing.T) {
	huge := format.Tensor{DType: format.Uint64, Shape: []int{1}, Data: []byte{0, 0, 0, 0, 0, 0, 0, 128}}
	for to, want := range map[format.DType]string{
		format.Int64:   "f: one of its numbers is beyond the range of I64: give numbers within it",
		format.Bool:    "f: one of its numbers is neither 0 nor 1, which BOOL has: give a mask of these",
		format.Float16: "f: one of its numbers is not in F16: round them first",
	} {
		if _, err := converted("f", huge, to); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", to, err, want)
		}
	}
}
