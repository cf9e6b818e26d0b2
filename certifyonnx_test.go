package attnx

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime/ort/library"
)

// Rows of scores of files that PyTorch wrote are certified; in ONNX Runtime each certain row has
// the same highest score.
func TestCertifyONNX(t *testing.T) {
	lib, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, lib)
	const path = "fixtures/train_onnx/lstm/model.onnx"
	o := VerifyOptions{Runtimes: []string{"ort-cpu"}}
	x, err := Certify(t.Context(), path, nil, "", nil, nil, o)
	if err != nil || x.Output != "logits" || x.Tokens != 42 || x.Derived != derivedRows || x.Any != derivedRows || x.Certain != 42 || x.Wrong != 0 || len(x.Runtimes) != 3 {
		t.Fatalf("%+v, %v", x, err)
	}
	if first := x.Each[0]; first.Worst == nil || first.Input == "" || len(first.Parts) == 0 || x.Each[derivedRows].Worst != nil {
		t.Errorf("%+v", x.Each)
	}
	var b strings.Builder
	if err := x.WriteText(&b); err != nil || !strings.Contains(b.String(), "42 rows of logits") || !strings.Contains(b.String(), "derived for 16 of 42") {
		t.Errorf("%v:\n%s", err, &b)
	}
	o.Budget = 1
	if x, err := CertifyONNX(t.Context(), path, o); err != nil || x.Derived != 1 {
		t.Errorf("a budget of 1: %+v, %v", x, err)
	}
	var bad *OptionError
	if _, err := Certify(t.Context(), path, nil, "words.txt", nil, nil, o); !errors.As(err, &bad) || bad.Option != "Text" {
		t.Errorf("a text for an ONNX file: %v", err)
	}
	if _, err := Certify(t.Context(), path, []string{path}, "", nil, nil, o); err == nil || !strings.Contains(err.Error(), "certified alone") {
		t.Errorf("two files: %v", err)
	}
	if _, err := CertifyONNX(t.Context(), "fixtures/train_onnx/mlp/model.onnx", o); err == nil || !strings.Contains(err.Error(), "rows of scores") {
		t.Errorf("a file whose rows have one number: %v", err)
	}
}
