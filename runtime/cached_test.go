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
		if want := map[Way]int{Whole: 1, TokenByToken: 1 + singles, LeftPadding: 1 + singles + 1, Chunks: 7, Holes: 7}[way]; runs != want {
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

// Every way runs each token once, at its own place, in a context that has no
// room or much; with holes there are some, also before the first tokens.
func TestWays(t *testing.T) {
	for _, batch := range []int{1, 2, 5, 12} {
		for _, length := range []int{1, 2, 3, 7, 40, 100} {
			for _, room := range []int{0, 1, 5, 60} {
				shape := CacheShape{Layers: 1, Heads: 1, HeadWidth: 1, Context: length + room, Positions: true, DType: format.Float32}
				for _, way := range shape.Ways() {
					places := &places{t: t, length: length, way: way, seen: make([][]bool, batch)}
					for b := range places.seen {
						places.seen[b] = make([]bool, length)
					}
					texts := map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{batch, length}, make([]int64, batch*length))}
					if _, err := Cached(places, shape, way).Run(texts); err != nil {
						t.Fatalf("%s, batch %d, length %d, room %d: %v", way, batch, length, room, err)
					}
					for b, row := range places.seen {
						for p, seen := range row {
							if !seen {
								t.Fatalf("%s, batch %d, length %d, room %d: sequence %d: token %d was not run", way, batch, length, room, b, p)
							}
						}
					}
					if padded := way == LeftPadding || way == Holes; room == 60 && batch > 1 && length > 2 && padded != places.holes {
						t.Errorf("%s, batch %d, length %d, room %d: holes: %t", way, batch, length, room, places.holes)
					}
				}
			}
		}
	}
}

// places notes the positions of the tokens that the mask shows.
type places struct {
	shapes
	t      *testing.T
	length int
	way    Way
	seen   [][]bool
	holes  bool
}

func (s *places) Run(in map[string]format.Tensor) (map[string]format.Tensor, error) {
	mask, err := in["attention_mask"].Int64s()
	if err != nil {
		return nil, err
	}
	positions, err := in["position_ids"].Int64s()
	if err != nil {
		return nil, err
	}
	columns, n := in["attention_mask"].Shape[1], in["position_ids"].Shape[1]
	for b, row := range s.seen {
		before := 0
		for i, m := range mask[b*columns:][:columns] {
			at := i - (columns - n)
			s.holes = s.holes || m == 0
			if at >= 0 && m == 1 {
				if p := int(positions[b*n+at]); p != before || p >= s.length || row[p] {
					s.t.Errorf("%s: sequence %d: column %d is token %d, %d are before", s.way, b, i, p, before)
				} else {
					row[p] = true
				}
			}
			before += int(m)
		}
	}
	s.sequences, s.dtype = 1, format.Float32
	return s.shapes.Run(in)
}
