package train

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

// In an epoch each example comes once, in another order than in the one before, and
// a batch depends on its number alone.
func TestEpochs(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 64, 65, 1000} {
		s := model.NewStream(3, "test")
		var orders [2][]int
		for epoch := range orders {
			for i := range n {
				orders[epoch] = append(orders[epoch], shuffled(s, epoch, n, i))
			}
			sorted := slices.Sorted(slices.Values(orders[epoch]))
			for i, x := range sorted {
				if i != x {
					t.Fatalf("%d examples, epoch %d: place %d has %d", n, epoch, i, x)
				}
			}
		}
		if n > 7 && (slices.Equal(orders[0], orders[1]) || slices.IsSorted(orders[0])) {
			t.Errorf("%d examples have the orders %v", n, orders)
		}
	}
	ids := make([]int64, 110)
	for i := range ids {
		ids[i] = int64(i)
	}
	d, err := NewText(ids, 8) // 99 ids to learn from: 12 windows, and 2 ids that are left out
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions(1)
	o.Steps, o.Warmup, o.EvalEvery, o.Batch, o.Accumulate, o.Epochs = 0, 0, 0, 2, 2, 3
	if err := o.Plan(d); err != nil || o.Steps != 9 || o.Epoch != 12 || o.EvalEvery != 3 || o.Warmup != 0 {
		t.Fatalf("the plan is %+v, %v", o, err)
	}
	var b, again Batch
	seen := map[int64]int{}
	for n := range 18 {
		d.next(o, n, &b)
		for i := 0; i < 16; i += 8 {
			seen[b.int64s(role.Tokens)[i]]++
		}
	}
	for from := range int64(12) {
		if seen[8*from] != 3 {
			t.Errorf("window %d came %d times in 3 epochs: %v", from, seen[8*from], seen)
		}
	}
	d.next(o, 17, &again)
	if !bytes.Equal(b[role.Tokens].Data, again[role.Tokens].Data) {
		t.Error("batch 17 differs when it is taken again")
	}
	o.Epochs = 1 << 30
	o.Epoch = 1 << 40
	if o.Steps = o.StepsFor(o.Epochs); o.Check() == nil {
		t.Error("2^70 examples are accepted")
	}
}

// Packed rows hold whole sequences, and no label leads from one to the next.
func TestPack(t *testing.T) {
	b := &lineBuilder{ids: newIDStore(100), form: Form{Length: 6, Whole: true, Pack: true}}
	add := func(prompt int, ids ...int64) {
		if err := b.addAfter(ids, prompt, nil); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 10, 11, 12)
	add(2, 20, 21, 22, 23)
	add(0, 30, 31, 32)
	add(0, 40, 41, 42, 43, 44)
	d, err := b.data()
	if err != nil {
		t.Fatal(err)
	}
	const no = model.IgnoreIndex
	want := [][2][]int64{
		{{10, 11, 12, 20, 21, 22}, {11, 12, no, no, 22, 23}},
		{{30, 31, 32, 0, 0, 0}, {31, 32, no, no, no, no}},
		{{40, 41, 42, 43, 44, 0}, {41, 42, 43, 44, no, no}},
	}
	if d.train.len() != len(want) {
		t.Fatalf("%d rows", d.train.len())
	}
	room := d.room(1)
	for i, w := range want {
		d.train.fill(i, room, 0)
		ids, labels := room.int64s(role.Tokens), room.int64s(role.Labels)
		if !slices.Equal(labels, w[1]) || !slices.Equal(ids, w[0]) {
			t.Errorf("row %d: ids %v have labels %v, expected %v", i, ids, labels, w)
		}
	}
}

// With data of their own for validation, all examples are learned from.
func TestValidated(t *testing.T) {
	mine, err := NewText(make([]int64, 100), 9)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := NewLines([][]int64{{1, 2, 3}, {4, 5, 6, 7}}, 9)
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Validated(lines); err != nil || mine.train.len() != 91 || mine.val.len() != 2 {
		t.Fatalf("%d and %d examples, %v", mine.train.len(), mine.val.len(), err)
	}
	var b Batch
	mine.draw(mine.val, 1, model.NewStream(1, "test"), 0, &b)
	if labels := b.int64s(role.Labels); len(labels) != 9 || labels[8] != model.IgnoreIndex {
		t.Errorf("a line has the labels %v", labels)
	}
	numbers, err := NewExamples(Batch{role.Labels: TextBatch(12, 9, make([]int64, 108), make([]int64, 108))[role.Labels]})
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Validated(numbers); err == nil || !strings.Contains(err.Error(), "the examples for validation have") {
		t.Errorf("other examples: %v", err)
	}
	if err := numbers.Validated(numbers); err != nil || numbers.train.len() != 12 || numbers.val.len() != 12 {
		t.Errorf("%d and %d examples, %v", numbers.train.len(), numbers.val.len(), err)
	}
}
