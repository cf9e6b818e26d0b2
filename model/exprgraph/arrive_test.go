package exprgraph_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/exprgraph"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// arrivals are the networks that go all ways: as they are, with a named batch, and
// as float32 networks of float64 graphs.
var arrivals = map[string]struct {
	network func(s *source, batch int) *Node
	of      tensor.Dtype
	float32 bool
	batch   string
}{
	"mlp":               {mlp, tensor.Float32, false, ""},
	"mlp of float64":    {mlp, tensor.Float64, false, ""},
	"mlp, any batch":    {mlp, tensor.Float32, false, "B"},
	"cnn":               {cnn, tensor.Float32, false, ""},
	"cnn to float32":    {cnn, tensor.Float64, true, "B"},
	"pools":             {pools, tensor.Float32, false, "B"},
	"attention":         {attention, tensor.Float32, false, ""},
	"attention, any":    {attention, tensor.Float32, false, "B"},
	"attention float64": {attention, tensor.Float64, false, "B"},
}

// arrival is a network, what it gets and what Gorgonia makes of that.
func arrival(t *testing.T, name string) (c *model.Checkpoint, in map[string]format.Tensor, want Value) {
	t.Helper()
	a := arrivals[name]
	s := newSource(a.of, 5)
	out := a.network(s, 4)
	n := exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{out}, Float32: a.float32}
	if a.batch != "" {
		dims := make([]string, len(s.inputs[0].Shape()))
		dims[0] = a.batch
		n.Dims = map[*Node][]string{s.inputs[0]: dims}
	}
	c, err := exprgraph.Read(n)
	if err != nil {
		t.Fatal(err)
	}
	in = given(s.inputs)
	for name, x := range in {
		if a.float32 && x.DType == format.Float64 {
			in[name], _, _ = x.Convert(format.Float32)
		}
	}
	values, err := byGorgonia(s.g, Nodes{out})
	if err != nil {
		t.Fatal(err)
	}
	return c, in, values[0]
}

// A sealed checkpoint holds all of a network, and equal networks give equal bytes.
func TestCheckpoint(t *testing.T) {
	for name := range arrivals {
		c, in, want := arrival(t, name)
		again, _, _ := arrival(t, name)
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := c.Save(path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var b bytes.Buffer
		if err := again.Write(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if data := must(os.ReadFile(path)); !bytes.Equal(data, b.Bytes()) {
			t.Errorf("%s: two readings give different files", name)
		}
		back, err := model.Load(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if back.Arch != "gorgonia" || back.Seal == nil || graph.Fingerprint(back.Graph) != graph.Fingerprint(c.Graph) || back.Weights.Hash() != c.Weights.Hash() {
			t.Errorf("%s: another model is read back", name)
		}
		same(t, back, in, []Value{want}, 1e-5)
	}
}

// Every network passes Verify in ONNX Runtime. The training engine has no
// convolution, which is no disagreement.
func TestVerify(t *testing.T) {
	lib, err := library.FindOrInstall(t.Context(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	t.Setenv(library.EnvLibrary, lib.Path)
	for name := range arrivals {
		c, _, _ := arrival(t, name)
		file := filepath.Join(t.TempDir(), "model.onnx")
		if _, err := attnx.ExportCheckpoint(t.Context(), c, file, attnx.ExportOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		report, err := attnx.Verify(t.Context(), c, []string{file}, attnx.VerifyOptions{})
		ran := slices.ContainsFunc(report.Results, func(r runtime.Result) bool { return r.Runtime == "ort-cpu" && r.Status == runtime.StatusOK })
		if err != nil || report.Verdict != runtime.Pass || !ran {
			t.Errorf("%s: %v: %+v", name, err, report)
		}
	}
}

// Python's onnx accepts the files, and its onnxruntime computes what Gorgonia does.
func TestPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	args := []string{"-B", "../../fixtures/oracle/gorgonia_runs.py"}
	for name := range arrivals {
		c, in, want := arrival(t, name)
		folder := filepath.Join(t.TempDir(), strings.ReplaceAll(name, " ", "_"))
		if err := os.Mkdir(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := attnx.ExportCheckpoint(t.Context(), c, filepath.Join(folder, "model.onnx"), attnx.ExportOptions{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		write := func(kind string, x format.Tensor) {
			f := must(os.Create(filepath.Join(folder, kind+"."+x.Name+".npy")))
			if err := npy.Write(f, x); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range in {
			write("in", x)
		}
		v, shape := numbers(want)
		write("out", format.FromFloat64s("output", shape, v))
		args = append(args, folder)
	}
	out, err := exec.Command(python, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
