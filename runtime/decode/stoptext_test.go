package decode

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestStopText compares texts cut into pieces with what is plain of them: a
// text ends at the first piece with which it holds a string, before the first
// string that it holds, and nothing is shown that could begin one.
func TestStopText(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("ab\n"[rng.IntN(3)])
		}
		return b.String()
	}
	for range 20000 {
		var stops []string
		for range rng.IntN(4) {
			stops = append(stops, letters(1+rng.IntN(4)))
		}
		s, all, shown, ended := NewStopText(stops), "", "", false
		for range rng.IntN(6) {
			piece := letters(rng.IntN(5))
			all += piece
			text, found := s.Next(piece)
			shown += text
			first := len(all)
			for _, stop := range stops {
				if at := strings.Index(all, stop); at >= 0 {
					first = min(first, at)
				}
			}
			if found != (first < len(all)) || found && shown != all[:first] {
				t.Fatalf("stops %q: %q shows %q, found %v", stops, all, shown, found)
			}
			if ended = found; found {
				break
			}
			rest := strings.TrimPrefix(all, shown)
			begins := func(end string) bool {
				return slices.ContainsFunc(stops, func(stop string) bool { return strings.HasPrefix(stop, end) })
			}
			if rest != "" && !begins(rest) {
				t.Fatalf("stops %q: %q shows %q only", stops, all, shown)
			}
			for n := range shown {
				if end := shown[n:] + rest; begins(end) {
					t.Fatalf("stops %q: %q shows %q", stops, all, shown)
				}
			}
		}
		if !ended && shown+s.Flush() != all {
			t.Fatalf("stops %q: %q ends as %q", stops, all, shown)
		}
	}
}

// TestEndSequence ends one of two sequences by what OnToken returns: its last
// token belongs to it, and the other one continues.
func TestEndSequence(t *testing.T) {
	o := options(func(o *GenerateOptions) {
		o.MaxTokens = 4
		o.OnToken = func(sequence int, _ int64) error {
			if sequence == 0 {
				return ErrEndSequence
			}
			return nil
		}
	})
	out, err := Generate(t.Context(), Recompute(oracle(), 2, 16), [][]int64{{1}, {2, 3}}, o)
	if err != nil || len(out[0].IDs) != 1 || out[0].Reason != StopString || len(out[1].IDs) != 4 || out[1].Reason != StopMaxTokens {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestPickText checks that Pick is given the whole text, the prompt and what
// was added.
func TestPickText(t *testing.T) {
	var seen [][]int64
	o := options(func(o *GenerateOptions) {
		o.MaxTokens = 3
		o.Sliding = true
		o.Pick = func(_ []float32, text []int64, _, step int) (int, error) {
			seen = append(seen, slices.Clone(text))
			return step, nil
		}
	})
	if _, err := Generate(t.Context(), Recompute(oracle(), 1, 2), [][]int64{{5, 6}}, o); err != nil {
		t.Fatal(err)
	}
	if want := [][]int64{{5, 6}, {5, 6, 0}, {5, 6, 0, 1}}; !slices.EqualFunc(seen, want, slices.Equal) {
		t.Errorf("texts %v, want %v", seen, want)
	}
}
