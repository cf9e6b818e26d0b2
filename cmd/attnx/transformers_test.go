package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime/ort"
)

// A GPT-2 that transformers wrote, imported and exported: ONNX Runtime gives
// PyTorch's logits.
func TestTransformersToONNX(t *testing.T) {
	path, err := onnxRuntime(t)
	if err != nil {
		t.Skip("no ONNX Runtime")
	}
	golden, err := fixtures.Transformers()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, fixtures.FS); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fixtures.Tensor{"whole": golden.Whole, "sharded": golden.Whole, "half": golden.Half} {
		c, _, err := find.Load(filepath.Join(folder, "transformers_gpt2", name), nil, model.LoadModel)
		if err != nil {
			t.Fatal(err)
		}
		data, err := attnx.ExportBytes(c, export.Plain{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := ort.OpenBytes(data, ort.Options{Library: path, Device: "cpu"})
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, v := range golden.InputIDs.Data {
			ids = append(ids, int64(v))
		}
		out, err := s.Run(map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", golden.InputIDs.Shape, ids)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := out["logits"].AsFloat64s()
		if err != nil || len(got) != len(want.Data) {
			t.Fatalf("%s: %d logits, want %d: %v", name, len(got), len(want.Data), err)
		}
		worst := 0.0
		for i, w := range want.Data {
			worst = max(worst, math.Abs(got[i]-w))
		}
		t.Logf("%s: the largest difference from PyTorch is %.2g", name, worst)
		if !(worst < 1e-4) {
			t.Errorf("%s: the largest difference from PyTorch is %g", name, worst)
		}
		s.Close()
	}
}
