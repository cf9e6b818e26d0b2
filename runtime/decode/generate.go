package decode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
)

// Model gives the logits that follow each sequence of a batch: a Decoder, or
// what Recompute returns.
type Model interface {
	// Context is the number of tokens that a sequence can have.
	Context() int
	// Prefill begins with new sequences and returns the logits (B,V) after each
	// of them, valid until the next call.
	Prefill(prompts [][]int64) ([]float32, error)
	// Step adds a token to each sequence, none where the id is Idle, and
	// returns the logits (B,V) after it, valid until the next call. Those of an
	// idle sequence mean nothing.
	Step(ids []int64) ([]float32, error)
	// Full reports whether Prefill has to begin anew before another Step, even
	// if that adds to sequences only that are shorter than the context.
	Full() bool
}

// GenerateOptions says how Generate goes on and when it stops.
type GenerateOptions struct {
	MaxTokens int // how many tokens to add to each sequence at most
	// Sliding goes on when a sequence is as long as the context: its last half
	// becomes the text that the model sees. Positions are counted from its
	// beginning, so that half is run anew: one prefill of half a context for
	// every half context of text.
	Sliding bool
	// Pick chooses the next id of a sequence from its logits (V), at its
	// step-th new token, both counted from 0. It may change the logits, which
	// are valid during the call, as is the sequence's text: the ids of its
	// prompt and its new tokens.
	Pick func(logits []float32, text []int64, sequence, step int) (int, error)
	Stop []int64 // ids that end a sequence; they are not part of it
	// OnToken is called with each new id as it comes; it may be nil. Its error
	// ends Generate, but ErrEndSequence ends the sequence only, behind the id.
	OnToken func(sequence int, id int64) error
}

// ErrEndSequence is what OnToken returns to end a sequence, with the reason
// StopString.
var ErrEndSequence = errors.New("the sequence has ended")

// StopReason says why a sequence ended.
type StopReason string

// The reasons.
const (
	StopMaxTokens StopReason = "max-tokens" // MaxTokens were added
	StopToken     StopReason = "stop-token" // the model chose an id of Stop
	StopString    StopReason = "stop-text"  // OnToken returned ErrEndSequence: the text is to end here
	StopContext   StopReason = "context"    // the text is as long as the model can see
)

// Generated is what became of one sequence.
type Generated struct {
	IDs    []int64    // the new tokens, without the prompt
	Reason StopReason // empty if an error came before an end
}

// Generate goes on with every prompt, one token of each at a time, until all
// have ended. What a sequence becomes does not depend on the others beside it,
// unless the model rounds activations of all of them by one scale (int8).
// A prompt as long as the context still gets one token; longer ones are
// refused with a *PromptError. Where the sequences of a cache share its end,
// the rest is run anew when the longest has reached it.
//
// Logits that are NaN or +Inf, and a picked id that is none, are errors. On an
// error, the end of ctx included, the tokens made so far come with it.
func Generate(ctx context.Context, m Model, prompts [][]int64, o GenerateOptions) ([]Generated, error) {
	if err := o.check(m, prompts); err != nil {
		return make([]Generated, len(prompts)), fmt.Errorf("generate: %w", err)
	}
	g := generation{GenerateOptions: o, model: m, next: make([]int64, len(prompts)), sequences: make([]sequence, len(prompts))}
	for i, p := range prompts {
		g.sequences[i] = sequence{text: slices.Clone(p), prompt: len(p)}
		if o.MaxTokens == 0 {
			g.sequences[i].reason = StopMaxTokens
		}
	}
	var err error
	for step := 0; err == nil && !g.ended(); step++ {
		if err = g.token(ctx, step); err != nil {
			err = fmt.Errorf("generate: token %d: %w", step, err)
		}
	}
	out := make([]Generated, len(prompts))
	for i, s := range g.sequences {
		out[i] = Generated{IDs: s.text[s.prompt:], Reason: s.reason}
	}
	return out, err
}

