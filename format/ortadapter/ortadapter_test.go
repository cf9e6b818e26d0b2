package ortadapter_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/ortadapter"
)

// Python's onnxruntime reads what is written.
func TestWrite(t *testing.T) {
	tensors := []format.Tensor{
		format.FromFloat32s("h.0.attn.lora_A.weight", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6.5}),
		format.FromFloat32s("b", []int{1}, []float32{-7}),
		format.FromFloat32s("three", []int{3, 1, 1}, []float32{8, 9, 10}),
	}
	var file bytes.Buffer
	if err := ortadapter.Write(&file, tensors, 5); err != nil {
		t.Fatal(err)
	}
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with onnxruntime")
	}
	path := filepath.Join(t.TempDir(), "a.onnx_adapter")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", `
import json, sys, onnxruntime
a = onnxruntime.AdapterFormat.read_adapter(sys.argv[1])
print(json.dumps([a.get_format_version(), a.get_adapter_version(), {n: [list(v.shape()), v.numpy().flatten().tolist()] for n, v in a.get_parameters().items()}]))
`, path).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []json.RawMessage
	var parameters map[string][][]float64
	if err := json.Unmarshal(out, &got); err != nil || json.Unmarshal(got[2], &parameters) != nil || string(got[0]) != "1" || string(got[1]) != "5" || len(parameters) != 3 {
		t.Fatalf("onnxruntime reads %s, %v", out, err)
	}
	for _, want := range tensors {
		x, _ := want.AsFloat64s()
		p := parameters[want.Name]
		if len(p) != 2 || len(p[0]) != len(want.Shape) || !slices.Equal(p[1], x) {
			t.Errorf("%s is %v, expected %v %v", want.Name, p, want.Shape, x)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	err := ortadapter.Write(&bytes.Buffer{}, []format.Tensor{format.FromInt64s("x", []int{1}, []int64{1})}, 0)
	if err == nil || !strings.Contains(err.Error(), "only float32") {
		t.Error(err)
	}
}
