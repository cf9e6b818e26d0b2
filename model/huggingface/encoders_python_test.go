package huggingface_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/runtime/ref"
)

// TestEncoders has transformers write random encoders in several configurations,
// with each of their heads and without. Read here they have PyTorch's outputs;
// written back, transformers knows each weight and has the same outputs.
func TestEncoders(t *testing.T) { everyHead(t, "huggingface_encoders.py") }

// TestHeads is TestEncoders for decoders without a head, or with that of a
// classifier.
func TestHeads(t *testing.T) { everyHead(t, "huggingface_heads.py") }

func everyHead(t *testing.T, script string) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: transformers is not asked")
	}
	if err := exec.Command(python, "-c", "import numpy, torch, transformers").Run(); err != nil {
		t.Skipf("%s (ATTNX_PYTHON) has no numpy, torch and transformers: transformers is not asked", python)
	}
	dir := filepath.Join(t.TempDir(), "made")
	oracle(t, python, script, "--make", dir)
	var made struct {
		Inputs map[string][][]int64 `json:"inputs"`
		Cases  []struct {
			Name    string               `json:"name"`
			Class   string               `json:"class"`
			Outputs map[string][]float64 `json:"outputs"`
		} `json:"cases"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &made); err != nil || len(made.Cases) < 30 {
		t.Fatalf("%d cases, %v", len(made.Cases), err)
	}
	inputs := map[string]format.Tensor{}
	for name, rows := range made.Inputs {
		inputs[name] = format.FromInt64s(name, []int{len(rows), len(rows[0])}, slices.Concat(rows...))
	}
	var written []string
	for _, c := range made.Cases {
		got, _ := mustRead(t, filepath.Join(dir, c.Name))
		wantOutputs(t, c.Name, outputsOf(t, got, inputs), c.Outputs)
		back := filepath.Join(dir, "back of "+c.Name)
		if _, err := huggingface.Write(back, got, format.Float32); err != nil {
			t.Fatal(err)
		}
		again, _ := mustRead(t, back)
		if !bytes.Equal(again.Config, got.Config) || again.Weights.Hash() != got.Weights.Hash() {
			t.Errorf("%s: written and read back it is another model: %s, %s", c.Name, again.Config, got.Config)
		}
		written = append(written, back)
	}
	var opened []struct {
		Class   string               `json:"class"`
		Labels  []string             `json:"labels"`
		Problem string               `json:"problem"`
		Outputs map[string][]float64 `json:"outputs"`
	}
	for _, name := range []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM"} { // transformers 5, and 4
		python := os.Getenv(name)
		if python == "" || name != "ATTNX_PYTHON" && !fixtures.Exhaustive() {
			continue
		}
		if err := json.Unmarshal(oracle(t, python, script, append([]string{"--open"}, written...)...), &opened); err != nil {
			t.Fatal(err)
		}
		for i, c := range made.Cases {
			wantOutputs(t, name+": "+c.Name+" written back", opened[i].Outputs, c.Outputs)
			if want := map[string]string{"BertForPreTraining": "BertForMaskedLM"}[c.Class]; opened[i].Class != c.Class && opened[i].Class != want {
				t.Errorf("%s: transformers opens it as %s", c.Name, opened[i].Class)
			}
			got, _ := mustRead(t, written[i])
			n, err := got.Network()
			if err != nil {
				t.Fatal(err)
			}
			labels, problem := n.(interface{ Labels() ([]string, string) }).Labels()
			if strings.Contains(c.Class, "Classification") != (len(labels) > 0) {
				t.Errorf("%s: %s has the classes %q", c.Name, c.Class, labels)
			}
			if len(labels) > 0 && (!slices.Equal(labels, opened[i].Labels) || problem != opened[i].Problem) {
				t.Errorf("%s: the classes are %q %q, transformers has %q %q", c.Name, labels, problem, opened[i].Labels, opened[i].Problem)
			}
		}
	}
}

// outputsOf runs a model on the float64 oracle, with those of the inputs that it
// has.
func outputsOf(t *testing.T, c *model.Checkpoint, inputs map[string]format.Tensor) map[string][]float64 {
	t.Helper()
	o, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]format.Tensor{}
	for _, in := range c.Graph.Inputs {
		given[in.Name] = inputs[in.Name]
	}
	tensors, err := o.Run(given)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float64{}
	for name, x := range tensors {
		if out[name], err = x.Float64s(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// wantOutputs compares outputs with PyTorch's, which are sums in float64 of
// weights in float32.
func wantOutputs(t *testing.T, what string, got, want map[string][]float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d outputs, PyTorch has %d", what, len(got), len(want))
	}
	for name, x := range want {
		if len(got[name]) != len(x) {
			t.Errorf("%s: %s has %d elements, PyTorch's %d", what, name, len(got[name]), len(x))
			continue
		}
		worst, scale := 0.0, 1.0
		for i := range x {
			worst, scale = max(worst, math.Abs(x[i]-got[name][i])), max(scale, math.Abs(x[i])) // max passes a NaN on
		}
		if !(worst <= 1e-4*scale) {
			t.Errorf("%s: %s differs from PyTorch's by up to %g", what, name, worst)
		}
		t.Logf("%s: %s differs from PyTorch's by at most %.2g", what, name, worst)
	}
}
