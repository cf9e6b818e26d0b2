package model

import (
	"strings"
	"testing"
)

func TestMean(t *testing.T) {
	var m Mean
	if _, err := m.Checkpoint(); err == nil {
		t.Error("a mean of nothing")
	}
	const big = 1 << 24 // where float32 has no room for a half
	for step, x := range []float32{big, big, big + 2, -2} {
		c := tinyCheckpoint(t, "gpt2")
		c.Step = step
		v, err := c.Weights[2].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		v[1] = x
		if err := m.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if v, err := got.Weights[2].Float32s(); err != nil || v[1] != 3*big/4 || got.Step != 3 || got.Train != nil {
		t.Errorf("%v, %v, %+v", v[1], err, got)
	}
	want := tinyCheckpoint(t, "gpt2").Weights
	for i, x := range got.Weights {
		if i != 2 && string(x.Data) != string(want[i].Data) {
			t.Errorf("%s: the mean of the same is another", x.Name)
		}
	}
	if err := m.Add(tinyCheckpoint(t, "simple")); err == nil || !strings.Contains(err.Error(), "two networks") {
		t.Errorf("another network: %v", err)
	}
	other := tinyCheckpoint(t, "gpt2")
	other.Tokenizer = []byte("{}")
	if err := m.Add(other); err == nil || !strings.Contains(err.Error(), "two vocabularies") {
		t.Errorf("another tokenizer: %v", err)
	}
}
