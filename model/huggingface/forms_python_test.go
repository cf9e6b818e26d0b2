package huggingface_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
)

// forms is what fixtures/oracle/huggingface_folders.py --make wrote.
type forms struct {
	InputIDs [][]int64 `json:"input_ids"`
	Texts    []string  `json:"texts"`
	Cases    []struct {
		Name             string    `json:"name"`
		Logits           []float64 `json:"logits"`
		IDs              [][]int64 `json:"ids"`
		Refused          string    `json:"refused"`
		TokenizerRefused string    `json:"tokenizer_refused"`
	} `json:"cases"`
}

// TestEveryForm has transformers 5, and when all is enumerated also 4, which
// ATTNX_PYTHON_OPTIMUM has, write GPT-2 folders in every form. Each is read, with PyTorch's logits and
// transformers' ids, or refused with the right reason; what was read is written
// back, and has PyTorch's logits in transformers too.
func TestEveryForm(t *testing.T) {
	for _, name := range []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM"} {
		t.Run(name, func(t *testing.T) {
			python := os.Getenv(name)
			if python == "" {
				t.Skipf("%s does not name a Python: transformers is not asked", name)
			}
			if name != "ATTNX_PYTHON" && !fixtures.Exhaustive() {
				t.Skip("transformers 4 is asked with ATTNX_EXHAUSTIVE=1")
			}
			if err := exec.Command(python, "-c", "import torch, transformers").Run(); err != nil {
				t.Skipf("%s (%s) has no torch and transformers: transformers is not asked", python, name)
			}
			everyForm(t, python)
		})
	}
}

func everyForm(t *testing.T, python string) {
	dir := filepath.Join(t.TempDir(), "forms")
	folders(t, python, "--make", dir)
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all forms
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Cases) < 70 {
		t.Errorf("%d cases only", len(all.Cases))
	}
	ids := format.FromInt64s("input_ids", []int{len(all.InputIDs), len(all.InputIDs[0])}, slices.Concat(all.InputIDs...))
	type opened struct {
		Logits []float64 `json:"logits"`
		IDs    [][]int64 `json:"ids"`
	}
	var written []string
	var want []opened
	for _, c := range all.Cases {
		t.Run(c.Name, func(t *testing.T) {
			folder := filepath.Join(dir, c.Name)
			if c.Refused != "" {
				wantRefused(t, folder, c.Refused)
				return
			}
			got, _ := mustRead(t, folder)
			scores := got
			if got.Continues() != nil { // GPT2Model: the head is the token embedding
				if scores, err = got.NextToken(); err != nil {
					t.Fatal(err)
				}
			}
			wantClose(t, "read", logits(t, scores, ids), fixtures.Tensor{Data: c.Logits})
			checkTokens(t, got.Tokenizer, all.Texts, c.IDs, c.TokenizerRefused)
			back := filepath.Join(t.TempDir(), "back")
			if _, err := huggingface.Write(back, got, format.Float32); err != nil {
				t.Fatal(err)
			}
			kept := filepath.Join(dir, "back of "+c.Name)
			if err := os.Rename(back, kept); err != nil {
				t.Fatal(err)
			}
			written, want = append(written, kept), append(want, opened{c.Logits, c.IDs})
		})
	}
	var back []opened
	if err := json.Unmarshal(folders(t, python, append([]string{"--open"}, written...)...), &back); err != nil {
		t.Fatal(err)
	}
	for i, x := range back {
		wantClose(t, filepath.Base(written[i]), x.Logits, fixtures.Tensor{Data: want[i].Logits})
		if want[i].IDs != nil && !slices.EqualFunc(x.IDs, want[i].IDs, slices.Equal[[]int64]) {
			t.Errorf("%s: ids %d, before %d", filepath.Base(written[i]), x.IDs, want[i].IDs)
		}
	}
}

// checkTokens compares the ids of texts with transformers', where it was asked.
func checkTokens(t *testing.T, tokenizer []byte, texts []string, want [][]int64, refused string) {
	t.Helper()
	if len(tokenizer) == 0 {
		if want != nil || refused != "" {
			t.Error("the tokenizer is not read")
		}
		return
	}
	tok, err := tokens.Parse(tokenizer)
	if refused != "" {
		if err == nil || !strings.Contains(err.Error(), refused) {
			t.Errorf("the tokenizer: got %v, want it to say %q", err, refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if got := tok.AddSpecial(tok.Encode(text)); !slices.Equal(got, want[i]) {
			t.Errorf("%q: ids %d, transformers has %d", text, got, want[i])
		}
	}
}

// folders runs fixtures/oracle/huggingface_folders.py and returns what it prints.
func folders(t *testing.T, python string, args ...string) []byte {
	t.Helper()
	return oracle(t, python, "huggingface_folders.py", args...)
}
