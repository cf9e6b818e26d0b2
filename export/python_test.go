package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// python returns the interpreter that ATTNX_PYTHON names, if it has the
// package, and the path of a script of fixtures/oracle.
func python(t *testing.T, pkg, script string) (interpreter, path string) {
	t.Helper()
	interpreter = os.Getenv("ATTNX_PYTHON")
	if interpreter == "" {
		t.Skipf("ATTNX_PYTHON is not set: name a Python interpreter that has the package %s", pkg)
	}
	if out, err := exec.Command(interpreter, "-c", "import "+pkg).CombinedOutput(); err != nil {
		t.Skipf("%s has no package %s: %s", interpreter, pkg, out)
	}
	path, err := filepath.Abs("../fixtures/oracle/" + script)
	if err != nil {
		t.Fatal(err)
	}
	return interpreter, path
}

// The ONNX project's checker accepts every form that is written.
func TestPythonChecker(t *testing.T) {
	interpreter, script := python(t, "onnx", "check_onnx.py")
	dir := t.TempDir()
	args := []string{script}
	for _, arch := range []string{gpt2, simple} {
		g, w := network(t, config(arch, 2))
		for name, o := range map[string]export.Profile{
			"plain":    export.Plain{},
			"plain-18": export.Plain{Opset: 18},
			"plain-21": export.Plain{Opset: 21},
			"flat":     export.Flat{},
			"flat-8":   export.Flat{Length: 8, Opset: 9},
		} {
			path := filepath.Join(dir, arch+"-"+name+".onnx")
			if _, err := export.File(path, g, w, o); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
	}
	out, err := exec.Command(interpreter, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)

	// The script can tell: a node that uses what nothing defines.
	bad := filepath.Join(dir, "bad.onnx")
	data, err := os.ReadFile(args[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, bytes.Replace(data, []byte("token_embeddings"), []byte("token_embeddinks"), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(interpreter, script, "--expect-reject", bad).CombinedOutput(); err != nil {
		t.Errorf("a dangling name was accepted: %s", out)
	}
}

// Python's ONNX Runtime gives the oracle's logits.
func TestPythonRuntime(t *testing.T) {
	interpreter, script := python(t, "onnxruntime", "check_onnxruntime.py")
	for _, arch := range []string{gpt2, simple} {
		g, w := network(t, config(arch, 2))
		path := filepath.Join(t.TempDir(), "model.onnx")
		if _, err := export.File(path, g, w, export.Plain{}); err != nil {
			t.Fatal(err)
		}
		oracle, err := ref.New(g, w)
		if err != nil {
			t.Fatal(err)
		}
		c := runtime.NewCase(3, 7, vocab, 1)
		got := ranBy(t, interpreter, script, path, c)
		want, err := oracle.Run(c.Inputs())
		if err != nil {
			t.Fatal(err)
		}
		d := runtime.CompareWithin(1e-4, want["logits"], got)
		if !d.Within {
			t.Errorf("%s: %s %v", arch, d.Reason, d.FirstBad)
		}
		t.Logf("%s: largest error %.2e", arch, d.MaxAbs)
	}
}

// ranBy returns the logits that a script of Python's computes with a file.
func ranBy(t *testing.T, interpreter, script, path string, c runtime.Case) format.Tensor {
	t.Helper()
	rows := make([][]int64, c.Batch)
	for i := range rows {
		rows[i] = c.IDs[i*c.Length : (i+1)*c.Length]
	}
	stdin, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, script, path)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		bad := new(exec.ExitError)
		errors.As(err, &bad)
		t.Fatalf("%v: %s%s", err, out, bad.Stderr)
	}
	var got struct {
		Shape []int
		Data  []float32
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return format.FromFloat32s("logits", got.Shape, got.Data)
}

// Where each operator is computed in the type of what it reads, as on a GPU, a
// normalization of operators of one step each does not overflow float16.
func TestPythonHalfOfPrimitives(t *testing.T) {
	interpreter, script := python(t, "onnx", "onnx_reference.py")
	for name := range primitives {
		g, w := network(t, primitive(name))
		path := filepath.Join(t.TempDir(), "model.onnx")
		writeModel(t, path, written(t, g, w, export.Plain{DType: format.Float16}))
		c := runtime.NewCase(3, 7, vocab, 1)
		want, got := run(t, oracle(t, g, w), c.Inputs())["logits"], ranBy(t, interpreter, script, path, c)
		if d := runtime.CompareWithin(4e-2, want, got); !d.Within {
			t.Errorf("%s: %v %s", name, d.FirstBad, d.Reason)
		}
	}
}

// The ONNX project's checker accepts every profile with every numbers.
func TestPythonCheckerNumbers(t *testing.T) {
	interpreter, script := python(t, "onnx", "check_onnx.py")
	dir := t.TempDir()
	args := []string{script}
	for arch, n := range map[string]nn.Network{gpt2: config(gpt2, 2), simple: config(simple, 2), "llama": llamas["grouped queries"]} {
		for profile := range profileForms {
			for name, o := range numberForms {
				path := filepath.Join(dir, arch+"-"+profile+"-"+name+".onnx")
				writeModel(t, path, numbered(t, n, profile, o))
				args = append(args, path)
			}
		}
	}
	if out, err := exec.Command(interpreter, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func writeModel(t *testing.T, path string, m *onnx.Model) {
	t.Helper()
	if err := store.Save(path, m.Encode); err != nil {
		t.Fatal(err)
	}
}

// NumPy makes the same integers of the weights, and the same products of them;
// ONNX Runtime makes one operator of each.
func TestPythonQuantized(t *testing.T) {
	interpreter, script := python(t, "onnxruntime", "check_quantized.py")
	for arch, c := range map[string]nn.Network{ // blocks of 32: whole ones and halves
		gpt2: sized(gpt2, 2, 48, 80), simple: sized(simple, 2, 48, 80), "somebody/llama": llama{Heads: 6, Groups: 2, HeadWidth: 8, Rotary: nn.Rotary{Theta: 10000}},
	} {
		dir := t.TempDir()
		float := filepath.Join(dir, "float32.onnx")
		writeModel(t, float, numbered(t, c, "plain", precision.Form{}))
		for _, form := range []string{"int8", "int4"} {
			path := filepath.Join(dir, form+".onnx")
			writeModel(t, path, numbered(t, c, "plain", numberForms[form]))
			if out, err := exec.Command(interpreter, script, float, path).CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v\n%s", arch, form, err, out)
			}
		}
		// The script can tell: a weight that is not the one quantized.
		other := numbered(t, c, "plain", precision.Form{})
		for _, x := range other.Graph.Initializers {
			if strings.HasSuffix(x.Name, ".weight") && len(x.Dims) == 2 {
				x.Raw = bytes.Clone(x.Raw)
				x.Raw[3] ^= 0x80 // the sign of its first number
			}
		}
		writeModel(t, float, other)
		if out, err := exec.Command(interpreter, script, float, filepath.Join(dir, "int8.onnx")).CombinedOutput(); err == nil {
			t.Errorf("%s: another weight was accepted: %s", arch, out)
		}
	}
}
