package huggingface_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/huggingface"
)

// The tiny folders that transformers wrote have PyTorch's outputs, and so has what is
// written of them.
func TestGoldenArchitectures(t *testing.T) {
	const dir = "testdata/architectures"
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Inputs map[string][][]int64            `json:"inputs"`
		Cases  map[string]map[string][]float64 `json:"cases"`
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	inputs := map[string]format.Tensor{}
	for name, rows := range golden.Inputs {
		inputs[name] = format.FromInt64s(name, []int{len(rows), len(rows[0])}, slices.Concat(rows...))
	}
	known := map[string]bool{"t5": true, "marian": true} // see seq2seq_test.go
	for name, want := range golden.Cases {
		got, _ := mustRead(t, filepath.Join(dir, name))
		known[got.Arch] = true
		for output, x := range outputsOf(t, got, inputs) {
			worst, scale := 0.0, 1.0
			if len(x) != len(want[output]) {
				t.Errorf("%s: %s has %d elements, PyTorch's %d", name, output, len(x), len(want[output]))
				continue
			}
			for i, y := range want[output] {
				worst, scale = max(worst, math.Abs(x[i]-y)), max(scale, math.Abs(y))
			}
			if !(worst <= 2e-6*scale) { // rotary positions are float32 in transformers
				t.Errorf("%s: %s differs from PyTorch's by up to %g", name, output, worst)
			}
		}
		back := filepath.Join(t.TempDir(), "back")
		if _, err := huggingface.Write(back, got, format.BFloat16); err != nil {
			t.Fatal(err)
		}
		again, _ := mustRead(t, back)
		if !bytes.Equal(again.Config, got.Config) || again.Weights.Hash() != got.Weights.Hash() {
			t.Errorf("%s: written and read back it is another model", name)
		}
	}
	known["t5"], known["marian"] = true, true // TestSmallTranslators
	for _, arch := range huggingface.Known() {
		if !known[arch] {
			t.Errorf("%s has no golden folder: add it to fixtures/oracle/architectures_golden.py", arch)
		}
	}
}
