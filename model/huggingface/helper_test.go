package huggingface_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/runtime/ref"
)

// unpacked returns a copy of a folder that transformers wrote: whole, sharded
// or half.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	from, err := fs.Sub(fixtures.FS, "transformers_gpt2/"+name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, from); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustRead(t *testing.T, folder string) (*model.Checkpoint, format.Rounding) {
	t.Helper()
	c, report, err := huggingface.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	return c, report.Rounding
}

// wantRefused checks that a folder is refused in one short line that begins
// with a path in it and says what is wanted.
func wantRefused(t *testing.T, folder, want string) {
	t.Helper()
	_, _, err := huggingface.Read(folder)
	switch {
	case err == nil:
		t.Errorf("accepted, want it to say %q", want)
	case !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), folder):
		t.Errorf("got %v, want it to begin with %s and to say %q", err, folder, want)
	case strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 600:
		t.Errorf("the message is not one short line: %q", err)
	}
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit changes the JSON object in a file. A null in change takes a member away;
// json.RawMessage("null") writes one.
func edit(t *testing.T, path string, change map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	for name, v := range change {
		if o[name] = v; v == nil {
			delete(o, name)
		}
	}
	if text, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
	put(t, path, text)
}

// tensorsOf returns the tensors of a file.
func tensorsOf(t *testing.T, path string) (out []format.Tensor) {
	t.Helper()
	f, err := format.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, i := range f.Tensors() {
		x, err := f.Tensor(i.Name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// putTensors writes a plain file of tensors.
func putTensors(t *testing.T, path string, tensors []format.Tensor) {
	t.Helper()
	h := format.Header{Metadata: map[string]string{"format": "pt"}}
	for _, x := range tensors {
		h.Tensors = append(h.Tensors, x.Info())
	}
	var b bytes.Buffer
	w := format.NewWriter(&b, h)
	for _, x := range tensors {
		w.Add(x)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, path, b.Bytes())
}

// change rewrites the tensors of a file.
func change(t *testing.T, path string, f func([]format.Tensor) []format.Tensor) {
	t.Helper()
	putTensors(t, path, f(tensorsOf(t, path)))
}

func ids(t *testing.T, x fixtures.Tensor) format.Tensor {
	t.Helper()
	v := make([]int64, len(x.Data))
	for i := range v {
		v[i] = int64(x.Data[i])
	}
	return format.FromInt64s("input_ids", x.Shape, v)
}

// logits runs a model on the float64 oracle.
func logits(t *testing.T, c *model.Checkpoint, ids format.Tensor) []float64 {
	t.Helper()
	o, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Run(map[string]format.Tensor{"input_ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	v, err := out["logits"].Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantClose compares logits with PyTorch's, which are sums in float32.
func wantClose(t *testing.T, what string, got []float64, want fixtures.Tensor) {
	t.Helper()
	if len(got) != len(want.Data) || len(got) == 0 {
		t.Fatalf("%s: %d logits, PyTorch has %d", what, len(got), len(want.Data))
	}
	worst := 0.0
	for i, x := range got {
		worst = max(worst, math.Abs(x-want.Data[i])) // max passes a NaN on
	}
	if !(worst <= 1e-4) {
		t.Errorf("%s: the logits differ from PyTorch's by up to %g", what, worst)
	}
	t.Logf("%s: the logits differ from PyTorch's by at most %.2g", what, worst)
}

// oracle runs a script of fixtures/oracle and returns what it prints.
func oracle(t *testing.T, python, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(python, append([]string{"-B", "../../fixtures/oracle/" + script}, args...)...)
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %.4000s", err, stderr.Bytes())
	}
	return out
}
