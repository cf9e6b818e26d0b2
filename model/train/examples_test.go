package train

import (
	"slices"
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

// Data that differ in more than their numbers have other hashes: in the part for
// validation, in where texts end, in the context, and in what tensors are for and
// how they are shaped.
func TestHashOfArrangement(t *testing.T) {
	ids := make([]int64, 120)
	for i := range ids {
		ids[i] = int64(i % 7)
	}
	last := slices.Clone(ids)
	last[len(last)-1]++
	made := func(d *Data, err error) *Data {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	numbers := func(k role.Kind, shape ...int) *Data {
		return made(NewExamples(Batch{k: format.FromInt64s("", shape, ids)}))
	}
	parts := func(cuts ...int) (out [][]int64) {
		from := 0
		for _, to := range append(cuts, len(ids)) {
			out = append(out, ids[from:to])
			from = to
		}
		return out
	}
	seen := map[string]string{}
	for name, d := range map[string]*Data{
		"text":                    made(NewText(ids, 4)),
		"another last id":         made(NewText(last, 4)),
		"a longer context":        made(NewText(ids, 5)),
		"lines":                   made(NewLines(parts(30, 60, 90), 60)),
		"another end of a line":   made(NewLines(parts(30, 61, 90), 60)),
		"examples":                numbers(role.Tokens, 20, 2, 3),
		"examples for validation": made(NewExamples(Batch{role.Tokens: format.FromInt64s("", []int{20, 2, 3}, last)})),
		"of another kind":         numbers(role.SourceTokens, 20, 2, 3),
		"in another shape":        numbers(role.Tokens, 20, 3, 2),
		"of another type":         made(NewExamples(Batch{role.Tokens: {DType: format.Uint64, Shape: []int{20, 2, 3}, Data: format.FromInt64s("", []int{120}, ids).Data}})),
	} {
		sum := d.SHA256()
		if other, there := seen[sum]; there {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[sum] = name
	}
}
