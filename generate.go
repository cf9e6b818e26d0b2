package attnx

import (
	"context"
	"fmt"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/decode"
)

// Generation says how texts are continued.
type Generation struct {
	MaxTokens         int                                    // of each text, at least 1
	Sliding           bool                                   // continue beyond the context, seeing the last half of the text
	Sampler           model.Sampler                          // its zero value takes the likeliest token; equal prompts draw apart
	RepetitionPenalty float64                                // above 1 makes tokens that the text has already less likely; 0 is 1
	Stops             []string                               // a text ends before any of them
	OnBegin           func() error                           // is called when the model is ready; nil: nothing is
	OnText            func(sequence int, piece string) error // is given the texts as they come; nil: nobody is
}

// Generated is what a model wrote behind a prompt.
type Generated struct {
	decode.Generated        // the ids, those of a stop string too, and why the text ended
	Text             string // without the prompt, and before a stop string
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

// Continue is Generate for prompts that Encode made. With an error it returns
// what was written until then.
func (t *Text) Continue(ctx context.Context, prompts [][]int64, g Generation) ([]Generated, error) {
	m, err := t.Logits(len(prompts))
	if err != nil {
		return nil, err
	}
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
	own.Seed += uint64(sequence) // equal prompts draw apart
	return own.Pick(logits, step)
}

// writer turns the ids of a batch into texts.
type writer struct {
	texts  []*writtenText
	onText func(sequence int, piece string) error
}

// writtenText is what a model writes behind a prompt.
type writtenText struct {
	decoder *tokens.Decoder
	stop    *decode.StopText
	stopped bool   // a stop string was found
	written string // so far
}

// writer begins the texts behind prompts. A prompt goes through the decoder:
// whether a word begins with a space depends on what is before it.
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

// token takes a new id of a sequence, and ends it where it has written a stop
// string.
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

// flush ends the texts: what was held back belongs to them.
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
