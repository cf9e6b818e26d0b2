package huggingface_test

import (
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
)

// TestGolden reads the folders that transformers wrote: the oracle gives
// PyTorch's logits.
func TestGolden(t *testing.T) {
	g, err := fixtures.Transformers()
	if err != nil {
		t.Fatal(err)
	}
	want := arch.GPT2{Vocab: 61, Context: 16, Width: 24, Layers: 2, Heads: 3, Inner: 96, Epsilon: 1e-5}
	for name, logit := range map[string]fixtures.Tensor{"whole": g.Whole, "sharded": g.Whole, "half": g.Half} {
		c, done := mustRead(t, unpacked(t, name))
		if n, err := c.Network(); err != nil || n != want || c.Step != 0 || c.Train != nil || c.Tokenizer != nil {
			t.Errorf("%s: read %+v", name, c)
		}
		if n, _ := c.Parameters(); done != (format.Rounding{Elements: n}) {
			t.Errorf("%s: %d parameters, widening them did %+v", name, n, done)
		}
		wantClose(t, name, logits(t, c, ids(t, g.InputIDs)), logit)
	}
}

func TestShardedIsWhole(t *testing.T) {
	whole, _ := mustRead(t, unpacked(t, "whole"))
	sharded, _ := mustRead(t, unpacked(t, "sharded"))
	half, _ := mustRead(t, unpacked(t, "half"))
	if whole.Weights.Hash() != sharded.Weights.Hash() {
		t.Error("the shards are another model than the one file")
	}
	if whole.Weights.Hash() == half.Weights.Hash() {
		t.Error("bfloat16 is the same as float32")
	}
}
