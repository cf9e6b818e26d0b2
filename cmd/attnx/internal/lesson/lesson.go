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
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// Report is quickstart's JSON for --task translate.
type Report struct {
	Folder    string        `json:"folder"`
	Scores    *score.Scores `json:"scores"` // of held-out sentences
	Sentences []Sentence    `json:"sentences"`
}

// Learned reports whether enough translations are exact.
func (r Report) Learned() bool { return r.Scores != nil && r.Scores.Exact >= grammarExact }

// Sentence is a held-out sentence with its translation.
type Sentence struct {
	Source      string `json:"source"`
	Translation string `json:"translation"`
	Reference   string `json:"reference"`
}

// Sizes of the quickstart's translator: the fewest that learn the grammar.
const (
	grammarSentences = 8000
	grammarSteps     = 1600
	grammarWidth     = 64
	grammarHeads     = 4
	grammarShown     = 3
	grammarExact     = 99 // percent of held-out sentences
)

// Translate trains a translator on sentences of a grammar, and translates
// sentences that it has not seen.
func Translate(ctx context.Context, s console.Streams, out string) (r Report, err error) {
	r.Sentences = []Sentence{}
	folder, place, err := output.Fresh(out)
	if err != nil {
		return r, fmt.Errorf("--out: %w", err)
	}
	defer place.Close()
	r.Folder = folder
	all := pairs.Grammar(grammarSentences, 1)
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
		Sizes: arch.Sizes{Width: grammarWidth, Heads: grammarHeads}, Settings: o, Events: view.Events(),
	})
	view.Finish()
	if run != nil {
		err = errors.Join(view.End(run, false), err)
	}
	if err != nil {
		return r, err
	}
	for _, m := range run.History {
		if m.Scores != nil {
			r.Scores = m.Scores
		}
	}
	fmt.Fprint(s.Out, "\n2. Translate sentences that it has not seen\n")
	_, held := (&pairs.Corpus{Pairs: all}).Split(attnx.HeldShare)
	held = held[:grammarShown]
	var sources []string
	for _, p := range held {
		sources = append(sources, p.Source)
	}
	translations, err := attnx.TranslateGreedily(run.Model, sources)
	if err != nil {
		return r, err
	}
	for i, p := range held {
		fmt.Fprintf(s.Out, "   %s\n   %s\n", p.Source, translations[i])
		r.Sentences = append(r.Sentences, Sentence{p.Source, translations[i], p.Target})
	}
	fmt.Fprintf(s.Out, "\nHeld-out sentences: %s\n", r.Scores)
	return r, nil
}
