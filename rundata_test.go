package attnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/runtime"
)

// Files whose inputs and outputs are strings, sequences or optional values run in ONNX
// Runtime, those without strings in the oracle too, and give what ONNX's backend suite
// records for them. What a runtime refuses is an error of its own.
func TestRunDataSuite(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1 for the suite's strings, sequences and optional values")
	}
	ran := map[string]int{}
	for _, folder := range suites(t) {
		models, err := filepath.Glob(filepath.Join(folder, "*", "*", "model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range models {
			m, err := onnx.DecodeFile(path)
			if err != nil {
				continue
			}
			why := noTensors(m)
			if why == "" || why == "random draws" || why == "complex numbers" {
				continue
			}
			for _, in := range []string{"ort", Oracle} {
				if runSuiteData(t, path, m, in) {
					ran[in+": "+why]++
				}
			}
		}
	}
	t.Log(ran)
	if len(ran) < 5 || ran["oracle: sequences"] < 15 || ran["oracle: optional and other values"] < 3 {
		t.Errorf("%v ran", ran)
	}
}

// runSuiteData runs a test of the suite, and reports whether the runtime took it.
func runSuiteData(t *testing.T, path string, m *onnx.Model, in string) bool {
	dir := filepath.Dir(path)
	set := filepath.Join(dir, "test_data_set_0")
	o := RunOptions{Options: Options{Runtime: in}, Out: filepath.Join(t.TempDir(), "out")}
	for i, in := range m.Graph.Inputs {
		o.Inputs = append(o.Inputs, File{Input: in.Name, Path: filepath.Join(set, fmt.Sprintf("input_%d.pb", i))})
	}
	r, err := RunONNX(path, o)
	if errors.Is(err, runtime.ErrUnavailable) {
		return false
	}
	if err != nil {
		t.Logf("%s: %v", filepath.Base(dir), err)
		return false
	}
	rtol, atol := tolerances(dir)
	for i, out := range m.Graph.Outputs {
		of := typeOf(out)
		want, err := datumFromProto(filepath.Join(set, fmt.Sprintf("output_%d.pb", i)), of)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(r.Outputs[i].Shape) != fmt.Sprint(want.Shape()) {
			t.Errorf("%s in %s: output %d has shape %v, expected %v", filepath.Base(dir), in, i, r.Outputs[i].Shape, want.Shape())
		}
		var got runtime.Datum
		if r.Outputs[i].Value == nil {
			read, err := npy.ReadFile(filepath.Join(o.Out, r.Outputs[i].File), format.Invalid, nil)
			if err != nil {
				t.Fatal(err)
			}
			got.Tensor = &read
		} else if got, err = datumOf(r.Outputs[i].Value, of); err != nil {
			t.Errorf("%s in %s: %s: %v", filepath.Base(dir), in, r.Outputs[i].Value, err)
			continue
		}
		if !sameDatum(got, want, rtol, atol) {
			t.Errorf("%s in %s: output %d is %s, expected %v", filepath.Base(dir), in, i, r.Outputs[i].Value, want)
		}
	}
	return true
}

// sameDatum reports whether two values agree within tolerances.
func sameDatum(a, b runtime.Datum, rtol, atol float64) bool {
	switch {
	case a.List != nil && b.List != nil:
		same := len(*a.List) == len(*b.List)
		for i := 0; same && i < len(*a.List); i++ {
			same = sameDatum((*a.List)[i], (*b.List)[i], rtol, atol)
		}
		return same
	case a.Strings != nil && b.Strings != nil:
		return slices.Equal(a.Strings.Elements, b.Strings.Elements) // JSON does not tell every shape without elements
	case a.Tensor != nil && b.Tensor != nil:
		dtype := a.Tensor.DType
		if dtype == format.Float64 && b.Tensor.DType.Float() {
			dtype = b.Tensor.DType // the oracle's
		}
		return sameTensor(*a.Tensor, dtype, *b.Tensor, rtol, atol) == nil
	}
	return a.Kind() == b.Kind()
}

