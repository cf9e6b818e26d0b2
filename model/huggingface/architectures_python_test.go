package huggingface_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// TestArchitectures has transformers write random models of every architecture
// in several configurations. Read here they have PyTorch's logits and greedy
// tokens; written back, transformers knows each weight and has the same logits.
func TestArchitectures(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: transformers is not asked")
	}
	if err := exec.Command(python, "-c", "import numpy, torch, transformers").Run(); err != nil {
		t.Skipf("%s (ATTNX_PYTHON) has no numpy, torch and transformers: transformers is not asked", python)
	}
	dir := filepath.Join(t.TempDir(), "made")
	oracle(t, python, "huggingface_architectures.py", "--make", dir)
	var made struct {
		InputIDs [][]int64 `json:"input_ids"`
		Cases    []struct {
			Name   string    `json:"name"`
			Logits []float64 `json:"logits"`
			Greedy []int64   `json:"greedy"`
		} `json:"cases"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &made); err != nil || len(made.Cases) < 30 {
		t.Fatalf("%d cases, %v", len(made.Cases), err)
	}
	ids := format.FromInt64s("input_ids", []int{len(made.InputIDs), len(made.InputIDs[0])}, slices.Concat(made.InputIDs...))
	var written []string
	for _, c := range made.Cases {
		t.Run(c.Name, func(t *testing.T) {
			got, _ := mustRead(t, filepath.Join(dir, c.Name))
			wantClose(t, "read", logits(t, got, ids), fixtures.Tensor{Data: c.Logits})
			if text := greedy(t, got, made.InputIDs[0], len(c.Greedy)); !slices.Equal(text, c.Greedy) {
				t.Errorf("greedy tokens %d, transformers has %d", text, c.Greedy)
			}
		})
		got, _ := mustRead(t, filepath.Join(dir, c.Name))
		back := filepath.Join(dir, "back of "+c.Name)
		if _, err := huggingface.Write(back, got, format.Float32); err != nil {
			t.Fatal(err)
		}
		again, _ := mustRead(t, back)
		if !bytes.Equal(again.Config, got.Config) || again.Weights.Hash() != got.Weights.Hash() {
			t.Errorf("%s: written and read back it is another model", c.Name)
		}
		written = append(written, back)
	}
	var opened []struct {
		Class  string    `json:"class"`
		Logits []float64 `json:"logits"`
	}
	for _, name := range []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM"} { // transformers 5, and 4
		python := os.Getenv(name)
		if python == "" || name != "ATTNX_PYTHON" && !fixtures.Exhaustive() {
			continue
		}
		if err := json.Unmarshal(oracle(t, python, "huggingface_architectures.py", append([]string{"--open"}, written...)...), &opened); err != nil {
			t.Fatal(err)
		}
		for i, c := range made.Cases {
			wantClose(t, name+": "+c.Name+" written back", opened[i].Logits, fixtures.Tensor{Data: c.Logits})
			kind, _, _ := strings.Cut(c.Name, ",")
			kind = strings.ReplaceAll(strings.TrimSuffix(kind, "_text"), "_", "")
			if !strings.EqualFold(strings.TrimSuffix(strings.TrimSuffix(opened[i].Class, "ForCausalLM"), "LMHeadModel"), kind) {
				t.Errorf("%s: transformers opens it as %s", c.Name, opened[i].Class)
			}
		}
	}
}

// greedy returns the likeliest tokens behind ids, computed by the oracle.
func greedy(t *testing.T, c *model.Checkpoint, ids []int64, n int) []int64 {
	t.Helper()
	text := slices.Clone(ids)
	for range n {
		all := logits(t, c, format.FromInt64s("input_ids", []int{1, len(text)}, text))
		last := all[len(all)-c.Vocab():]
		text = append(text, int64(slices.Index(last, slices.Max(last))))
	}
	return text[len(ids):]
}
