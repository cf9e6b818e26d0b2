package attnx

import (
	"context"
	"fmt"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/decode"
)

// Generation configures how texts are continued.
type Generation struct {
	MaxTokens         int                                    // per text, at least 1
	Sliding           bool                                   // continue beyond the context with the last half of the text
	Sampler           model.Sampler                          // the zero value takes the likeliest token; equal prompts are sampled independently
	RepetitionPenalty float64                                // above 1: tokens already in the text become less likely; 0 means 1
	Stops             []string                               // a text ends before any of these
	OnBegin           func() error                           // called when the model is ready; may be nil
	OnText            func(sequence int, piece string) error // called with each piece of text; may be nil
}

// Generated is the continuation of a prompt.
type Generated struct {
	decode.Generated        // the ids, including those of a stop string, and why the text ended
	Text             string // without the prompt, up to a stop string
}

// Generate continues prompts as one batch.
func (t *Text) Generate(ctx context.Context, prompts []string, g Generation) ([]Generated, error) {
	var ids [][]int64
	for i, p := range prompts {
		of, err := t.Encode(fmt.Sprintf("prompt number %d", i+1), p)
		if err != nil {
			return nil, err
		}
		ids = append(ids, of)
	}
	return t.Continue(ctx, ids, g)
}

// Continue is Generate for prompts encoded by Encode. If it returns an error,
// it also returns the texts so far.
func (t *Text) Continue(ctx context.Context, prompts [][]int64, g Generation) ([]Generated, error) {
	m, err := t.Logits(len(prompts))
	if err != nil {
		return nil, err
	}
	return t.continueIn(ctx, m, prompts, g)
}

// continueIn is Continue in an open model.
func (t *Text) continueIn(ctx context.Context, m decode.Model, prompts [][]int64, g Generation) ([]Generated, error) {
	w, err := t.writer(prompts, g)
	if err != nil {
		return nil, err
	}
	if g.OnBegin != nil {
		if err := g.OnBegin(); err != nil {
			return nil, err
		}
	}
	ended, err := decode.Generate(ctx, m, prompts, decode.GenerateOptions{
		MaxTokens: g.MaxTokens, Sliding: g.Sliding, Pick: g.pick, Stop: t.End, OnToken: w.token,
	})
	if flushErr := w.flush(); err == nil {
		err = flushErr
	}
	var out []Generated
	for i, e := range ended {
		out = append(out, Generated{e, w.texts[i].written})
	}
	return out, err
}

// pick chooses the next token of a sequence.
func (g Generation) pick(logits []float32, text []int64, sequence, step int) (int, error) {
	if g.RepetitionPenalty != 0 {
		model.RepetitionPenalty(g.RepetitionPenalty).Apply(logits, text)
	}
	own := g.Sampler
	own.Seed += uint64(sequence) // equal prompts are sampled independently
	return own.Pick(logits, step)
}

// writer decodes the ids of a batch to texts.
type writer struct {
	texts  []*writtenText
	onText func(sequence int, piece string) error
}

// writtenText is the continuation of one prompt.
type writtenText struct {
	decoder *tokens.Decoder
	stop    *decode.StopText
	stopped bool   // a stop string was found
	written string // so far
}

// writer starts the texts after the prompts. The prompts go through the decoder
// too: whether a word begins with a space depends on the text before it.
func (t *Text) writer(prompts [][]int64, g Generation) (*writer, error) {
	w := &writer{onText: g.OnText}
	for _, ids := range prompts {
		d := t.Tokenizer.NewDecoder()
		for _, id := range ids {
			if _, err := d.Next(id); err != nil {
				return nil, err
			}
		}
		w.texts = append(w.texts, &writtenText{decoder: d, stop: decode.NewStopText(g.Stops)})
	}
	return w, nil
}

// token decodes a new id of a sequence, and ends the sequence at a stop string.
func (w *writer) token(sequence int, id int64) error {
	t := w.texts[sequence]
	piece, err := t.decoder.Next(id)
	if err != nil {
		return err
	}
	shown, found := t.stop.Next(piece)
	t.stopped = found
	if err := w.write(sequence, shown); err != nil {
		return err
	}
	if found {
		return decode.ErrEndSequence
	}
	return nil
}

func (w *writer) write(sequence int, shown string) error {
	w.texts[sequence].written += shown
	if w.onText == nil || shown == "" {
		return nil
	}
	return w.onText(sequence, shown)
}

// flush ends the texts and adds the parts that were held back.
func (w *writer) flush() error {
	for i, t := range w.texts {
		if t.stopped {
			continue
		}
		shown, found := t.stop.Next(t.decoder.Flush())
		if !found {
			shown += t.stop.Flush()
		}
		if err := w.write(i, shown); err != nil {
			return err
		}
	}
	return nil
}
