package train

import (
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

func TestLinesArePaddedAndMasked(t *testing.T) {
	d, err := NewLines([][]int64{{5, 6, 7, 8}, {9, 10}}, 8)
	if err != nil {
		t.Fatal(err)
	}
	if d.context != 3 {
		t.Fatalf("padded to %d, the longest sequence predicts 3 tokens", d.context)
	}
	const no = model.IgnoreIndex
	want := map[int64][2][]int64{
		5: {{5, 6, 7}, {6, 7, 8}},
		9: {{9, 0, 0}, {10, no, no}},
	}
	var b Batch
	seen := map[int64]bool{}
	for n := range 20 {
		d.draw(d.train, 2, model.NewStream(1, "test"), n, &b)
		for i := range 2 {
			ids, labels := b.int64s(role.Tokens)[3*i:3*i+3], b.int64s(role.Labels)[3*i:3*i+3]
			w := want[ids[0]]
			if !slices.Equal(ids, w[0]) || !slices.Equal(labels, w[1]) {
				t.Fatalf("ids %v labels %v, want %v", ids, labels, w)
			}
			seen[ids[0]] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("20 batches drew only %v", seen)
	}
}

func TestTextWindows(t *testing.T) {
	ids := make([]int64, 200)
	for i := range ids {
		ids[i] = int64(i)
	}
	d, err := NewText(ids, 8)
	if err != nil {
		t.Fatal(err)
	}
	var b, again Batch
	top := int64(0)
	for n := range 400 {
		d.draw(d.train, 4, model.NewStream(1, "test"), n, &b)
		for i, id := range b.int64s(role.Tokens) {
			if b.int64s(role.Labels)[i] != id+1 {
				t.Fatalf("label of %d is %d", id, b.int64s(role.Labels)[i])
			}
		}
		top = max(top, slices.Max(b.int64s(role.Labels)))
		if d.draw(d.val, 4, model.NewStream(1, "test"), n, &b); slices.Min(b.int64s(role.Tokens)) < 180 {
			t.Fatalf("validation draws token %d of the training part", slices.Min(b.int64s(role.Tokens)))
		}
	}
	if top != 179 {
		t.Errorf("the last training label drawn is %d, the part ends at 179", top)
	}
	// A batch is a function of its number: what was drawn before plays no part.
	d.draw(d.train, 4, model.NewStream(1, "test"), 7, &b)
	d.draw(d.train, 4, model.NewStream(1, "test"), 3, &again)
	d.draw(d.train, 4, model.NewStream(1, "test"), 7, &again)
	if !slices.Equal(b.int64s(role.Tokens), again.int64s(role.Tokens)) {
		t.Error("batch 7 differs when another is drawn before it")
	}
}

func TestDataIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func() (*Data, error)
	}{
		{"a text shorter than its context", "too short for context 64", func() (*Data, error) { return NewText(make([]int64, 300), 64) }},
		{"a context of nothing", "context 0", func() (*Data, error) { return NewText(make([]int64, 300), 0) }},
		{"a line longer than the context", "sequence 2 has 9 tokens", func() (*Data, error) { return NewLines([][]int64{{1, 2}, make([]int64, 9)}, 4) }},
		{"lines of one word", "nothing to predict", func() (*Data, error) { return NewLines([][]int64{{1}, {2}}, 4) }},
	} {
		if _, err := c.make(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}
