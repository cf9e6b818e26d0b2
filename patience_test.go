package attnx_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
)

// A run whose validation loss rises ends early, and again when it is resumed;
// with more patience it goes on to the file of a run that had it from the
// beginning.
func TestPatience(t *testing.T) {
	dir := t.TempDir()
	data := attnx.Corpus{Text: "abcabdabeabfabgabhabiabjabkablabmabnaboabpabqabrabs" + "zyxwvutsrqponmlkjihgfedcbazzyyxxwwvvuu"}
	options := func(out string, patience int) attnx.TrainOptions {
		o := train.DefaultOptions(40)
		o.EvalEvery, o.EvalBatches, o.Patience, o.LR, o.Schedule = 2, 1, patience, 0.05, train.Constant
		return attnx.TrainOptions{
			Out: filepath.Join(dir, out), Engine: "gorgonia", Settings: o, Sizes: arch.Sizes{Layers: 1, Width: 8, Inner: 8},
			Data: data, Context: 3, Config: "steps: 40\n",
		}
	}
	early, err := attnx.Train(t.Context(), options("run", 2))
	check(err)
	best, since := math.Inf(1), 0
	for _, m := range early.History {
		if m.ValLoss == nil {
			continue
		}
		if since++; *m.ValLoss < best {
			best, since = *m.ValLoss, 0
		}
	}
	if early.Ended != attnx.Early || early.Done >= 40 || since != 2 || early.Model.Step != early.Done {
		t.Fatalf("%s after %d steps, %d evaluations after the best", early.Ended, early.Done, since)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "run", store.ConfigName)); err != nil || string(text) != "steps: 40\n" {
		t.Errorf("the run keeps %q, %v", text, err)
	}
	again, err := attnx.Resume(t.Context(), early.Run, attnx.ResumeOptions{Data: data})
	check(err)
	if again.Ended != attnx.Early || again.Done != 0 {
		t.Errorf("resumed: %s after %d steps", again.Ended, again.Done)
	}
	more, err := attnx.Resume(t.Context(), early.Run, attnx.ResumeOptions{Data: data, Patience: 100})
	check(err)
	whole, err := attnx.Train(t.Context(), options("whole", 100))
	check(err)
	a, err := os.ReadFile(more.Checkpoint)
	b, err2 := os.ReadFile(whole.Checkpoint)
	check(errors.Join(err, err2))
	if more.Ended != attnx.Complete || string(a) != string(b) {
		t.Errorf("%s: the resumed run and the whole one differ", more.Ended)
	}
}
