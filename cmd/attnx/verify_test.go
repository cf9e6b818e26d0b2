package main

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime"
)

// TestVerifyFlatLength has a context that a flat network is not made for
// unasked: onnx-go runs the cases that are shorter, and says how many.
func TestVerifyFlatLength(t *testing.T) {
	const flatLength = 128
	c, err := model.New(arch.GPT2{Vocab: 5, Context: 3 * flatLength, Layers: 1, Heads: 1, Width: 4, Inner: 4, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "long.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, k := range runtime.Cases(c.Vocab(), c.Context(), 1) {
		if k.Length <= flatLength {
			want++
		}
	}
	var out, errs strings.Builder
	if code := run([]string{"verify", path, "--runtimes", "onnx-go", "--budget", strconv.Itoa(runtime.DefaultBudget), "--json"}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var report runtime.Report
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatal(err)
	}
	if r := report.Results[0]; r.Cases != want || r.Cases == report.Cases {
		t.Errorf("onnx-go ran %d of %d cases, want %d", r.Cases, report.Cases, want)
	}
}
