package model_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// A larger vocabulary keeps what there was, and new rows are the mean of the
// old, whatever the axis.
func TestWithVocab(t *testing.T) {
	for _, name := range arch.Decoders() {
		n, err := arch.New(name, arch.Sizes{Layers: 1, Heads: 2, Width: 32, Context: 8}, 5)
		if err != nil {
			t.Fatal(err)
		}
		c, err := model.New(n, 3)
		if err != nil {
			t.Fatal(err)
		}
		larger, err := c.WithVocab(7)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if larger.IDs() != 7 || larger.Vocab() != 7 || c.IDs() != 5 {
			t.Errorf("%s: %d ids, %d logits; was %d", name, larger.IDs(), larger.Vocab(), c.IDs())
		}
		if err := larger.Weights.Check(larger.Graph); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		grew := 0
		for i, w := range larger.Weights {
			old, _ := c.Weights[i].Float32s()
			now, _ := w.Float32s()
			if len(old) == len(now) {
				continue
			}
			grew++
			columns := len(old) / 5
			if w.Shape[0] != 7 { // tokens are the last axis
				columns = 1
			}
			rows := len(old) / 5 / columns
			for r := range rows {
				for j := range columns {
					mean := 0.0
					for k := range 5 {
						x := old[(r*5+k)*columns+j]
						if x != now[(r*7+k)*columns+j] {
							t.Fatalf("%s: %s changed", name, w.Name)
						}
						mean += float64(x) / 5
					}
					if d := mean - float64(now[(r*7+6)*columns+j]); d > 1e-6 || d < -1e-6 {
						t.Fatalf("%s: %s: a new element is %g from the mean", name, w.Name, d)
					}
				}
			}
		}
		if grew == 0 {
			t.Errorf("%s: nothing grew", name)
		}
	}
	c := &model.Checkpoint{Arch: "own"}
	n, err := arch.New(arch.Names()[0], arch.Sizes{Layers: 1, Heads: 2, Width: 32, Context: 8}, 5)
	if err != nil {
		t.Fatal(err)
	}
	of, err := model.Of(n)
	if err != nil {
		t.Fatal(err)
	}
	c.Graph = of.Graph
	if _, err := c.WithVocab(6); err == nil || !strings.Contains(err.Error(), "cannot grow") {
		t.Errorf("an unknown architecture: %v", err)
	}
}
