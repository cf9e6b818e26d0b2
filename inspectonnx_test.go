package attnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/runtime"
)

// What inspect says of a file of another tool is what run does: an operator that the
// exporter does not write is not marked if the oracle reads it.
func TestInspectSaysWhatRuns(t *testing.T) {
	model := func(op string) *onnx.Model {
		m := hostileModel(nil, hostileNode(op, "y", nil, "x"))
		m.Graph.Outputs[0] = onnx.ValueInfo{Name: "y", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: "a"}, {Open: true, Param: "b"}}}
		return m
	}
	inspected := func(op string) (Inspection, error) {
		path := filepath.Join(t.TempDir(), "model.onnx")
		f, err := os.Create(path)
		if err == nil {
			err = model(op).Encode(f)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		x, err := Inspect(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = RunONNX(path, RunOptions{Options: Options{Runtime: Oracle}})
		return x, err
	}
	for _, op := range []string{"ReduceL2", "Elu"} {
		if onnx.Check(model(op), "") == nil {
			t.Errorf("the exporter's table has %s: choose another operator", op)
		}
		x, err := inspected(op)
		if err != nil || len(x.CannotRun) > 0 || !x.Operators[0].Runs {
			t.Errorf("%s: run says %v, inspect %q, %+v", op, err, x.CannotRun, x.Operators)
		}
	}
	x, err := inspected("NoSuchOperator")
	if err == nil || len(x.CannotRun) == 0 || x.Operators[0].Runs || !strings.Contains(x.Operators[0].WhyNot, "only a runtime") {
		t.Errorf("run says %v, inspect %q, %+v", err, x.CannotRun, x.Operators)
	}
}

// inspect says of a file that no runtime ends, or that no memory holds, that it is so, and where.
func TestInspectSaysWhatNeverEnds(t *testing.T) {
	condition := &onnx.Node{Op: "Constant", Outputs: []string{"on"}, Attributes: []onnx.Attribute{{Name: "value", Type: onnx.AttrTensor, Tensor: &onnx.Tensor{DataType: onnx.Bool, Raw: []byte{1}}}}}
	body := func(step *onnx.Node) onnx.Attribute {
		return onnx.Attribute{Name: "body", Type: onnx.AttrGraph, Graph: &onnx.Graph{Name: "body",
			Inputs:  []onnx.ValueInfo{{Name: "i", DataType: onnx.Int64}, {Name: "was", DataType: onnx.Bool}, {Name: "v", DataType: onnx.Float, NoShape: true}},
			Nodes:   []*onnx.Node{condition, step},
			Outputs: []onnx.ValueInfo{{Name: "on", DataType: onnx.Bool}, {Name: "w", DataType: onnx.Float, NoShape: true}},
		}}
	}
	grown := hostileNode("Concat", "w", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "v", "v")
	for want, m := range map[string]*onnx.Model{
		`node "y": Loop: it never ends`:                                   hostileModel(nil, hostileNode("Loop", "y", []onnx.Attribute{body(hostileNode("Neg", "w", nil, "v"))}, "", "", "x")),
		"with each open size 1 its result has the shape [137438953472 2]": hostileModel([]*onnx.Tensor{hostileInts("n", 60)}, hostileNode("Loop", "y", []onnx.Attribute{body(grown)}, "n", "", "x")),
	} {
		path := filepath.Join(t.TempDir(), "m.onnx")
		if err := writeTo(path, m.Encode); err != nil {
			t.Fatal(err)
		}
		x, err := Inspect(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(x.CannotRun, "\n"); !strings.Contains(all, want) {
			t.Errorf("inspect says %q, expected %s", all, want)
		}
	}
}

// Drawn sizes that do not fit one another are left out, where others fit.
func TestSizesThatDoNotFit(t *testing.T) {
	open := func(name, dim string) onnx.ValueInfo {
		return onnx.ValueInfo{Name: name, DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: dim}, {Value: 3}}}
	}
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{Name: "g",
		Inputs: []onnx.ValueInfo{open("x", "N"), open("z", "M")},
		Nodes: []*onnx.Node{
			hostileNode("Concat", "both", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "x", "z"),
			hostileNode("Add", "y", nil, "both", "x"), // which N = 1 allows
		},
		Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
	}}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := writeTo(path, m.Encode); err != nil {
		t.Fatal(err)
	}
	report, err := VerifyONNX(t.Context(), []string{path}, VerifyOptions{Runtimes: []string{"ort-cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	if report.Results[0].Status == runtime.StatusUnavailable {
		t.Skip(report.Results[0].Reason)
	}
	if report.Verdict != runtime.Pass || report.Cases < 1 || report.Cases >= len(foreignCases) {
		t.Errorf("%d cases, %+v", report.Cases, report)
	}
}
