// Package lesson is quickstart's translator: it learns a small grammar.
package lesson

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/trainview"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// Report is quickstart's JSON for --task translate.
type Report struct {
	Folder    string         `json:"folder"`
	Scores    *score.Scores  `json:"scores"` // of sentences that neither trained it nor chose its best checkpoint
	Verify    runtime.Report `json:"verify"` // of the exported files
	Sentences []Sentence     `json:"sentences"`
}

// Learned reports whether enough translations are exact, and the exported files passed.
func (r Report) Learned() bool {
	return r.Scores != nil && r.Scores.Exact >= grammarExact && r.Verify.Verdict == runtime.Pass
}

// Sentence is an unseen sentence with its translation.
type Sentence struct {
	Source      string `json:"source"`
	Translation string `json:"translation"`
	Reference   string `json:"reference"`
}

// Sizes of the lesson: the fewest that learn the grammar with the smallest network.
const (
	grammarSentences = 8000
	grammarSteps     = 1600
	grammarUnseen    = 512 // more, which are not among them
	grammarShown     = 3
	longestTarget    = 32 // tokens
	grammarExact     = 99 // percent of unseen sentences
)

// Translate trains a translator on sentences of a grammar, exports its best checkpoint,
// verifies the export, and translates sentences with it that the run has not seen: it neither learned
// from them, nor did they choose the checkpoint. missing says why ONNX Runtime is not here: then the
// checkpoint translates.
func Translate(ctx context.Context, s console.Streams, out string, missing error) (r Report, err error) {
	r.Sentences = []Sentence{}
	folder, place, err := output.Fresh(out)
	if err != nil {
		return r, fmt.Errorf("--out: %w", err)
	}
	defer place.Close()
	r.Folder = folder
	all := pairs.Grammar(grammarSentences+grammarUnseen, 1)
	all, unseen := all[:grammarSentences], all[grammarSentences:]
	var lines strings.Builder
	for _, p := range all {
		fmt.Fprintf(&lines, "%s\t%s\n", p.Source, p.Target)
	}
	data := filepath.Join(folder, "sentences.tsv")
	if err := os.WriteFile(data, []byte(lines.String()), 0o666); err != nil {
		return r, err
	}
	fmt.Fprintf(s.Out, "\n1. Train a translator on sentences of a small grammar, such as\n   %s\n   %s\n", all[0].Source, all[0].Target)
	o := train.DefaultOptions(grammarSteps)
	o.Batch, o.LR, o.MinLR, o.Warmup, o.WeightDecay, o.Seed, o.Keep = 32, 1e-2, 1e-4, 50, 0, 1, 1
	o.EvalEvery = grammarSteps / 4
	o.SaveEvery = o.EvalEvery
	view := &trainview.View{Ctx: ctx, Streams: s, Fresh: true}
	run, err := attnx.Train(ctx, attnx.TrainOptions{
		Out: folder, Pairs: attnx.PairCorpus{Files: []string{data}}, Kind: tokens.Word,
		Settings: o, Events: view.Events(),
	})
	view.Finish()
	if run != nil {
		err = errors.Join(view.End(run, false), err)
	}
	if err != nil {
		return r, err
	}
	best := filepath.Join(folder, store.BestName)
	c, err := attnx.Load(best, s.Tell)
	if err != nil {
		return r, err
	}
	fmt.Fprint(s.Out, "\n2. Export the best checkpoint to ONNX, and compare it with a float64 oracle\n")
	model := filepath.Join(folder, "onnx") + string(filepath.Separator)
	report, err := attnx.ExportCheckpoint(ctx, c, model, attnx.ExportOptions{})
	if err != nil {
		return r, err
	}
	report.WriteText(s.Out)
	check := attnx.VerifyOptions{Seed: 1}
	if missing != nil {
		check.Runtimes = []string{"ref", "gorgonia"}
	}
	if r.Verify, err = attnx.VerifyFiles(ctx, []string{best, model}, s.Tell, check); err != nil {
		return r, err
	}
	if err := r.Verify.WriteText(s.Out); err != nil {
		return r, err
	}
	if missing != nil {
		fmt.Fprintf(s.Out, "%s was not run: that takes ONNX Runtime\n", model)
		model = best
	}
	fmt.Fprint(s.Out, "\n3. Translate sentences that it has not seen\n")
	t, err := attnx.OpenTranslator(model, attnx.Options{Tell: s.Tell})
	if err != nil {
		return r, err
	}
	defer t.Close()
	var sources, got, want []string
	for _, p := range unseen {
		sources, want = append(sources, p.Source), append(want, p.Target)
	}
	translated, err := t.Translate(ctx, sources, attnx.Translation{MaxTokens: longestTarget})
	if err != nil {
		return r, err
	}
	for i, of := range translated {
		if got = append(got, of[0].Text); i < grammarShown {
			fmt.Fprintf(s.Out, "   %s\n   %s\n", sources[i], got[i])
			r.Sentences = append(r.Sentences, Sentence{sources[i], got[i], want[i]})
		}
	}
	scores := score.Of(got, want, sources)
	r.Scores = &scores
	fmt.Fprintf(s.Out, "\n%d unseen sentences: %s\n", len(got), r.Scores)
	fmt.Fprintf(s.Out, "\nNext:\n  attnx translate %s --text %q\n  attnx explore %s --text %q -o %s\n", model, sources[0], folder, sources[0], filepath.Join(folder, "explore.html"))
	return r, nil
}
