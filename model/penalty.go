package model

import (
	"fmt"
	"math"
	"slices"
)

// RepetitionPenalty makes tokens that a text already has less likely if it is
// above 1, and more likely below 1 (Keskar and others, 2019, "CTRL"). It
// computes the same as RepetitionPenaltyLogitsProcessor of transformers, in
// float32.
type RepetitionPenalty float64

// Check rejects a penalty without a meaning.
func (p RepetitionPenalty) Check() error {
	if !(p > 0) || math.IsInf(float64(p), 1) {
		return fmt.Errorf("repetition penalty is %g: give a positive number; 1 changes nothing", float64(p))
	}
	return nil
}

// Apply changes the logits (V) of every id in text, prompt and new tokens
// alike, once for each id: it divides positive logits by the penalty and
// multiplies negative ones. It ignores ids outside 0 to V−1.
func (p RepetitionPenalty) Apply(logits []float32, text []int64) {
	if p == 1 {
		return
	}
	ids := slices.Clone(text)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		switch {
		case id < 0 || id >= int64(len(logits)):
		case logits[id] < 0:
			logits[id] *= float32(p)
		default:
			logits[id] /= float32(p)
		}
	}
}
