package runtime

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// shapes is a session that gives zeros: what is asked is in which shapes and
// types.
type shapes struct {
	sequences int          // of logits, for each of input_ids
	dtype     format.DType // of the present
	shared    bool
}

func (s shapes) Run(in map[string]format.Tensor) (map[string]format.Tensor, error) {
	ids, past := in["input_ids"].Shape, in["past_key_values.0.key"].Shape
	present := []int{past[0], past[1], past[2] + ids[1], past[3]}
	if s.shared {
		present = past
	}
	out := map[string]format.Tensor{}
	for _, t := range []format.Tensor{
		{Name: "logits", DType: format.Float32, Shape: []int{s.sequences * ids[0], ids[1], 5}},
		{Name: "present.0.key", DType: s.dtype, Shape: present},
		{Name: "present.0.value", DType: s.dtype, Shape: present},
	} {
		t.Data = make([]byte, t.Elements()*t.DType.Size())
		out[t.Name] = t
	}
	return out, nil
}

func (shapes) Close() error { return nil }

// A file under test may be wrong in any way: that is an error and no panic.
func TestCachedRefuses(t *testing.T) {
	texts := map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{3, 4}, make([]int64, 12))}
	for _, shared := range []bool{false, true} {
		shape := CacheShape{Layers: 1, Heads: 2, HeadWidth: 3, Context: 4, DType: format.Float16, Shared: shared}
		for _, way := range shape.Ways() {
			if _, err := Cached(shapes{1, format.Float16, shared}, shape, way).Run(texts); err != nil {
				t.Errorf("%s, shared %t: %v", way, shared, err)
			}
			for _, n := range []int{0, 2} {
				if _, err := Cached(shapes{n, format.Float16, shared}, shape, way).Run(texts); err == nil || !strings.Contains(err.Error(), "logits have shape [") {
					t.Errorf("%s, shared %t: logits of %d times the sequences: %v", way, shared, n, err)
				}
			}
			if _, err := Cached(shapes{1, format.Float32, shared}, shape, way).Run(texts); shared && (err == nil || !strings.Contains(err.Error(), "present.0.")) {
				t.Errorf("%s: a present in another type: %v", way, err)
			}
		}
	}
}

// A long text has no more runs than it takes to see that they agree, and its
// sequences still begin at different places.
func TestCachedBoundsTheRuns(t *testing.T) {
	const length = 500
	texts := map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{2, length}, make([]int64, 2*length))}
	shape := CacheShape{Layers: 1, Heads: 2, HeadWidth: 3, Context: length + 8, DType: format.Float16}
	for _, way := range shape.Ways() {
		runs := 0
		s := counting{shapes{1, format.Float16, false}, &runs}
		if _, err := Cached(s, shape, way).Run(texts); err != nil {
			t.Fatal(err)
		}
		if want := map[Way]int{Whole: 1, TokenByToken: 1 + singles, LeftPadding: 1 + singles + 1}[way]; runs != want {
			t.Errorf("%s: %d runs, want %d", way, runs, want)
		}
	}
}

// counting counts its runs.
type counting struct {
	shapes
	runs *int
}

func (c counting) Run(in map[string]format.Tensor) (map[string]format.Tensor, error) {
	*c.runs++
	return c.shapes.Run(in)
}