// check reports what cannot be generated from. What is in the prompts the
// model checks, which knows its batch and vocabulary.
func (o GenerateOptions) check(m Model, prompts [][]int64) error {
	switch {
	case o.Pick == nil:
		return errors.New("no function to pick a token with")
	case o.MaxTokens < 0:
		return fmt.Errorf("%d tokens were asked for: give 0 or more", o.MaxTokens)
	case m.Context() < 1:
		return fmt.Errorf("context %d is not a length", m.Context())
	case len(prompts) == 0:
		return errors.New("no prompt to continue")
	}
	return checkPrompts(prompts, len(prompts), m.Context(), 0)
}

// sequence is one text under way.
type sequence struct {
	text   []int64    // the prompt and what was added
	prompt int        // tokens of the prompt
	start  int        // where the text that the model sees begins
	reason StopReason // empty while it goes on
}

// generation is a Generate under way.
type generation struct {
	GenerateOptions
	model     Model
	sequences []sequence
	next      []int64 // what Step adds to each
	anew      bool    // a sequence lost its beginning: Prefill is due
}

func (g *generation) ended() bool {
	return !slices.ContainsFunc(g.sequences, func(s sequence) bool { return s.reason == "" })
}

// token adds the step-th token to every sequence that goes on.
func (g *generation) token(ctx context.Context, step int) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	logits, err := g.logits(step)
	if err != nil {
		return err
	}
	vocab := len(logits) / len(g.sequences)
	for i := range g.sequences {
		if g.sequences[i].reason != "" {
			continue
		}
		if err := g.pick(i, step, logits[i*vocab:][:vocab]); err != nil {
			return err
		}
	}
	return nil
}

// logits returns those that follow the sequences.
func (g *generation) logits(step int) ([]float32, error) {
	if step > 0 && !g.anew && !g.model.Full() {
		return g.model.Step(g.next)
	}
	g.anew = false
	windows := make([][]int64, len(g.sequences))
	for i, s := range g.sequences {
		windows[i] = s.text[s.start:]
		if s.reason != "" { // it only keeps its place
			windows[i] = s.text[:1]
		}
	}
	return g.model.Prefill(windows)
}

// pick adds the token that is picked from row (V) to sequence i, or ends it.
func (g *generation) pick(i, step int, row []float32) error {
	s := &g.sequences[i]
	if bad := unusable(row); bad >= 0 {
		return fmt.Errorf("sequence %d, position %d: the logit of token %d is %g: the model's weights or its runtime are at fault",
			i, len(s.text)-s.start-1, bad, row[bad])
	}
	id, err := g.Pick(row, s.text, i, step)
	if err != nil {
		return fmt.Errorf("sequence %d: %w", i, err)
	}
	if id < 0 || id >= len(row) {
		return fmt.Errorf("sequence %d: %w", i, &format.RangeError{Name: "the picked id", Got: int64(id), Last: int64(len(row) - 1)})
	}
	g.next[i] = int64(id)
	if slices.Contains(g.Stop, int64(id)) {
		g.end(i, StopToken)
		return nil
	}
	s.text = append(s.text, int64(id))
	if g.OnToken != nil {
		switch err := g.OnToken(i, int64(id)); {
		case errors.Is(err, ErrEndSequence):
			g.end(i, StopString)
			return nil
		case err != nil:
			return fmt.Errorf("sequence %d: %w", i, err)
		}
	}
	context := g.model.Context()
	switch {
	case len(s.text)-s.prompt >= g.MaxTokens:
		g.end(i, StopMaxTokens)
	case len(s.text)-s.start <= context:
	case g.Sliding:
		s.start = len(s.text) - max(1, context/2)
		g.anew = true
	default:
		g.end(i, StopContext)
	}
	return nil
}

// unusable returns the place of the first NaN or +Inf, -1 where there is none.
// -Inf is a token that is never chosen.
func unusable(row []float32) int {
	for i, x := range row {
		if !(x <= math.MaxFloat32) {
			return i
		}
	}
	return -1
}

// end ends sequence i, which is fed nothing from then on.
func (g *generation) end(i int, why StopReason) {
	g.sequences[i].reason, g.next[i] = why, Idle
}
