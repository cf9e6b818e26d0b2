package huggingface_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/tokens"
)

// transformers runs fixtures/oracle/gpt2_transformers.py and parses its answer.
// The test is skipped where no Python with PyTorch and transformers is named.
func transformers(t *testing.T, into any, args ...string) {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: transformers is not asked")
	}
	if err := exec.Command(python, "-c", "import numpy, torch, transformers").Run(); err != nil {
		t.Skipf("%s (ATTNX_PYTHON) has no numpy, torch and transformers: transformers is not asked", python)
	}
	out := oracle(t, python, "gpt2_transformers.py", args...)
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestTransformersOpens has transformers open folders that Write wrote: it
// knows every weight, and computes the oracle's logits.
func TestTransformersOpens(t *testing.T) {
	c := trained(t, "gpt2", tokens.BPE)
	end := int64(c.Vocab() - 1)
	for dtype, name := range map[format.DType]string{format.Float32: "float32", format.BFloat16: "bfloat16", format.Float16: "float16"} {
		folder, _ := mustWrite(t, c, dtype)
		rounded, _ := mustRead(t, folder)
		var got struct {
			DType  string          `json:"dtype"`
			Begin  *int64          `json:"bos"`
			End    *int64          `json:"eos"`
			Logits fixtures.Tensor `json:"logits"`
		}
		transformers(t, &got, "--check", folder, "--ids", "[[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],[16,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1]]")
		if got.DType != name || got.Begin == nil || got.End == nil || *got.Begin != end || *got.End != end {
			t.Errorf("%s: transformers sees %s, ids %v and %v of the end, which is %d", name, got.DType, got.Begin, got.End, end)
		}
		x := make([]int64, 32)
		for i := range 16 {
			x[i], x[16+i] = int64(i), int64(16-i)
		}
		wantClose(t, name, logits(t, rounded, format.FromInt64s("input_ids", []int{2, 16}, x)), got.Logits)
	}
}

// TestTransformersEncodes has transformers open the tokenizers of folders: the
// same ids, and its special tokens.
func TestTransformersEncodes(t *testing.T) {
	for kind, want := range map[tokens.Kind]struct{ end, unknown string }{
		tokens.BPE: {end: tokens.EndOfText}, tokens.Word: {unknown: tokens.Unknown}, tokens.Char: {unknown: tokens.Unknown},
	} {
		c := trained(t, "gpt2", kind)
		tokenizer, err := tokens.Parse(c.Tokenizer)
		if err != nil {
			t.Fatal(err)
		}
		folder, _ := mustWrite(t, c, format.Float32)
		var got struct {
			IDs     []int64 `json:"ids"`
			Text    string  `json:"text"`
			End     string  `json:"eos"` // null reads as empty
			Unknown string  `json:"unk"`
		}
		const text = "I do not like it , really ?"
		transformers(t, &got, "--encode", folder, text)
		ids := tokenizer.Encode(text)
		back, err := tokenizer.Decode(ids)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.IDs, ids) || got.Text != back || got.End != want.end || got.Unknown != want.unknown {
			t.Errorf("%v: transformers has %+v, want ids %v of %q", kind, got, ids, back)
		}
	}
}