// What a value is as JSON is read as the same value.
func TestDatumJSON(t *testing.T) {
	numbers := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Int64, NoShape: true}
	words := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.String, NoShape: true}
	one := format.FromInt64s("", []int{2, 1}, []int64{math.MinInt64, math.MaxInt64})
	list := []runtime.Datum{{Tensor: &one}, {Tensor: &one}}
	for want, c := range map[string]struct {
		d runtime.Datum
		t *onnx.Type
	}{
		`[[-9223372036854775808],[9223372036854775807]]`: {runtime.Datum{Tensor: &one}, numbers},
		`[["a","\"\u0001"],["","é"]]`:                    {runtime.Datum{Strings: &runtime.Strings{Shape: []int{2, 2}, Elements: []string{"a", "\"\x01", "", "é"}}}, words},
		`[[[-9223372036854775808],[9223372036854775807]],[[-9223372036854775808],[9223372036854775807]]]`: {runtime.Datum{List: &list}, &onnx.Type{Kind: onnx.SequenceType, Elem: numbers}},
		`null`: {runtime.Datum{}, &onnx.Type{Kind: onnx.OptionalType, Elem: numbers}},
		`{"a":1,"b":2}`: {runtime.Datum{Map: &runtime.Map{Keys: runtime.Datum{Strings: &runtime.Strings{Shape: []int{2}, Elements: []string{"a", "b"}}}, Values: runtime.Datum{Tensor: ptr(format.FromInt64s("", []int{2}, []int64{1, 2}))}}},
			&onnx.Type{Kind: onnx.MapType, DataType: onnx.String, Elem: numbers}},
		`{"-3":1}`: {runtime.Datum{Map: &runtime.Map{Keys: runtime.Datum{Tensor: ptr(format.FromInt64s("", []int{1}, []int64{-3}))}, Values: runtime.Datum{Tensor: ptr(format.FromInt64s("", []int{1}, []int64{1}))}}},
			&onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: numbers}},
	} {
		text, err := json.Marshal(c.d)
		if err != nil || string(text) != want {
			t.Errorf("%s, %v, expected %s", text, err, want)
			continue
		}
		again, err := datumOf(text, c.t)
		if err != nil {
			t.Error(err)
			continue
		}
		if text, err := json.Marshal(again); err != nil || string(text) != want {
			t.Errorf("read again it is %s, %v, expected %s", text, err, want)
		}
	}
}

func ptr[T any](x T) *T { return &x }

// A file that does not hold what an input takes is refused on one line, with the file,
// the input and a remedy.
func TestBadData(t *testing.T) {
	words := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.String, Dims: []onnx.Dim{{Open: true, Param: "N"}}}
	numbers := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Int64, NoShape: true}
	for text, c := range map[string]struct {
		t    *onnx.Type
		want string
	}{
		`["a",["b"]]`:       {words, "give all lists one depth"},
		`[["a"],"b"]`:       {words, "give all lists one depth"},
		`[["a"],["b","c"]]`: {words, "give them one length"},
		`[["a"]]`:           {words, "its shape is [1 1]"},
		`[1]`:               {words, "give lists of strings"},
		`[null]`:            {words, "give lists of strings"},
		`["a"`:              {words, "it is no JSON"},
		`7`:                 {&onnx.Type{Kind: onnx.SequenceType, Elem: numbers}, "write a list"},
		`[7,"x"]`:           {&onnx.Type{Kind: onnx.SequenceType, Elem: numbers}, "value 1: "},
		`[7]`:               {&onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: numbers}, "write {"},
		`{"x":7}`:           {&onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: numbers}, "give keys of that type"},
		`[8]`:               {&onnx.Type{Kind: onnx.SequenceType}, "does not say of what type"},
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000): {words, "is not a string"},
	} {
		path := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := readDatum(File{Input: "in", Path: path}, c.t)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// Keys of a map reach to the ends of their type, and no further.
func TestMapKeys(t *testing.T) {
	for dataType, keys := range map[onnx.DataType][3]string{
		onnx.Int8:   {"-128", "127", "128"},
		onnx.Uint8:  {"0", "255", "-1"},
		onnx.Int64:  {"-9223372036854775808", "9223372036854775807", "9223372036854775808"},
		onnx.Uint64: {"0", "18446744073709551615", "18446744073709551616"},
	} {
		m := &onnx.Type{Kind: onnx.MapType, DataType: dataType, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float}}
		for i, key := range keys {
			path := filepath.Join(t.TempDir(), "x.json")
			if err := os.WriteFile(path, []byte(`{"`+key+`":1}`), 0o666); err != nil {
				t.Fatal(err)
			}
			d, err := readDatum(File{Input: "in", Path: path}, m)
			if (err == nil) != (i < 2) {
				t.Errorf("type %v, key %s: %v", dataType, key, err)
			}
			if err != nil {
				continue
			}
			text, err := json.Marshal(d)
			if err != nil || !strings.Contains(string(text), `"`+key+`"`) {
				t.Errorf("type %v, key %s is read as %s, %v", dataType, key, text, err)
			}
		}
	}
}

