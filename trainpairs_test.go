package attnx_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// A translator learns from pairs in a file, scores what is held out, and a resumed run
// ends with the same bytes. Its checkpoint has what translating takes.
func TestTrainTranslator(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for _, p := range pairs.Grammar(200, 1) {
		fmt.Fprintf(&lines, "%s\t%s\n", p.Source, p.Target)
	}
	data := filepath.Join(dir, "pairs.tsv")
	check(os.WriteFile(data, []byte(lines.String()), 0o644))
	o := train.DefaultOptions(4)
	o.Batch, o.EvalEvery, o.EvalBatches, o.SaveEvery, o.Smoothing = 2, 4, 1, 2, 0.1
	options := attnx.TrainOptions{
		Out: filepath.Join(dir, "run"), Pairs: attnx.PairCorpus{Files: []string{data}}, Kind: tokens.Word,
		Sizes: arch.Sizes{Layers: 1, Width: 16, Heads: 2}, Settings: o, Engine: "gorgonia",
	}
	r, err := attnx.Train(t.Context(), options)
	check(err)
	last := r.History[3]
	if last.Scores == nil || last.Scores.Sentences < 5 || r.Model.Special == nil || r.Model.Special.Start == nil || r.Model.Rank == nil && last.Scores == nil {
		t.Errorf("the last step has %+v, the model %+v", last.Scores, r.Model.Special)
	}
	half := filepath.Join(dir, "half")
	check(os.MkdirAll(half, 0o755))
	for _, name := range []string{"step-00000002.safetensors", "source.json"} {
		file, err := os.ReadFile(filepath.Join(dir, "run", name))
		check(err)
		check(os.WriteFile(filepath.Join(half, name), file, 0o644))
	}
	again, err := attnx.Resume(t.Context(), half, attnx.ResumeOptions{})
	check(err)
	want, err := os.ReadFile(r.Checkpoint)
	check(err)
	got, err := os.ReadFile(again.Checkpoint)
	check(err)
	if !bytes.Equal(got, want) {
		t.Error("the resumed run ends with other bytes")
	}
	// A run that starts from it begins where it ended; another kind of network is refused.
	further := options
	further.Out, further.Init, further.Kind, further.Sizes = filepath.Join(dir, "further"), r.Checkpoint, 0, arch.Sizes{}
	further.Settings = train.DefaultOptions(1)
	further.Settings.Batch, further.Settings.EvalBatches, further.Settings.LR, further.Settings.MinLR = 2, 1, 1e-9, 0
	more, err := attnx.Train(t.Context(), further)
	check(err)
	if a, b := *more.Model.ValLoss, *last.ValLoss; math.Abs(a-b) > 1e-4 || more.Model.Step != 1 || len(more.Model.Tokenizer) == 0 {
		t.Errorf("a run that starts from a model with the loss %g has %g", b, a)
	}
	n, err := arch.New(arch.Names()[0], arch.Sizes{Layers: 1, Heads: 2, Width: 8, Context: 8}, 9)
	check(err)
	reader, err := model.New(n, 1)
	check(err)
	further.Out, further.Init = filepath.Join(dir, "other"), filepath.Join(dir, "gpt2.safetensors")
	check(reader.Save(further.Init))
	if _, err := attnx.Train(t.Context(), further); err == nil || !strings.Contains(err.Error(), "reads no source") {
		t.Errorf("a network that reads no source: %v", err)
	}
	c, err := model.Load(r.Checkpoint)
	check(err)
	if c.Rank == nil || *c.Rank < 0 || *c.Rank > 100 {
		t.Errorf("the checkpoint's rank is %v", c.Rank)
	}
	tok, err := tokens.Parse(c.Tokenizer)
	check(err)
	if ids := tok.AddSpecial(tok.Encode("the dog")); len(ids) != 3 || ids[2] != c.Special.End[0] {
		t.Errorf("a source has the ids %v, and no end", ids)
	}
	tr, err := attnx.OpenTranslator(r.Checkpoint, attnx.Options{})
	check(err)
	defer tr.Close()
	source, err := tr.Encode("the text", "the dog sees a cat")
	check(err)
	target := append(tok.Encode("the cat the"), c.Special.End[0])
	a, err := tr.Align(source, target)
	check(err)
	if len(a.Source) != len(source) || len(a.Target) != len(target) || len(a.Weights) != len(target) || len(a.Links) != len(target)-1 {
		t.Fatalf("the alignment of %d and %d tokens is %+v", len(source), len(target), a)
	}
	for i, row := range a.Weights {
		sum, best := 0.0, 0
		for j, w := range row {
			sum += w
			if w > row[best] && j < len(source)-1 { // the last token ends the source
				best = j
			}
		}
		if math.Abs(sum-1) > 1e-12 || i < len(a.Links) && a.Links[i] != [2]int{best, i} {
			t.Errorf("the weights of %q are %v, its link %v", a.Target[i], row, a.Links)
		}
	}
	if texts, err := attnx.TranslateGreedily(c, []string{"the dog sees a cat"}); err != nil || len(texts) != 1 {
		t.Errorf("%q, %v", texts, err)
	}
}

// What a run that learns to translate refuses.
func TestTrainTranslatorErrors(t *testing.T) {
	two := attnx.PairCorpus{Pairs: pairs.Grammar(40, 1)}
	for name, c := range map[string]struct {
		of   func(o *attnx.TrainOptions)
		want string
	}{
		"data and pairs": {func(o *attnx.TrainOptions) { o.Data.Text = fixtures.Notes() }, "Data or from Pairs"},
		"a decoder":      {func(o *attnx.TrainOptions) { o.Arch = arch.Decoders()[0] }, "cannot learn to translate: take"},
		"too long":       {func(o *attnx.TrainOptions) { o.Context = 2 }, "give more pairs, or a larger context"},
		"no sources":     {func(o *attnx.TrainOptions) { o.Pairs = attnx.PairCorpus{Target: "x"} }, "name one file with the sources"},
		"another score":  {func(o *attnx.TrainOptions) { o.Settings.Best = "ter" }, "take bleu or chrf"},
	} {
		o := attnx.TrainOptions{Out: filepath.Join(t.TempDir(), "run"), Pairs: two, Kind: tokens.Word, Sizes: arch.Sizes{Layers: 1, Width: 16, Heads: 2}, Settings: train.DefaultOptions(2), Engine: "gorgonia"}
		c.of(&o)
		if _, err := attnx.Train(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
