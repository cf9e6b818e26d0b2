package train

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

// Each row of a batch is one example in all of its tensors: the one that the
// stream of random numbers gives, so that a run can be repeated. All of a part
// come in the course of many batches, and none of the other part.
func TestExamplesAreDrawnWhole(t *testing.T) {
	const count, cut, size = 30, 27, 4
	x, ids, labels := make([]float32, count*2), make([]int64, count*3), make([]float32, count)
	for i := range count {
		labels[i] = float32(i)
		x[2*i], x[2*i+1] = float32(i), float32(-i)
		ids[3*i], ids[3*i+1], ids[3*i+2] = int64(i), int64(100+i), int64(200+i)
	}
	d, err := NewExamples(Batch{
		role.Features: format.FromFloat32s("features", []int{count, 2}, x),
		role.Tokens:   format.FromInt64s("tokens", []int{count, 3}, ids),
		role.Labels:   format.FromFloat32s("labels", []int{count}, labels),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]struct {
		source   source
		from, to int
	}{"training": {d.train, 0, cut}, "validation": {d.val, cut, count}} {
		seen := map[int]bool{}
		stream := model.NewStream(1, "test")
		var b Batch
		for n := range 100 {
			d.draw(part.source, size, stream, n, &b)
			x, _ := b[role.Features].Float32s()
			labels, _ := b[role.Labels].Float32s()
			ids := b.int64s(role.Tokens)
			for row := range size {
				i := int(labels[row])
				seen[i] = true
				if want := part.from + stream.IntN(uint64(n*size+row), part.to-part.from); i != want {
					t.Fatalf("%s: row %d of batch %d is example %d, want %d", name, row, n, i, want)
				}
				if x[2*row] != float32(i) || x[2*row+1] != float32(-i) || ids[3*row] != int64(i) || ids[3*row+1] != int64(100+i) || ids[3*row+2] != int64(200+i) {
					t.Fatalf("%s: row %d has features %v and ids %v beside the label of example %d", name, row, x[2*row:2*row+2], ids[3*row:3*row+3], i)
				}
			}
		}
		if len(seen) != part.to-part.from {
			t.Errorf("%s: %d of %d examples were drawn", name, len(seen), part.to-part.from)
		}
	}
}

// The hash of data is of every example, of any kind.
func TestHashOfData(t *testing.T) {
	ids := make([]int64, 100)
	text := func() *Data {
		d, err := NewText(ids, 4)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	lines := func() *Data {
		d, err := NewLines([][]int64{ids[:3], ids[3:8]}, 8)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	examples := func() *Data {
		d, err := NewExamples(TextBatch(20, 5, ids, ids))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, data := range map[string]func() *Data{"text": text, "lines": lines, "examples": examples} {
		before := data().SHA256()
		if again := data().SHA256(); again != before {
			t.Errorf("%s: equal data have two hashes", name)
		}
		ids[7]++
		if data().SHA256() == before {
			t.Errorf("%s: other data have the same hash", name)
		}
	}
}
