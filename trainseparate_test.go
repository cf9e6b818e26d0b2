package attnx_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// separateRun is a run with a vocabulary for each side: that of targets is larger, and its
// end and its padding have ids that sources do not have.
func separateRun(t *testing.T, out string, steps int) attnx.TrainOptions {
	t.Helper()
	data := filepath.Join(t.TempDir(), "pairs.tsv")
	var sb strings.Builder
	for i := range 60 {
		fmt.Fprintf(&sb, "%ssay number%d now\tzahl%d und zahl%d\n", strings.Repeat("please ", i%2), i%8, i, i+1)
	}
	check(os.WriteFile(data, []byte(sb.String()), 0o644))
	o := train.DefaultOptions(steps)
	o.Batch, o.EvalBatches, o.EvalEvery, o.SaveEvery, o.LR = 4, 1, steps, 2, 1e-2
	return attnx.TrainOptions{Out: out, Pairs: attnx.PairCorpus{Files: []string{data}}, Context: 8, Kind: tokens.Word, Settings: o, Engine: "gorgonia", SeparateVocabularies: true}
}

// A run with two vocabularies continues to the same bit, and its model translates, aligns,
// and goes to a Hugging Face folder and back with both tokenizers.
func TestTrainSeparateVocabularies(t *testing.T) {
	dir := t.TempDir()
	options := separateRun(t, filepath.Join(dir, "run"), 4)
	whole := must(attnx.Train(t.Context(), options))
	tok := must(tokens.Parse(whole.Model.Tokenizer))
	if !tok.Separate() || whole.Model.SourceIDs() != tok.VocabSize() || whole.Model.IDs() != tok.Target().VocabSize() || tok.VocabSize() >= tok.Target().VocabSize() {
		t.Fatalf("%d ids of sources and %d of targets, the tokenizer has %d and %d", whole.Model.SourceIDs(), whole.Model.IDs(), tok.VocabSize(), tok.Target().VocabSize())
	}

	// Both sides have the ids that begin, end and pad a text.
	for _, token := range []string{"</s>", "<pad>"} {
		a, _ := tok.ID(token)
		b, ok := tok.Target().ID(token)
		if a != b || !ok {
			t.Errorf("%s has the id %d in sources and %d in targets", token, a, b)
		}
	}
	if end, pad := whole.Model.Special.End, *whole.Model.Special.Pad; end[0] >= int64(whole.Model.SourceIDs()) || pad >= int64(whole.Model.SourceIDs()) {
		t.Errorf("ends %d, padding %d: sources have %d ids", end, pad, whole.Model.SourceIDs())
	}

	// Stopped after two steps.
	options.Out = filepath.Join(dir, "stopped")
	must(attnx.Train(t.Context(), options))
	check(os.Remove(filepath.Join(options.Out, "step-00000004.safetensors")))
	check(os.WriteFile(filepath.Join(options.Out, "latest"), []byte("step-00000002.safetensors\n"), 0o644))
	must(attnx.Resume(t.Context(), options.Out, attnx.ResumeOptions{Engine: "gorgonia"}))
	a, b := must(os.ReadFile(filepath.Join(dir, "run", "step-00000004.safetensors"))), must(os.ReadFile(filepath.Join(options.Out, "step-00000004.safetensors")))
	if string(a) != string(b) {
		t.Error("a resumed run ends with another file")
	}

	folder := filepath.Join(dir, "folder")
	must(huggingface.Write(folder, whole.Model, format.Float32))
	again, _, err := huggingface.Read(folder)
	check(err)
	if string(again.Tokenizer) != string(whole.Model.Tokenizer) {
		t.Error("the folder has another tokenizer")
	}
	how := attnx.Translation{MaxTokens: 6}
	texts := []string{"say number7 now", "please say number3 now now"}
	var want [][]attnx.Translated
	for _, path := range []string{filepath.Join(dir, "run"), folder} {
		tr := must(attnx.OpenTranslator(path, attnx.Options{}))
		got := must(tr.Translate(t.Context(), texts, how))
		if want == nil {
			want = got
		}
		for i := range got {
			if got[i][0].Text != want[i][0].Text || got[i][0].Text == "" {
				t.Errorf("%s: %q, expected %q", path, got[i][0].Text, want[i][0].Text)
			}
			for _, word := range strings.Fields(got[i][0].Text) {
				if _, ok := tok.Target().ID(word); !ok {
					t.Errorf("%s: %q is no word of targets", path, word)
				}
			}
			source := must(tr.Encode("the text", texts[i]))
			if end, _ := tr.Tokenizer.ID("</s>"); source[len(source)-1] != end {
				t.Errorf("the source ends with %d, its end is %d", source[len(source)-1], end)
			}
			al := must(tr.Align(source, got[i][0].IDs))
			if !slices.Equal(al.Source[:2], strings.Fields(texts[i])[:2]) || len(al.Links) == 0 {
				t.Errorf("alignment %+v", al)
			}
			e := must(tr.Explore(source, got[i][0].IDs, 3, func(*attnx.Exploration, attnx.Matrix) error { return nil }))
			if e.Source[1].Text != strings.Fields(texts[i])[1] || e.Predicted[0][0].Text != tr.Tokenizer.Target().Token(got[i][0].IDs[0]) {
				t.Errorf("explored %v, %v", e.Source, e.Predicted[0])
			}
		}
		if _, err := tr.Encode("the text", "say </s> now"); err == nil || !strings.Contains(err.Error(), "ends a text") {
			t.Errorf("the end of sources within a source: %v", err)
		}
		check(tr.Close())
	}
}

