package decode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
)

// Model returns the logits after each sequence of a batch. Decoder and
// Recompute implement it.
type Model interface {
	// Context is the maximum length of a sequence in tokens.
	Context() int
	// Prefill starts new sequences and returns the logits (B,V) after each of them,
	// valid until the next call.
	Prefill(prompts [][]int64) ([]float32, error)
	// Step adds a token to each sequence, except those whose id is Idle, and
	// returns the logits (B,V) after it, valid until the next call. The logits of
	// an idle sequence are meaningless.
	Step(ids []int64) ([]float32, error)
	// Full reports whether Prefill must run before another Step. This can be the
	// case even if that Step would only extend sequences shorter than the context.
	Full() bool
}

// GenerateOptions configure how Generate continues texts and when it stops.
type GenerateOptions struct {
	MaxTokens int // maximum number of new tokens per sequence
	// Sliding continues a sequence that has reached the context: the model then
	// sees only its last half. Positions are counted from the start of that half,
	// so it is computed again. This costs one prefill of half a context for every
	// half context of new text.
	Sliding bool
	// Pick chooses the next id of a sequence from its logits (V) at new token step.
	// sequence and step count from 0. text is the sequence so far, prompt included.
	// Pick may change the logits. Logits and text are valid only during the call.
	Pick func(logits []float32, text []int64, sequence, step int) (int, error)
	Stop []int64 // ids that end a sequence; they are not part of it
	// OnToken is called with each new id. It may be nil. An error ends Generate,
	// except ErrEndSequence, which ends only the sequence, after the id.
	OnToken func(sequence int, id int64) error
}

// ErrEndSequence ends a sequence when OnToken returns it. The reason is then
// StopString.
var ErrEndSequence = errors.New("the sequence has ended")

// StopReason is why a sequence ended.
type StopReason string

// The reasons.
const (
	StopMaxTokens StopReason = "max-tokens" // MaxTokens tokens were added
	StopToken     StopReason = "stop-token" // the model chose an id of Stop
	StopString    StopReason = "stop-text"  // OnToken returned ErrEndSequence
	StopContext   StopReason = "context"    // the text has reached the context
)

// Generated is the result for one sequence.
type Generated struct {
	IDs    []int64    // the new tokens, without the prompt
	Reason StopReason // empty if an error came first
}

// Generate continues every prompt, one token of each at a time, until all have
// ended. A sequence's result does not depend on the other sequences, unless the
// model rounds the activations of all of them by one scale (int8). A prompt as
// long as the context gets one token; a longer one is a *PromptError. If the
// sequences of a cache share its end, all are computed again when the longest
// one reaches it.
//
// Logits that are NaN or +Inf, and a picked id out of range, are errors. If an
// error occurs or ctx ends, Generate also returns the tokens so far.
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

// check refuses invalid arguments. The model checks the contents of the
// prompts, since it knows its batch and vocabulary.
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

// sequence is one text in progress.
type sequence struct {
	text   []int64    // the prompt and the new tokens
	prompt int        // tokens of the prompt
	start  int        // start of the part that the model sees
	reason StopReason // empty until the sequence ends
}

// generation is a Generate in progress.
type generation struct {
	GenerateOptions
	model     Model
	sequences []sequence
	next      []int64 // the ids for the next Step
	anew      bool    // a sequence lost its beginning: Prefill must run next
}

func (g *generation) ended() bool {
	return !slices.ContainsFunc(g.sequences, func(s sequence) bool { return s.reason == "" })
}

// token adds token number step to every sequence that has not ended.
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

// logits returns the logits after the sequences.
func (g *generation) logits(step int) ([]float32, error) {
	if step > 0 && !g.anew && !g.model.Full() {
		return g.model.Step(g.next)
	}
	g.anew = false
	windows := make([][]int64, len(g.sequences))
	for i, s := range g.sequences {
		windows[i] = s.text[s.start:]
		if s.reason != "" { // an ended sequence only keeps its row
			windows[i] = s.text[:1]
		}
	}
	return g.model.Prefill(windows)
}

// pick picks a token from row (V) and adds it to sequence i, or ends the
// sequence.
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

// unusable returns the index of the first NaN or +Inf, -1 if there is none.
// -Inf is valid: a token that is never chosen.
func unusable(row []float32) int {
	for i, x := range row {
		if !(x <= math.MaxFloat32) {
			return i
		}
	}
	return -1
}

// end ends sequence i, which is idle afterwards.
func (g *generation) end(i int, why StopReason) {
	g.sequences[i].reason, g.next[i] = why, Idle
}
