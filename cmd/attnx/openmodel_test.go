package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/runtime/ort"
)

// Where CUDA lacks a kernel, the error names the file, the node and a remedy,
// and keeps its type; other errors stay as they are.
func TestWithoutKernel(t *testing.T) {
	c := wild(t, "gpt2", 256)
	m, err := exportModel(c, form{Options: export.Options{Profile: export.Cache, Fuse: true}})
	if err != nil {
		t.Fatal(err)
	}
	raw := &ort.CUDAError{Missing: ort.MissingKernel, Detail: "nodes that CUDA cannot run", Remedy: "none"}
	err = withoutKernel("fused.onnx", m, raw)
	typed := new(ort.CUDAError)
	if !errors.As(err, &typed) || typed.Missing != ort.MissingKernel {
		t.Errorf("the error lost its type: %v", err)
	}
	for _, part := range []string{"fused.onnx: ", `node "h.0.attn.context"`, "GroupQueryAttention", "--dtype float16"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: it does not say %q", err, part)
		}
	}
	clean, err := exportModel(c, form{Options: export.Options{Profile: export.Cache}})
	if err != nil {
		t.Fatal(err)
	}
	other := errors.New("another")
	if withoutKernel("x", clean, raw) != error(raw) || withoutKernel("x", m, other) != other {
		t.Error("an error that the plan does not explain was changed")
	}
}