// transformers opens the folder of a run with two vocabularies, of each kind, and translates
// with it to the same ids.
func TestSeparateVocabulariesInTransformers(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: transformers is not asked")
	}
	kinds := []tokens.Kind{tokens.Word}
	if fixtures.Exhaustive() {
		kinds = append(kinds, tokens.Char, tokens.BPE)
	}
	for _, kind := range kinds {
		dir := t.TempDir()
		options := separateRun(t, filepath.Join(dir, "run"), 6)
		options.Kind, options.Context, options.Vocab = kind, 40, 300
		r := must(attnx.Train(t.Context(), options))
		folder := filepath.Join(dir, "folder")
		must(attnx.Convert(filepath.Join(dir, "run"), folder, attnx.ConvertOptions{}))
		texts := []string{"say number7 now", "please say number3 now"}
		cmd := exec.Command(python, append([]string{filepath.Join("fixtures", "oracle", "huggingface_seq2seq.py"), "--texts", folder}, texts...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: transformers does not open the folder: %v", kind, err)
		}
		var want []struct{ Source, Target []int64 }
		check(json.Unmarshal(out, &want))
		tr := must(attnx.OpenTranslator(folder, attnx.Options{}))
		got := must(tr.Translate(t.Context(), texts, attnx.Translation{MaxTokens: 12}))
		for i, text := range texts {
			ids := want[i].Target[1:] // without the start
			if source := must(tr.Encode("the text", text)); !slices.Equal(source, want[i].Source) || !slices.Equal(got[i][0].IDs, ids) {
				t.Errorf("%v: %q is %v and becomes %v, in transformers %v and %v", kind, text, source, got[i][0].IDs, want[i].Source, ids)
			}
		}
		check(tr.Close())

		// A run of an earlier version has a padding that its sources lack.
		beyond := int64(r.Model.SourceIDs())
		if kind != tokens.Word {
			continue // where targets have fewer ids than sources
		}
		r.Model.Special.Pad = &beyond
		path := filepath.Join(dir, "old.safetensors")
		check(r.Model.Save(path))
		report := must(attnx.Convert(path, filepath.Join(dir, "old"), attnx.ConvertOptions{}))
		if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "transformers cannot open it: padding has the id") {
			t.Errorf("%v: notes %q", kind, report.Notes)
		}
	}
}

func TestTrainSeparateRefuses(t *testing.T) {
	given := separateRun(t, filepath.Join(t.TempDir(), "run"), 1)
	for want, change := range map[string]func(*attnx.TrainOptions){
		"t5 has one vocabulary for both sides: take marian": func(o *attnx.TrainOptions) { o.Arch = "t5" },
		"leave it out": func(o *attnx.TrainOptions) { o.Init = "model.safetensors" },
	} {
		o := given
		change(&o)
		if _, err := attnx.Train(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	given.Arch = "marian"
	if err := given.CheckAgainst("gru"); err == nil || !strings.Contains(err.Error(), "one vocabulary for both sides") {
		t.Error(err)
	}
}
