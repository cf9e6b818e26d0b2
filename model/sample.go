package model

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Sampler chooses the next token from a row of logits. The zero value is
// greedy. With a temperature it draws from the softmax of the logits after
// temperature, top-k and top-p, in the order of Hugging Face transformers.
type Sampler struct {
	Temperature float64 // divides the logits; 0 is greedy
	TopK        int     // keeps the K highest logits and ties with the K-th; 0 keeps all
	TopP        float64 // keeps the fewest highest tokens with at least this total probability; 0 or 1 keeps all
	Seed        uint64  // draw n depends only on Seed and n
}

// Check rejects a setting without a meaning.
func (s Sampler) Check() error {
	switch {
	case !(s.Temperature >= 0) || math.IsInf(s.Temperature, 1):
		return fmt.Errorf("temperature is %g: give 0 (greedy) or a positive number", s.Temperature)
	case s.TopK < 0:
		return fmt.Errorf("top-k is %d: give 0 (all tokens) or a positive number", s.TopK)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("top-p is %g: give a probability between 0 and 1; 0 and 1 keep all tokens", s.TopP)
	}
	return nil
}

// Pick returns the token id chosen from logits (V) at the given step. Greedy
// choice takes the lowest of equal ids. A token with logit -Inf is never
// chosen; NaN, +Inf and a row of only -Inf are errors.
func (s Sampler) Pick(logits []float32, step int) (int, error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	best, err := highest(logits)
	if err != nil || s.Temperature == 0 {
		return best, err
	}
	return draw(s.weights(logits, float64(logits[best])), NewStream(s.Seed, "sample").Float64(uint64(step))), nil
}

// draw returns the id at which the running sum of weights passes the share u,
// in [0,1), of the total. It sums in the order of ids, not of logits: if two
// nearly equal logits swap their order, bounds then move only by their
// difference.
func draw(weights []float64, u float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	u *= sum
	last := 0
	for id, w := range weights {
		if w == 0 {
			continue
		}
		if last = id; u < w {
			break
		}
		u -= w
	}
	return last // rounding may leave u at the very end: return the last token with a weight
}

// highest returns the lowest id of the highest logit.
func highest(logits []float32) (int, error) {
	if len(logits) == 0 {
		return 0, errors.New("no logits to choose from")
	}
	best := 0
	for id, x := range logits {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 1) {
			return 0, fmt.Errorf("the logit of token %d is %g: the model's weights or its runtime are at fault", id, x)
		}
		if x > logits[best] {
			best = id
		}
	}
	if math.IsInf(float64(logits[best]), -1) {
		return 0, errors.New("every logit is -Inf: the model's weights or its runtime are at fault")
	}
	return best, nil
}

// weights returns for each id a number proportional to its probability, 0 if
// it is cut. The highest logit, top, gets 1. Cutting sorts: O(V log V).
func (s Sampler) weights(logits []float32, top float64) []float64 {
	weights := make([]float64, len(logits))
	for id, x := range logits {
		weights[id] = math.Exp((float64(x) - top) / s.Temperature)
	}
	byTopK := s.TopK > 0 && s.TopK < len(logits)
	byTopP := s.TopP > 0 && s.TopP < 1
	if !byTopK && !byTopP {
		return weights
	}
	order := make([]int, len(logits)) // ids, highest logit first
	for id := range order {
		order[id] = id
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b))
	})
	keep := len(order)
	if byTopK {
		for keep = s.TopK; keep < len(order) && logits[order[keep]] == logits[order[s.TopK-1]]; keep++ {
		}
	}
	if byTopP {
		sum, above := 0.0, 0.0
		for _, id := range order[:keep] {
			sum += weights[id]
		}
		for i, id := range order[:keep] {
			if above >= s.TopP*sum {
				keep = i
				break
			}
			above += weights[id]
		}
	}
	for _, id := range order[keep:] {
		weights[id] = 0
	}
	return weights
}
