package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// GenerateOptions says how Generate goes on and when it stops.
type GenerateOptions struct {
	MaxTokens int // how many tokens to add at most
	Context   int // how many tokens the model can see
	// Pick chooses the next id from its logits (V), at the step-th new token,
	// counted from 0. The logits are valid during the call.
	Pick    func(logits []float32, step int) (int, error)
	Stop    []int64              // ids that end the text; they are not part of it
	OnToken func(id int64) error // called with each new id as it comes, may be nil; its error ends Generate
}

// StopReason says why a generation ended.
type StopReason string

// The reasons.
const (
	StopMaxTokens StopReason = "max-tokens" // MaxTokens were added
	StopToken     StopReason = "stop-token" // the model chose an id of Stop
	StopContext   StopReason = "context"    // the text is as long as the model can see
)

// Generated is the outcome of Generate.
type Generated struct {
	IDs    []int64 // the new tokens, without the prompt
	Reason StopReason
}

// Generate adds tokens to the prompt, one at a time, running the whole text
// through the session for each. A prompt as long as the context still gets
// one token; longer ones are refused, and a text that reaches the context ends
// with the reason StopContext.
//
// On an error, the end of ctx included, the tokens made so far come with it.
func Generate(ctx context.Context, s Session, prompt []int64, o GenerateOptions) (Generated, error) {
	if err := o.check(prompt); err != nil {
		return Generated{}, fmt.Errorf("generate: %w", err)
	}
	if len(prompt) > o.Context {
		return Generated{}, fmt.Errorf("generate: the prompt has %d tokens, the model sees %d: shorten it", len(prompt), o.Context)
	}
	text := slices.Clone(prompt)
	end := func(why StopReason) Generated { return Generated{IDs: text[len(prompt):], Reason: why} }
	for step := range o.MaxTokens {
		if len(text) > o.Context {
			return end(StopContext), nil
		}
		if err := context.Cause(ctx); err != nil {
			return end(""), fmt.Errorf("generate: stopped: %w", err)
		}
		id, err := o.next(s, text, step)
		if err != nil {
			return end(""), fmt.Errorf("generate: token %d: %w", step, err)
		}
		if slices.Contains(o.Stop, id) {
			return end(StopToken), nil
		}
		text = append(text, id)
		if o.OnToken == nil {
			continue
		}
		if err := o.OnToken(id); err != nil {
			return end(""), fmt.Errorf("generate: %w", err)
		}
	}
	return end(StopMaxTokens), nil
}

// check reports what cannot be generated from.
func (o GenerateOptions) check(prompt []int64) error {
	switch {
	case o.Pick == nil:
		return errors.New("no function to pick a token with")
	case o.MaxTokens < 0:
		return fmt.Errorf("%d tokens were asked for: give 0 or more", o.MaxTokens)
	case o.Context < 1:
		return fmt.Errorf("context %d is no length", o.Context)
	case len(prompt) == 0:
		return errors.New("the prompt is empty: give at least one token")
	}
	for i, id := range prompt {
		if id < 0 {
			return fmt.Errorf("token %d of the prompt is %d, ids start at 0", i, id)
		}
	}
	return nil
}

// next runs the text and returns the id picked to follow it.
func (o GenerateOptions) next(s Session, text []int64, step int) (int64, error) {
	out, err := logits(s, Case{Batch: 1, Length: len(text), IDs: text})
	if err != nil {
		return 0, err
	}
	row, err := lastRow(out, len(text))
	if err != nil {
		return 0, err
	}
	if top := slices.Max(text); top >= int64(len(row)) {
		return 0, fmt.Errorf("the text holds id %d, outside the vocabulary of %d", top, len(row))
	}
	id, err := o.Pick(row, step)
	if err != nil {
		return 0, err
	}
	if id < 0 || id >= len(row) {
		return 0, fmt.Errorf("id %d was picked, outside the vocabulary of %d", id, len(row))
	}
	return int64(id), nil
}

// lastRow returns the logits (V) of the last token of t (1,length,V), float32
// or float64. They may share t's memory.
func lastRow(t format.Tensor, length int) ([]float32, error) {
	if len(t.Shape) != 3 || t.Shape[0] != 1 || t.Shape[1] != length || t.Shape[2] < 1 {
		return nil, fmt.Errorf("logits have shape %v, want (1,%d,V)", t.Shape, length)
	}
	start := (length - 1) * t.Shape[2]
	switch t.DType {
	case format.Float32:
		v, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		return v[start:], nil
	case format.Float64:
		v, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		row := make([]float32, t.Shape[2])
		for i, x := range v[start:] {
			row[i] = float32(x)
		}
		return row, nil
	}
	return nil, fmt.Errorf("choosing from logits of %s is not supported", t.DType)
}
