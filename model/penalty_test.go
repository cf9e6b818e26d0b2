package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// TestRepetitionPenalty has the numbers of transformers 5.24:
//
//	RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([[0, 3, 3, 1]]), torch.tensor([[2.5, -1.5, 1, 0.1, -3]]))
func TestRepetitionPenalty(t *testing.T) {
	logits := []float32{2.5, -1.5, 1, 0.1, -3}
	RepetitionPenalty(1.3).Apply(logits, []int64{0, 3, 3, 1, 99, -1})
	if want := []float32{1.9230769872665405, -1.9499999284744263, 1, 0.07692307978868484, -3}; !slices.Equal(logits, want) {
		t.Errorf("%v, want %v", logits, want)
	}
	for _, p := range []RepetitionPenalty{0, -1, RepetitionPenalty(math.NaN()), RepetitionPenalty(math.Inf(1))} {
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), "give a positive number") {
			t.Errorf("%g: %v", float64(p), err)
		}
	}
}