// A file with strings, a sequence of 16-bit numbers and a map of classes is run, with what
// is drawn and with what is given, and its outputs are kept.
func TestRunData(t *testing.T) {
	named := onnx.Dim{Open: true, Param: "N"}
	float16 := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float16, NoShape: true}
	classes := &onnx.Type{Kind: onnx.MapType, DataType: onnx.String, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float}}
	m := &onnx.Model{IRVersion: 9, Opsets: []onnx.Opset{{Version: 20}, {Domain: "ai.onnx.ml", Version: 3}}, Graph: &onnx.Graph{
		Name: "g",
		Inputs: []onnx.ValueInfo{
			{Name: "a", DataType: onnx.String, Dims: []onnx.Dim{named}},
			{Name: "b", DataType: onnx.String, Dims: []onnx.Dim{named}},
			{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{named, {Value: 2}}},
		},
		Nodes: []*onnx.Node{
			hostileNode("StringConcat", "joined", nil, "a", "b"),
			hostileNode("Cast", "half", []onnx.Attribute{onnx.IntAttr("to", int64(onnx.Float16))}, "x"),
			hostileNode("SplitToSequence", "rows", []onnx.Attribute{onnx.IntAttr("axis", 0), onnx.IntAttr("keepdims", 0)}, "half"),
			{Op: "ZipMap", Domain: "ai.onnx.ml", Inputs: []string{"x"}, Outputs: []string{"classes"}, Attributes: []onnx.Attribute{{Name: "classlabels_strings", Type: onnx.AttrStrings, Strings: [][]byte{[]byte("no"), []byte("yes")}}}},
		},
		Outputs: []onnx.ValueInfo{
			{Name: "joined", DataType: onnx.String, Dims: []onnx.Dim{named}},
			{Name: "rows", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: float16}},
			{Name: "classes", Other: &onnx.Type{Kind: onnx.SequenceType, Elem: classes}},
		},
	}}
	dir := t.TempDir()
	path, given := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "a.json")
	if err := writeTo(path, m.Encode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(given, []byte(`["é","","c"]`), 0o666); err != nil {
		t.Fatal(err)
	}
	o := RunOptions{Options: Options{Runtime: "ort"}, Seed: 1, Inputs: Files{{"a", given}, {"b", given}}, Out: filepath.Join(dir, "out")}
	r, err := RunONNX(path, o)
	if errors.Is(err, runtime.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.Outputs[0].Value); got != `["éé","","cc"]` {
		t.Errorf("the strings are %s", got)
	}
	var rows [][]float64
	var maps []map[string]float64
	if err := errors.Join(json.Unmarshal(r.Outputs[1].Value, &rows), json.Unmarshal(r.Outputs[2].Value, &maps)); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || len(maps) != 3 {
		t.Fatalf("%v, %v", rows, maps)
	}
	for i, row := range rows { // multiples of 1/64 are the same in 16 bits
		if len(row) != 2 || row[0] != maps[i]["no"] || row[1] != maps[i]["yes"] || row[0] == row[1] {
			t.Errorf("row %d is %v, as a map %v", i, row, maps[i])
		}
	}
	if kept, err := os.ReadFile(filepath.Join(o.Out, r.Outputs[0].File)); err != nil || string(kept) != string(r.Outputs[0].Value)+"\n" {
		t.Errorf("%q, %v", kept, err)
	}
	drawn, err := RunONNX(path, RunOptions{Options: Options{Runtime: "ort"}, Seed: 1})
	if err != nil || drawn.Inputs[0].From != "words, drawn" || drawn.Outputs[0].Value == nil {
		t.Errorf("%+v, %v", drawn, err)
	}
	for _, name := range []string{Oracle, "openvino"} {
		if _, err := RunONNX(path, RunOptions{Options: Options{Runtime: name}}); err == nil || !strings.Contains(err.Error(), `input "a" is a string (N)`) || !strings.Contains(err.Error(), "run it in ort") {
			t.Errorf("%s: %v", name, err)
		}
	}
	report, err := VerifyONNX(t.Context(), []string{path}, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1}) // the levels with each other
	if err != nil || report.Verdict != runtime.Fail || report.Oracle != "ort-cpu (disabled)" {
		t.Fatalf("%s against %s: %s, %v", report.Verdict, report.Oracle, report.Reason, err)
	}
	for _, x := range report.Results {
		if x.Status != runtime.StatusUncertified || x.MaxAbs != 0 || x.Cases != kindDraws {
			t.Errorf("%+v", x)
		}
	}
}

