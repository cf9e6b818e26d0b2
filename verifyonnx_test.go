package attnx

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/runtime"
)

// A file of any tool is held to its own graph, at each level of optimization.
func TestVerifyONNX(t *testing.T) {
	report, err := VerifyONNX(context.Background(), []string{textModel(t)}, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if report.Results[0].Status == runtime.StatusUnavailable {
		t.Skip(report.Results[0].Reason)
	}
	if report.Verdict != runtime.Pass || len(report.Results) != 3 || report.Cases <= len(foreignCases) || report.Results[2].Runtime != "ort-cpu (all)" {
		t.Errorf("%+v", report)
	}
	for _, r := range report.Results {
		if r.Cases != report.Cases {
			t.Errorf("%s ran %d cases", r.Runtime, r.Cases)
		}
	}
	if _, err := VerifyONNX(context.Background(), []string{textModel(t)}, VerifyOptions{Runtimes: []string{"gorgonia"}}); err == nil || !strings.Contains(err.Error(), "take ort-cpu, ort-cuda, openvino, openvino (default) or onnx-go") {
		t.Errorf("%v", err)
	}
}

// Further files are judged in layers: a file in which only names are others is
// identical, and one with another attribute is different.
func TestVerifyONNXLayers(t *testing.T) {
	original := smallModel(t)
	write := func(name string, edit func(m *onnx.Model)) string {
		m, err := onnx.DecodeFile(original)
		if err != nil {
			t.Fatal(err)
		}
		edit(m)
		path := filepath.Join(t.TempDir(), name)
		if err := writeTo(path, m.Encode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	same := write("same.onnx", func(m *onnx.Model) { renamed(m, true, true) })
	other := write("other.onnx", func(m *onnx.Model) {
		renamed(m, true, true)
		n := m.Graph.Nodes[slices.IndexFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "Relu" })]
		n.Op = "Tanh"
	})
	report, err := VerifyONNX(context.Background(), []string{original, same, other}, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Files) != 2 || report.Files[0].Layer != runtime.IdenticalLayer || report.Files[0].File != same || report.Files[1].Layer != runtime.DifferentLayer {
		t.Errorf("%+v", report.Files)
	}
	if report.Verdict != runtime.Fail || !strings.Contains(report.Reason, "other.onnx") {
		t.Errorf("%s: %s", report.Verdict, report.Reason)
	}
}

// A runtime that computes something else fails: here it opens another file than
// the oracle.
func TestVerifyONNXFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	write := func(op string) {
		var b bytes.Buffer
		err := (&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{Name: "g",
			Inputs:  []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true}, {Value: 3}}}},
			Nodes:   []*onnx.Node{{Op: op, Inputs: []string{"x"}, Outputs: []string{"y"}}},
			Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
		}}).Encode(&b)
		if err = errors.Join(err, os.WriteFile(path, b.Bytes(), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	write("Sin")
	v := &onnxVerification{options: VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1}}
	if err := v.open([]string{path}); err != nil {
		t.Fatal(err)
	}
	defer v.close()
	write("Cos") // what the runtime opens
	report, err := v.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if report.Results[0].Status == runtime.StatusUnavailable {
		t.Skip(report.Results[0].Reason)
	}
	for _, r := range report.Results {
		if r.Status != runtime.StatusFail || r.MaxAbs < 0.1 {
			t.Errorf("%+v", r)
		}
	}
}
