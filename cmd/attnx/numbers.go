package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
)

// numbers is what an exported model computes with, as the flags say.
type numbers struct {
	dtype, quantize string // --dtype, --quantize
	text            string // --text
}

func (n *numbers) flags(fl *pflag.FlagSet) {
	fl.StringVar(&n.dtype, "dtype", "float32", "plain, cache: type of the numbers: float32, float16, bfloat16")
	fl.StringVar(&n.quantize, "quantize", "", "plain, cache: weights as int8 (standard operators) or int4 (ONNX Runtime's MatMulNBits)")
	fl.StringVar(&n.text, "text", "", "new text to measure the loss of --dtype and --quantize on (default: random ids)")
}

// form returns the numbers that the flags ask for.
func (n numbers) form() (f precision.Form, err error) {
	if f.DType, err = precision.ParseDType(n.dtype); err != nil {
		return f, fmt.Errorf("--dtype: %w", err)
	}
	if n.quantize != "" {
		if f.Quantize, err = precision.ParseQuantize(n.quantize); err != nil {
			return f, fmt.Errorf("--quantize: %w", err)
		}
	}
	if n.text != "" && !f.Changes() {
		return f, fmt.Errorf("--text measures what --dtype or --quantize lost: give one of them")
	}
	return f, nil
}

// say writes what happened to a model's numbers, and measures what was lost on
// the sequences that heldOut returned; nil if they are as they were. Its error is
// the end of ctx.
func (n numbers) say(ctx context.Context, w io.Writer, c *model.Checkpoint, p export.Profile, sequences [][]int64, done precision.Numbers) (*lostReport, error) {
	f := p.Numbers()
	if !f.Changes() {
		return nil, nil
	}
	r := newLost(done)
	if done.Weights > 0 {
		fmt.Fprintf(w, "%s: %d weight tensors, off by %.2g %% of their size (root mean square), %s most, by %.2g %%\n",
			done.Quantize, done.Weights, 100*done.Error, done.Worst, 100*done.WorstError)
	}
	if done.DType != format.Invalid {
		fmt.Fprintf(w, "%s: rounding changed %s of %s weights, by at most %.3g\n",
			n.dtype, thousands(done.Rounding.Changed), thousands(done.Rounding.Elements), done.Rounding.MaxAbs)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(w, "float32 stays in %s (%d nodes): %s\n", k.What, k.Nodes, k.Reason)
	}
	for _, text := range r.Remarks {
		fmt.Fprintln(w, "note: "+text)
	}
	r.Computed = "as written"
	q, err := attnx.Quality(ctx, c, p, sequences)
	if err != nil && !errors.Is(err, context.Canceled) && done.DType != format.Invalid {
		// No runtime here computes in this type. What is lost at least is what
		// the weights lose.
		r.Problem = oneLine(err.Error())
		if f.Quantize != "" {
			r.Computed = fmt.Sprintf("with %s weights, computed in float32", f.Quantize)
		} else {
			r.Computed = "with rounded weights, computed in float64"
		}
		fmt.Fprintf(w, "not run: %s; measured %s:\n", r.Problem, r.Computed)
		if f.Quantize != "" {
			f.DType = format.Float32
			if p, err = export.WithNumbers(p, f); err == nil {
				q, err = attnx.Quality(ctx, c, p, sequences)
			}
		} else {
			q, err = attnx.RoundedQuality(ctx, c, done.DType, sequences)
		}
	}
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil { // the export succeeded; only the quality measurement failed
		r.Computed, r.Problem = "", oneLine(err.Error())
		fmt.Fprintf(w, "not measured: %s\n", r.Problem)
		return r, nil
	}
	on := "random ids (--text measures on a text)"
	if n.text != "" {
		on = n.text
	}
	fmt.Fprintf(w, "on %d tokens of %s: perplexity %.4f, in float64 %.4f; the likeliest token agrees at %.2f %%; divergence %.2g nats\n",
		q.Positions, on, q.Perplexity, q.OraclePerplexity, 100*q.ArgmaxAgreement(), q.Divergence)
	r.Quality = &qualityReport{n.text, q.Positions, finite(q.Perplexity), finite(q.OraclePerplexity), q.ArgmaxAgreement(), finite(q.Divergence)}
	return r, nil
}

// report begins the report of a model that is written with these numbers.
func (n numbers) report() exportReport {
	return exportReport{DType: n.dtype, Quantize: n.quantize}
}

// heldOut returns sequences of tokens that the model was not trained on: the
// beginning of a text, or random ids. Where nothing is lost there is nothing to
// measure. It is read before anything is written: a text that is not there is
// no reason to write half of what was asked for.
func (n numbers) heldOut(ctx context.Context, s streams, c *model.Checkpoint, p export.Profile) ([][]int64, error) {
	if !p.Numbers().Changes() {
		return nil, nil
	}
	total, err := measured(c)
	if err != nil {
		return nil, err
	}
	var ids []int64
	if n.text == "" {
		stream := model.NewStream(1, "held out")
		for i := range total {
			ids = append(ids, int64(stream.IntN(uint64(i), c.Vocab())))
		}
	} else {
		if n.text == train.Stdin {
			s.sayInput()
		}
		text, err := attnx.Corpus{Files: []string{n.text}, Reader: s.in}.Read(ctx, "")
		if err != nil {
			return nil, fmt.Errorf("--text: %w", err)
		}
		tok, err := find.Tokenizer("--text", c.Tokenizer, c)
		if err != nil {
			return nil, err
		}
		for run := range tok.EncodeSeq(text.Text) {
			if ids = append(ids, run[:min(len(run), total-len(ids))]...); len(ids) == total {
				break
			}
		}
		if err := find.CheckIDs(tok, c, "--text", ids); err != nil {
			return nil, err
		}
	}
	length := min(c.Context()+1, 129)
	var out [][]int64
	for len(ids) >= 2 {
		take := min(length, len(ids))
		out, ids = append(out, ids[:take]), ids[take:]
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--text %s: it has fewer than two tokens: give a longer text", n.text)
	}
	return out, nil
}

// measured returns how many tokens the oracle runs in some ten seconds.
func measured(c *model.Checkpoint) (int, error) {
	n, err := c.Parameters()
	return min(2048, max(64, 2e10/max(n, 1))), err
}