// The oracle runs a file whose inputs and outputs are sequences and optional values of
// numbers: of any count, none among them.
func TestRunSequences(t *testing.T) {
	floats := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float, NoShape: true}
	list := &onnx.Type{Kind: onnx.SequenceType, Elem: floats}
	m := &onnx.Model{IRVersion: 9, Opsets: []onnx.Opset{{Version: 20}}, Graph: &onnx.Graph{
		Name: "g",
		Inputs: []onnx.ValueInfo{
			{Name: "all", Other: list},
			{Name: "more", Other: &onnx.Type{Kind: onnx.OptionalType, Elem: floats}},
			{Name: "all[0]", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: "n"}}},
		},
		Nodes: []*onnx.Node{
			hostileNode("SequenceInsert", "longer", nil, "all", "all[0]"),
			hostileNode("SequenceLength", "count", nil, "longer"),
			hostileNode("Identity", "same", nil, "longer"),
			hostileNode("ConcatFromSequence", "joined", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "longer"),
			hostileNode("OptionalHasElement", "has", nil, "more"),
		},
		Outputs: []onnx.ValueInfo{
			{Name: "same", Other: list}, {Name: "count", DataType: onnx.Int64}, {Name: "joined", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: "m"}}},
			{Name: "has", DataType: onnx.Bool}, {Name: "more", Other: &onnx.Type{Kind: onnx.OptionalType, Elem: floats}},
		},
	}}
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if err := writeTo(path, m.Encode); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ all, more, last, same, joined, has, again string }{
		{`[[1,2],[3]]`, `[5]`, `[4]`, `[[1,2],[3],[4]]`, `[1,2,3,4]`, `[1]`, `[5]`},
		{`[]`, `null`, `[7,8]`, `[[7,8]]`, `[7,8]`, `[0]`, `null`},
	} {
		o := RunOptions{Options: Options{Runtime: Oracle}}
		for name, text := range map[string]string{"all": c.all, "more": c.more, "all[0]": c.last} {
			file := filepath.Join(dir, fmt.Sprintf("%d-%d.json", i, len(o.Inputs)))
			if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			o.Inputs = append(o.Inputs, File{name, file})
		}
		r, err := RunONNX(path, o)
		if err != nil {
			t.Fatal(err)
		}
		first := func(i int) string {
			text, err := json.Marshal(r.Outputs[i].First)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if r.Runtime != oracleName || string(r.Outputs[0].Value) != c.same || first(1) != fmt.Sprintf("[%d]", strings.Count(c.same, "[")-1) || first(2) != c.joined || first(3) != c.has {
			t.Errorf("%+v", r)
		}
		if again := r.Outputs[4]; string(again.Value) != c.again && (again.Value != nil || first(4) != c.again) {
			t.Errorf("the optional value is %+v", again)
		}
	}
}
