package decode

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Idle, passed to Step instead of an id, leaves a sequence unchanged.
const Idle int64 = -1

// PromptError reports which prompt of a batch is invalid, and why.
type PromptError struct {
	Prompt int // counted from 0
	Reason string
	cause  error
}

func (e *PromptError) Error() string { return fmt.Sprintf("prompt %d %s", e.Prompt, e.Reason) }

// Unwrap returns the *format.RangeError of an id that is out of range, otherwise
// nil.
func (e *PromptError) Unwrap() error { return e.cause }

// checkPrompts refuses prompts that a model cannot run. A vocab of 0 is not
// known yet.
func checkPrompts(prompts [][]int64, batch, context, vocab int) error {
	if len(prompts) != batch {
		return fmt.Errorf("%d prompts for a batch of %d", len(prompts), batch)
	}
	for i, p := range prompts {
		switch {
		case len(p) == 0:
			return &PromptError{Prompt: i, Reason: "is empty: give at least one token"}
		case len(p) > context:
			return &PromptError{Prompt: i, Reason: fmt.Sprintf("has %d tokens, the model sees %d: shorten it", len(p), context)}
		}
		for t, id := range p {
			switch {
			case id < 0 && vocab == 0:
				return &PromptError{i, fmt.Sprintf("has id %d at token %d, ids start at 0", id, t), badID(t, id, math.MaxInt)}
			case id < 0 || vocab > 0 && id >= int64(vocab):
				return &PromptError{i, fmt.Sprintf("has id %d at token %d, outside the vocabulary of %d", id, t, vocab), badID(t, id, vocab)}
			}
		}
	}
	return nil
}

func badID(i int, id int64, vocab int) error {
	return &format.RangeError{Name: "ids", Index: []int{i}, Got: id, Last: int64(vocab) - 1}
}

// checkStep refuses ids that cannot follow sequences of the given lengths.
func checkStep(ids []int64, lengths []int, context, vocab int) error {
	if len(ids) != len(lengths) {
		return fmt.Errorf("%d ids for a batch of %d", len(ids), len(lengths))
	}
	for i, id := range ids {
		switch {
		case id == Idle:
		case id < 0 || id >= int64(vocab):
			return badID(i, id, vocab)
		case lengths[i] >= context:
			return fmt.Errorf("sequence %d has the %d tokens that the model sees: begin again with Prefill", i, context)
		}
	}
	return nil
}
