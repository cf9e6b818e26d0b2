package model

import (
	"fmt"
	"math"
	"slices"
)

// RepetitionPenalty makes the tokens that a text has already less likely where
// it is above 1, and likelier below 1 (Keskar and others, 2019, "CTRL"). It is
// the RepetitionPenaltyLogitsProcessor of transformers, in float32 like that.
type RepetitionPenalty float64

// Check reports a penalty that has no meaning.
func (p RepetitionPenalty) Check() error {
	if !(p > 0) || math.IsInf(float64(p), 1) {
		return fmt.Errorf("repetition penalty is %g: give a positive number; 1 changes nothing", float64(p))
	}
	return nil
}

// Apply changes the logits (V) of every id that text has, prompt and new tokens
// alike, each once however often it occurs: positive ones are divided by the
// penalty, negative ones are multiplied. Ids outside 0 to V−1 are passed over.
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
