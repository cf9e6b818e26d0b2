package attnx

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// textModel writes a file that looks ids up in a table of five rows, by way of a
// Cast, and takes a mask, positions, an image, a past and open names beside them.
func textModel(t *testing.T) string {
	t.Helper()
	named := func(names ...string) (dims []onnx.Dim) {
		for _, n := range names {
			dims = append(dims, onnx.Dim{Open: true, Param: n})
		}
		return dims
	}
	inputs := []onnx.ValueInfo{
		{Name: "words", DataType: onnx.Int32, Dims: named("B", "T")},
		{Name: "attention_mask", DataType: onnx.Int64, Dims: named("B", "P + T")},
		{Name: "position_ids", DataType: onnx.Int64, Dims: named("B", "T")},
		{Name: "picture", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: "B"}, {Value: 3}, {Value: 6}, {Value: 7}}},
		{Name: "past_key_values.0.key", DataType: onnx.Float, Dims: append(named("B"), onnx.Dim{Value: 2}, onnx.Dim{Open: true, Param: "P"}, onnx.Dim{Value: 4})},
		{Name: "flag", DataType: onnx.Bool, Dims: []onnx.Dim{{Value: 1}}},
		{Name: "bytes", DataType: onnx.Uint8, Dims: []onnx.Dim{{Value: 3}}},
	}
	g := &onnx.Graph{Name: "g", Inputs: inputs,
		Initializers: []*onnx.Tensor{{Name: "table", DataType: onnx.Float, Dims: []int64{5, 1}, Raw: make([]byte, 20)}},
		Nodes: []*onnx.Node{
			{Op: "Cast", Inputs: []string{"words"}, Outputs: []string{"ids"}, Attributes: []onnx.Attribute{onnx.IntAttr("to", int64(onnx.Int64))}},
			{Op: "Gather", Inputs: []string{"table", "ids"}, Outputs: []string{"rows"}},
		},
		Outputs: []onnx.ValueInfo{{Name: "rows", DataType: onnx.Float, NoShape: true}},
	}
	for _, in := range inputs[1:] {
		g.Nodes = append(g.Nodes, &onnx.Node{Op: "Identity", Inputs: []string{in.Name}, Outputs: []string{in.Name + "_out"}})
		g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: in.Name + "_out", DataType: in.DataType, NoShape: true})
	}
	var b bytes.Buffer
	if err := (&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}).Encode(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is drawn is what an input can be, and what is given decides the sizes of
// the others.
func TestDraw(t *testing.T) {
	x, err := OpenONNX(textModel(t), Options{Runtime: Oracle})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	past := format.FromFloat32s("", []int{2, 2, 3, 4}, make([]float32, 48))
	words := format.Tensor{DType: format.Int32, Shape: []int{2, 70}, Data: make([]byte, 560)}
	for _, given := range []map[string]format.Tensor{{}, {"past_key_values.0.key": past}, {"words": words}} {
		inputs, how, err := x.Draw(given, 1)
		if err != nil {
			t.Fatal(err)
		}
		batch, length, before := inputs["words"].Shape[0], inputs["words"].Shape[1], inputs["past_key_values.0.key"].Shape[2]
		if !slices.Equal(inputs["attention_mask"].Shape, []int{batch, before + length}) || !slices.Equal(inputs["picture"].Shape, []int{batch, 3, 6, 7}) {
			t.Errorf("mask %v, picture %v", inputs["attention_mask"].Shape, inputs["picture"].Shape)
		}
		for name, within := range map[string][2]float64{
			"words": {0, 4}, "attention_mask": {1, 1}, "position_ids": {0, float64(length - 1)},
			"picture": {0, 1}, "past_key_values.0.key": {-2, 2}, "flag": {0, 1}, "bytes": {0, 1},
		} {
			values, err := inputs[name].AsFloat64s()
			if err != nil || slices.Min(values) < within[0] || slices.Max(values) > within[1] {
				t.Errorf("%s: %v is not in %v (%v)", name, values[:min(9, len(values))], within, err)
			}
			if _, is := given[name]; is == (how[name] != "") {
				t.Errorf("%s: %q", name, how[name])
			}
		}
		if _, is := given["words"]; !is && how["words"] != "drawn below 5" {
			t.Errorf("words: %s, and the table has 5 rows", how["words"])
		}
		if got, _ := inputs["position_ids"].Int64s(); got[length-1] != int64(length-1) {
			t.Errorf("positions %v", got)
		}
		if outputs, err := x.Run(inputs); err != nil || len(outputs) != 7 || outputs[1].Name != "attention_mask_out" {
			t.Errorf("%v, %v", outputs, err)
		}
		again, _, err := x.Draw(given, 1)
		if err != nil || !bytes.Equal(again["picture"].Data, inputs["picture"].Data) {
			t.Errorf("the same seed draws something else (%v)", err)
		}
		other, _, err := x.Draw(given, 2)
		if err != nil || bytes.Equal(other["picture"].Data, inputs["picture"].Data) {
			t.Errorf("another seed draws the same (%v)", err)
		}
	}
	inputs, _, _ := x.Draw(nil, 1)
	delete(inputs, "words")
	if _, err := x.Run(inputs); err == nil || !strings.Contains(err.Error(), `input "words" is missing: the file takes words I32[B,T]`) {
		t.Errorf("%v", err)
	}
}

// ONNX Runtime gives what the oracle gives, for a file that only moves numbers.
func TestRunAgrees(t *testing.T) {
	path := textModel(t)
	oracle, err := RunONNX(path, RunOptions{Options: Options{Runtime: Oracle}, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	got, err := RunONNX(path, RunOptions{Options: Options{Runtime: "ort"}, Seed: 3})
	if errors.Is(err, runtime.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, out := range got.Outputs {
		if out.Name != oracle.Outputs[i].Name || out.Max != oracle.Outputs[i].Max || !slices.Equal(out.First, oracle.Outputs[i].First) {
			t.Errorf("%v, the oracle has %v", out, oracle.Outputs[i])
		}
	}
}

// The statistics of an output leave out what is not finite, and count it.
func TestMeasured(t *testing.T) {
	inf := func(sign float64) float64 { return sign / zero }
	out, err := measured(format.FromFloat64s("y", []int{5}, []float64{1, inf(1), 3, inf(-1), zero / zero}))
	if err != nil || out.NotFinite != 3 || out.Min != 1 || out.Max != 3 || out.Mean != 2 || out.Deviation != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err = measured(format.FromFloat32s("y", []int{0}, nil)); err != nil || isFinite(float64(out.Min)) || len(out.First) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

var zero float64

// A file with functions, a sparse initializer and a sequence inside is run, in the
// oracle as in a runtime.
func TestRunFunctions(t *testing.T) {
	m := hostileModel(nil, &onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"f"}},
		hostileNode("SequenceConstruct", "s", nil, "f", "f"), hostileNode("ConcatFromSequence", "c", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "s"), hostileNode("Add", "y", nil, "c", "w"))
	m.Functions = []*onnx.Function{{Name: "F", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Version: 21}}, Nodes: []*onnx.Node{hostileNode("Neg", "b", nil, "a")}}}
	values := hostileFloats("w", 1)
	values.Raw = []byte{0, 0, 0x80, 0x3f} // 1
	m.Graph.Sparse = []*onnx.SparseTensor{{Values: values, Indices: hostileInts("", 1), Dims: []int64{2}}}
	path := filepath.Join(t.TempDir(), "model.onnx")
	f, err := os.Create(path)
	if err == nil {
		err = m.Encode(f)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := RunONNX(path, RunOptions{Options: Options{Runtime: Oracle}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if out := r.Outputs[0]; len(out.Shape) != 2 || out.Shape[0] != 4 || out.First[0] != out.First[4] || float64(out.First[1]) < 0 {
		t.Errorf("%+v", out)
	}
}

// Integers are exact, in the text and in JSON.
func TestRunIntegers(t *testing.T) {
	for d, c := range map[format.DType]struct {
		data []byte
		want string
	}{
		format.Int64:  {append(binary.LittleEndian.AppendUint64(nil, 1<<53+1), 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "9007199254740993 -2"},
		format.Uint64: {append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), 1, 0, 0, 0, 0, 0, 0, 0), "18446744073709551615 1"},
		format.Int32:  {[]byte{0x87, 0xd6, 0x12, 0, 0, 0, 0, 0x80}, "1234567 -2147483648"},
	} {
		out, err := measured(format.Tensor{Name: "y", DType: d, Shape: []int{2}, Data: c.data})
		if err != nil {
			t.Fatal(err)
		}
		r := &RunReport{Outputs: []RunOutput{out}}
		var text bytes.Buffer
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		j, err := json.Marshal(r)
		first, last, _ := strings.Cut(c.want, " ")
		if err != nil || !strings.Contains(text.String(), c.want+" ") || !strings.Contains(text.String(), "min "+last+", max "+first+",") ||
			!strings.Contains(string(j), `"min":`+last+`,"max":`+first+`,"first":[`+first+`,`+last+`]`) || strings.Count(string(j), `"min"`) != 1 {
			t.Errorf("%s: %s %s %v", d, &text, j, err)
		}
	}
}
