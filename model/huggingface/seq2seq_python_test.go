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
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
)

// seq2seqCases is what fixtures/oracle/huggingface_seq2seq.py --make writes.
type seq2seqCases struct {
	Inputs map[string][][]int64 `json:"inputs"`
	Cases  []seq2seqCase        `json:"cases"`
}

type seq2seqCase struct {
	Name    string               `json:"name"`
	Class   string               `json:"class"`
	Outputs map[string][]float64 `json:"outputs"`
}

func seq2seqIn(t *testing.T, path string) (made seq2seqCases, inputs map[string]format.Tensor) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil {
		t.Fatal(err)
	}
	inputs = map[string]format.Tensor{}
	for name, rows := range made.Inputs {
		inputs[name] = format.FromInt64s(name, []int{len(rows), len(rows[0])}, slices.Concat(rows...))
	}
	return made, inputs
}

// TestTranslators has transformers write random networks that translate in several
// configurations. Read here they have PyTorch's encoder states and logits; written
// back, transformers knows each weight and has the same.
func TestTranslators(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: transformers is not asked")
	}
	if err := exec.Command(python, "-c", "import torch, transformers").Run(); err != nil {
		t.Skipf("%s (ATTNX_PYTHON) has no torch and transformers: transformers is not asked", python)
	}
	dir := filepath.Join(t.TempDir(), "made")
	oracle(t, python, "huggingface_seq2seq.py", "--make", dir)
	made, inputs := seq2seqIn(t, filepath.Join(dir, "cases.json"))
	if len(made.Cases) < 12 {
		t.Fatalf("%d cases", len(made.Cases))
	}
	var written []string
	for _, c := range made.Cases {
		got, _ := mustRead(t, filepath.Join(dir, c.Name))
		wantOutputs(t, c.Name, outputsOf(t, got, inputs), c.Outputs)
		back := filepath.Join(dir, "back of "+c.Name)
		if _, err := huggingface.Write(back, got, format.Float32); err != nil {
			t.Fatal(err)
		}
		again, _ := mustRead(t, back)
		if !bytes.Equal(again.Config, got.Config) || again.Weights.Hash() != got.Weights.Hash() || *again.Special.Start != *got.Special.Start {
			t.Errorf("%s: written and read back it is another model: %s, %s", c.Name, again.Config, got.Config)
		}
		written = append(written, back)
	}
	for _, name := range []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM"} { // transformers 5, and 4
		python := os.Getenv(name)
		if python == "" || name != "ATTNX_PYTHON" && !fixtures.Exhaustive() {
			continue
		}
		opened, asked, folders := seq2seqCases{}, made.Cases, written
		if name != "ATTNX_PYTHON" { // transformers 4 cannot open what it saves of it either
			asked, folders = nil, nil
			for i, c := range made.Cases {
				if !strings.HasPrefix(c.Name, "marian, two vocabularies") {
					asked, folders = append(asked, c), append(folders, written[i])
				}
			}
		}
		if err := json.Unmarshal(oracle(t, python, "huggingface_seq2seq.py", append([]string{"--open"}, folders...)...), &opened.Cases); err != nil {
			t.Fatal(err)
		}
		for i, c := range asked {
			wantOutputs(t, name+": "+c.Name+" written back", opened.Cases[i].Outputs, c.Outputs)
			if opened.Cases[i].Class != c.Class {
				t.Errorf("%s: transformers opens it as %s", c.Name, opened.Cases[i].Class)
			}
		}
	}
}

// TestBuckets compares the buckets of distances with those of transformers.
func TestBuckets(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: transformers is not asked")
	}
	var cases []struct {
		Buckets int     `json:"buckets"`
		Far     int     `json:"max_distance"`
		Both    bool    `json:"bidirectional"`
		Of      []int64 `json:"of"`
	}
	if err := json.Unmarshal(oracle(t, python, "huggingface_seq2seq.py", "--buckets"), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		r := graph.RelativePositionBias{MaxDistance: c.Far, Bidirectional: c.Both}
		if got := r.Buckets(c.Buckets); !slices.Equal(got, c.Of) {
			t.Errorf("%d buckets of distances to %d, both sides %t: %v, transformers has %v", c.Buckets, c.Far, c.Both, got, c.Of)
		}
	}
}
