package schema

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// The numbers are from ONNX's docs/Operators.md and ONNX Runtime's
// docs/ContribOperators.md.
func TestLookup(t *testing.T) {
	for _, c := range []struct {
		domain, name   string
		version, since int64
		inputs         [2]int
		outputs        [2]int
	}{
		{"", "Add", 7, 7, [2]int{2, 2}, [2]int{1, 1}},
		{"ai.onnx", "Add", 12, 7, [2]int{2, 2}, [2]int{1, 1}},
		{"", "Concat", 13, 13, [2]int{1, Many}, [2]int{1, 1}},
		{"", "Clip", 11, 11, [2]int{1, 3}, [2]int{1, 1}},
		{"", "Loop", 13, 13, [2]int{2, Many}, [2]int{1, Many}},
		{"", "LSTM", 14, 14, [2]int{3, 8}, [2]int{0, 3}},
		{"ai.onnx.ml", "TreeEnsemble", 5, 5, [2]int{1, 1}, [2]int{1, 1}},
		{"com.microsoft", "MatMulNBits", 1, 1, [2]int{3, 6}, [2]int{1, 1}},
		{"com.microsoft", "FusedMatMul", 1, 1, [2]int{2, 2}, [2]int{1, 1}},
	} {
		o := Lookup(c.domain, c.name, c.version)
		if o == nil || o.Since != c.since || [2]int{o.MinInputs, o.MaxInputs} != c.inputs || [2]int{o.MinOutputs, o.MaxOutputs} != c.outputs {
			t.Errorf("%s %s in version %d: %+v", c.domain, c.name, c.version, o)
		}
	}
	for _, missing := range []struct {
		name    string
		version int64
	}{{"Gelu", 19}, {"NoSuch", 20}, {"Add", 0}} {
		if o := Lookup("", missing.name, missing.version); o != nil {
			t.Errorf("%s of version %d is there: %+v", missing.name, missing.version, o)
		}
	}
	if o := Lookup("", "Upsample", 10); o == nil || !o.Deprecated {
		t.Errorf("Upsample-10 is not deprecated: %+v", o)
	}
	if Newest("") < 28 || Newest("com.microsoft") != 1 || Newest("my") != 0 || IRVersion() < 14 {
		t.Errorf("newest %d, %d, %d, IR version %d", Newest(""), Newest("com.microsoft"), Newest("my"), IRVersion())
	}
}

func TestAttributes(t *testing.T) {
	cast := Lookup("", "Cast", 24)
	if a := cast.Attribute("to"); a == nil || !a.Required || a.Type != onnx.AttrInt || a.Default != nil {
		t.Errorf("to: %+v", a)
	}
	if a := cast.Attribute("round_mode"); a == nil || string(a.Default.String) != "up" {
		t.Errorf("round_mode: %+v", a)
	}
	if a := Lookup("", "LeakyRelu", 16).Attribute("alpha"); a == nil || a.Default.Float != 0.01 {
		t.Errorf("alpha: %+v", a)
	}
	if a := Lookup("", "MeanVarianceNormalization", 13).Attribute("axes"); !slices.Equal(a.Default.Ints, []int64{0, 2, 3}) {
		t.Errorf("axes: %+v", a)
	}
	if a := cast.Attribute("axis"); a != nil {
		t.Errorf("axis: %+v", a)
	}
}

func TestTypes(t *testing.T) {
	add := Lookup("", "Add", 14)
	if p := add.Input(1); p.Variable != "T" || !p.Takes("bfloat16") || p.Takes("bool") || add.Input(2) != nil {
		t.Errorf("Add: %+v", p)
	}
	loop := Lookup("", "Loop", 16)
	tensor := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float}
	sequence := &onnx.Type{Kind: onnx.OptionalType, Elem: &onnx.Type{Kind: onnx.SequenceType, Elem: tensor}}
	if p := loop.Input(7); p == nil || !p.Mixed || !p.Takes(TypeName(tensor)) || !p.Takes(TypeName(sequence)) {
		t.Errorf("Loop: %+v", p)
	}
	if p := Lookup("ai.onnx.ml", "ZipMap", 1).Output(0); !p.Takes(TypeName(&onnx.Type{Kind: onnx.SequenceType,
		Elem: &onnx.Type{Kind: onnx.MapType, DataType: onnx.Int64, Elem: tensor}})) {
		t.Errorf("ZipMap: %+v", p)
	}
	if !slices.Equal(Lookup("", "BatchNormalization", 15).OutputCounts, []int{1, 3}) {
		t.Error("BatchNormalization has 1 or 3 outputs")
	}
}

// Every definition is whole: names, sorted lists, a type for each parameter.
func TestAll(t *testing.T) {
	if n := len(All()); n < 800 {
		t.Errorf("%d definitions", n)
	}
	for _, o := range All() {
		for _, p := range slices.Concat(o.Inputs, o.Outputs) {
			if p.Name == "" || p.Variable == "" || !slices.IsSorted(p.Types) || len(p.Types) == 0 || slices.Contains(p.Types, "") {
				t.Errorf("%s-%d: %+v", o.Name, o.Since, p)
			}
		}
		if !slices.IsSortedFunc(o.Attributes, func(a, b Attribute) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) }) {
			t.Errorf("%s-%d: attributes are not sorted", o.Name, o.Since)
		}
		for _, a := range o.Attributes {
			if o.Attribute(a.Name) == nil || a.Type < onnx.AttrFloat || a.Type > onnx.AttrTypes {
				t.Errorf("%s-%d: attribute %+v", o.Name, o.Since, a)
			}
		}
	}
}

// A table that was changed is refused, and says where.
func TestBrokenTable(t *testing.T) {
	for _, line := range []string{"op\tai.onnx", "op\tai.onnx\tAdd\tx\t\t\t\t\t", "op\tai.onnx\tAdd\t1\tz\t\t\t\t", "op\tai.onnx\tAdd\t1\t\tA\t\t\t", "op\tai.onnx\tAdd\t1\t\t\t\ta:x\t", "what"} {
		if _, err := parse(line + "\n"); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

// The table is what the script writes today.
func TestMade(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with onnx and onnxruntime to make the table again")
	}
	cmd := exec.Command(python, "-B", filepath.Join("..", "..", "..", "fixtures", "oracle", "onnx_schemas.py"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	made, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	head := func(b []byte) string { return string(b[:bytes.Index(b, []byte("\nopset"))]) }
	if ours := []byte(schemasTSV); head(made) != head(ours) {
		t.Skipf("the Python has %q, the table is of %q", head(made), head(ours))
	} else if !bytes.Equal(made, ours) {
		t.Error("schemas.tsv differs from what fixtures/oracle/onnx_schemas.py writes")
	}
}
