package attnx

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
)

// measure reports the effect of changed numbers on a model, and its loss of
// quality on sequences of tokens. It returns an error only if ctx ends.
func (x *exporting) measure(ctx context.Context, c *model.Checkpoint, r *ExportReport, done precision.Numbers, layers *LayerLosses, sequences [][]int64) error {
	l := r.lost(done)
	if l.Layers = layers; layers != nil {
		r.text = append(r.text, layers.lines()...)
	}
	if none := c.Continues(); none != nil { // the quality is that of the next token
		l.Problem = quote.Line(none.Error(), 2000)
		r.say("not measured: %s", l.Problem)
		return nil
	}
	l.Computed = "as written"
	q, err := Quality(ctx, c, x.Profile, sequences)
	if err != nil && !errors.Is(err, context.Canceled) && done.DType != format.Invalid {
		// No runtime here computes in this type. The loss from rounding the weights is
		// a lower bound.
		l.Problem = quote.Line(err.Error(), 2000)
		if f := x.Profile.Numbers(); f.Quantize != "" {
			l.Computed = fmt.Sprintf("with %s weights, computed in float32", f.Quantize)
			f.DType = format.Float32
			var p export.Profile
			if p, err = export.WithNumbers(x.Profile, f); err == nil {
				q, err = Quality(ctx, c, p, sequences)
			}
		} else {
			l.Computed = "with rounded weights, computed in float64"
			q, err = RoundedQuality(ctx, c, done.DType, sequences)
		}
		r.say("not run: %s; measured %s:", l.Problem, l.Computed)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil: // the export succeeded; only the quality measurement failed
		l.Computed, l.Problem = "", quote.Line(err.Error(), 2000)
		r.say("not measured: %s", l.Problem)
	default:
		r.measured(q, x.Text)
	}
	return nil
}

// byLayer predicts and measures what rounding each weight loses, if that is asked
// for, and chooses the weights to keep in higher precision.
func (x *exporting) byLayer(ctx context.Context, c *model.Checkpoint, sequences [][]int64) (*LayerLosses, error) {
	if x.MaxLoss == 0 && !x.ByLayer {
		return nil, nil
	}
	p, err := newLossPredictor(c, x.Profile, sequences)
	if err == nil {
		err = p.draw(ctx)
	}
	if err != nil {
		return nil, err
	}
	chosen := p.chosen(x.Profile.Numbers())
	numbers := x.Profile.Numbers()
	if x.MaxLoss > 0 {
		chosen = p.choose(x.MaxLoss)
		numbers.Keep = p.keep(chosen)
		if x.Profile, err = export.WithNumbers(x.Profile, numbers); err == nil {
			err = x.Profile.Check()
		}
		if err != nil {
			return nil, err
		}
	}
	losses, err := p.losses(ctx, chosen)
	if err == nil && x.MaxLoss > 0 {
		losses.Limit = &x.MaxLoss
	}
	return losses, err
}

// heldOut returns sequences of tokens that the model was not trained on: the
// beginning of a text, or random ids. It returns none if the numbers do not
// change. It runs before anything is written, so that a missing text does not
// leave half of the export.
func (x *exporting) heldOut(ctx context.Context, c *model.Checkpoint) ([][]int64, error) {
	if !x.Profile.Numbers().Changes() {
		return nil, nil
	}
	if none := c.Continues(); none != nil {
		if x.Text != "" || x.MaxLoss != 0 || x.ByLayer {
			return nil, fmt.Errorf("what other numbers lose is measured on the next token: %w", none)
		}
		return nil, nil
	}
	n, err := c.Parameters()
	if err != nil {
		return nil, err
	}
	total := min(2048, max(64, 2e10/max(n, 1))) // about ten seconds of the oracle
	var ids []int64
	if x.Text == "" {
		stream := model.NewStream(1, "held out")
		for i := range total {
			ids = append(ids, int64(stream.IntN(uint64(i), c.Vocab())))
		}
	} else if ids, err = textIDs(ctx, c, x.Text, x.Stdin, total); err != nil {
		return nil, &OptionError{Option: "Text", Reason: ": " + err.Error(), Err: err}
	}
	length := min(c.Context()+1, 129)
	var out [][]int64
	for len(ids) >= 2 {
		take := min(length, len(ids))
		out, ids = append(out, ids[:take]), ids[take:]
	}
	if len(out) == 0 {
		return nil, &OptionError{Option: "Text", Reason: " " + x.Text + ": it has fewer than two tokens: give a longer text"}
	}
	return out, nil
}

// textIDs returns at most the given number of ids of a file's text, or of stdin's.
func textIDs(ctx context.Context, c *model.Checkpoint, path string, stdin io.Reader, most int) (ids []int64, err error) {
	text, err := Corpus{Files: []string{path}, Reader: stdin}.Read(ctx, "")
	if err != nil {
		return nil, err
	}
	tok, err := find.Tokenizer(path, c.Tokenizer, c)
	if err != nil {
		return nil, err
	}
	for run := range tok.EncodeSeq(text.Text) {
		if ids = append(ids, run[:min(len(run), most-len(ids))]...); len(ids) == most {
			break
		}
	}
	return ids, find.CheckIDs(tok, c, path, ids)
}
