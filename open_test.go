package attnx

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime/ort"
)

// Where CUDA lacks a kernel, the error names the file, the node and a remedy,
// and keeps its type; other errors stay as they are.
func TestWithoutKernel(t *testing.T) {
	c, err := model.New(arch.GPT2{Vocab: 96, Context: 256, Width: 32, Layers: 2, Heads: 2, Inner: 64, Epsilon: 1e-5}, 8)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := ExportModel(c, export.Cache{Fuse: true})
	if err != nil {
		t.Fatal(err)
	}
	raw := &ort.CUDAError{Missing: ort.MissingKernel, Detail: "nodes that CUDA cannot run", Remedy: "none"}
	err = withoutKernel("fused.onnx", m, raw)
	typed := new(ort.CUDAError)
	if !errors.As(err, &typed) || typed.Missing != ort.MissingKernel {
		t.Errorf("the error lost its type: %v", err)
	}
	for _, part := range []string{"fused.onnx: ", `node "h.0.attn.context"`, "GroupQueryAttention", "in float16"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: it does not say %q", err, part)
		}
	}
	clean, _, err := ExportModel(c, export.Cache{})
	if err != nil {
		t.Fatal(err)
	}
	other := errors.New("another")
	if withoutKernel("x", clean, raw) != error(raw) || withoutKernel("x", m, other) != other {
		t.Error("an error that the plan does not explain was changed")
	}
}
