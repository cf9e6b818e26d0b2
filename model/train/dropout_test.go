package train

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/role"
)

// The masks of GPT-2 are where transformers drops: the embeddings, and in each layer
// the probabilities of attention and both branches. Their mean is 1, and they are a
// function of seed and batch.
func TestDropoutMasks(t *testing.T) {
	c, err := model.New(arch.GPT2{Vocab: 11, Context: 8, Width: 16, Layers: 2, Heads: 4, Inner: 32, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions(1)
	o.Dropout = 0.25
	d, err := o.newDropper(c)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, 6*8)
	b := TextBatch(6, 8, ids, ids)
	first, err := d.with(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	shapes := [][]int{{6, 8, 16}, {6, 4, 8, 8}, {6, 8, 16}, {6, 8, 16}, {6, 4, 8, 8}, {6, 8, 16}, {6, 8, 16}}
	if len(first) != 2+len(shapes) || len(b) != 2 {
		t.Fatalf("%d tensors", len(first))
	}
	total, n, dropped := 0.0, 0, 0
	saved := map[role.Kind][]byte{}
	for i, shape := range shapes {
		m := first[role.Other+role.Kind(2+i)]
		x, err := m.Float32s()
		if err != nil || len(m.Shape) != len(shape) || m.Shape[1] != shape[1] {
			t.Errorf("mask %d is %s%v, expected %v: %v", i, m.Name, m.Shape, shape, err)
		}
		for _, v := range x {
			if v != 0 && v != float32(1/0.75) {
				t.Fatalf("mask %d has %g", i, v)
			}
			if total, n = total+float64(v), n+1; v == 0 {
				dropped++
			}
		}
		saved[role.Other+role.Kind(2+i)] = bytes.Clone(m.Data)
	}
	if mean := total / float64(n); math.Abs(mean-1) > 0.03 || math.Abs(float64(dropped)/float64(n)-0.25) > 0.03 {
		t.Errorf("the masks have mean %g, %d of %d are dropped", mean, dropped, n)
	}
	other, err := d.with(b, 4)
	if err != nil || bytes.Equal(other[role.Other+2].Data, saved[role.Other+2]) {
		t.Errorf("batch 4 has the masks of batch 3, %v", err)
	}
	again, err := d.with(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range saved {
		if !bytes.Equal(again[k].Data, want) {
			t.Errorf("mask %d differs when it is drawn again", k)
		}
	}
}

func TestDropoutRefused(t *testing.T) {
	c, err := model.New(arch.GPT2{Vocab: 11, Context: 8, Width: 16, Layers: 60, Heads: 4, Inner: 32, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions(1)
	o.Dropout = 0.5
	if _, err := o.newDropper(c); err == nil || !strings.Contains(err.Error(), "181 masks") {
		t.Error(err)
	}
	for _, p := range []float64{1, -0.1, math.NaN()} {
		if o.Dropout = p; o.Check() == nil {
			t.Errorf("dropout %g is accepted", p)
		}
	}
}
