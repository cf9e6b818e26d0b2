package attnx_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// ending are options of a run of an MLP, at a learning rate that lets it diverge
// in one of its first steps if it is large.
func ending(t *testing.T, rate float64) attnx.TrainOptions {
	t.Helper()
	settings := train.DefaultOptions(40)
	settings.LR, settings.Warmup, settings.SaveEvery, settings.EvalEvery = rate, 0, 100, 0
	return attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "run"), Data: attnx.Corpus{Data: withoutTextData(t, "mlp")},
		Network: MLP{In: 3, Hidden: 4, Out: 2}, Settings: settings, Engine: "gorgonia",
	}
}

// names are those of the files in a folder, none where it is not there.
func names(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A run whose first step fails leaves nothing of its own, whether its folder was
// there or not; a resumed one keeps what it had.
func TestTrainFailsAtOnce(t *testing.T) {
	bad := func() *train.Data {
		x, err := train.NewExamples(train.Batch{
			role.Features: format.FromFloat32s("", []int{4, 3}, append(make([]float32, 11), float32(math.Inf(1)))),
			role.Labels:   format.FromFloat32s("", []int{4, 2}, make([]float32, 8)),
		})
		check(err)
		return x
	}
	for _, there := range []bool{false, true} {
		o := ending(t, 1e-3)
		o.Data.Data = bad()
		if there {
			check(os.Mkdir(o.Out, 0o777))
		}
		if r, err := attnx.Train(t.Context(), o); err == nil || r != nil {
			t.Errorf("infinite numbers: %+v, %v", r, err)
		}
		for _, name := range names(t, o.Out) {
			t.Errorf("folder there before: %v: %s is left", there, name)
		}
	}

	o := ending(t, 1e-3)
	o.Settings.Steps, o.Settings.DataSHA256 = 1, bad().SHA256() // so that it can be resumed with these
	run, err := attnx.Train(t.Context(), o)
	check(err)
	before := names(t, o.Out)
	r, err := attnx.Resume(t.Context(), o.Out, attnx.ResumeOptions{Steps: 9, Data: attnx.Corpus{Data: bad()}})
	if err == nil || r != nil {
		t.Errorf("resumed with infinite numbers: %+v, %v", r, err)
	}
	if after := names(t, o.Out); len(after) < len(before) {
		t.Errorf("the folder had %q before, has %q", before, after)
	}
	for _, path := range []string{run.Checkpoint, filepath.Join(o.Out, store.MetricsName)} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// overflowing scores tokens by products that float32 does not hold.
type overflowing struct{}

func (overflowing) Architecture() string { return "test/overflowing" }

func (overflowing) Forward(b *nn.Builder) {
	large := graph.Normal(1e30)
	b.Logits(b.Project("head", b.Embedding("words", b.Tokens(8), 300, 4, large), 4, 300, large))
}

// A run on a text whose first step fails does not leave the place of its text
// either.
func TestTrainFailsAtOnceOnText(t *testing.T) {
	o := ending(t, 1e-3)
	text := filepath.Join(t.TempDir(), "text.txt")
	check(os.WriteFile(text, []byte(fixtures.Notes()), 0o666))
	o.Network, o.Data = overflowing{}, attnx.Corpus{Files: []string{text}}
	r, err := attnx.Train(t.Context(), o)
	if err == nil || r != nil || !strings.Contains(err.Error(), "step 1") {
		t.Errorf("logits that overflow: %+v, %v", r, err)
	}
	for _, name := range names(t, o.Out) {
		t.Errorf("%s is left", name)
	}
}

// A step that fails after others is reported with what was reached, which is
// saved and can be resumed.
func TestTrainFailsLater(t *testing.T) {
	o := ending(t, 1e25)
	r, err := attnx.Train(t.Context(), o)
	if err == nil || r == nil || r.Ended != attnx.Failed || r.Done < 1 || r.Model.Step != r.Done || len(r.History) != r.Done {
		t.Fatalf("a run that diverges: %+v, %v", r, err)
	}
	if _, err := os.Stat(r.Checkpoint); err != nil {
		t.Error(err)
	}
	kept, err := attnx.Checkpoints(o.Out)
	check(err)
	if last := kept[len(kept)-1]; last.Step != r.Done || !last.Latest {
		t.Errorf("the last checkpoint is %+v, the run reached step %d", last, r.Done)
	}
}

// Where what was reached cannot be saved, that is said beside what ended the run,
// and nothing is returned as if it were there.
func TestTrainFailsToSave(t *testing.T) {
	o := ending(t, 1e25)
	o.Events.Step = func(attnx.Metric) { check(os.RemoveAll(o.Out)) }
	_, why := attnx.Train(t.Context(), ending(t, 1e25))
	r, err := attnx.Train(t.Context(), o)
	var joined interface{ Unwrap() []error }
	if r != nil || !errors.As(err, &joined) || len(joined.Unwrap()) != 2 || joined.Unwrap()[0].Error() != why.Error() || !strings.Contains(joined.Unwrap()[1].Error(), "does not exist") {
		t.Errorf("%+v, %v: expected %q and that it was not saved", r, err, why)
	}
}

// ended is a context whose deadline passes when its channel is closed.
type ended struct {
	context.Context
	done chan struct{}
}

func (e ended) Done() <-chan struct{} { return e.done }

func (e ended) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A deadline stops a run as a cancellation does: the step under way is saved. One
// that is stopped before its first step has its first weights.
func TestTrainDeadline(t *testing.T) {
	for _, after := range []int{0, 3} {
		ctx, o := ended{t.Context(), make(chan struct{})}, ending(t, 1e-3)
		if after == 0 {
			o.Events.Begin = func(attnx.TrainBegin) { close(ctx.done) }
		}
		o.Events.Step = func(m attnx.Metric) {
			if m.Step == after {
				close(ctx.done)
			}
		}
		r, err := attnx.Train(ctx, o)
		if !errors.Is(err, context.DeadlineExceeded) || r == nil || r.Ended != attnx.Stopped || r.Done != after || r.Model.Step != after {
			t.Fatalf("a deadline after step %d: %+v, %v", after, r, err)
		}
		r, err = attnx.Resume(t.Context(), o.Out, attnx.ResumeOptions{Steps: 5, Data: o.Data})
		if err != nil || r.Ended != attnx.Complete || r.Done != 5-after {
			t.Errorf("resumed: %+v, %v", r, err)
		}
	}
}

// A run that its budget of seconds ended says so, and how many seconds its steps took.
func TestTrainSpent(t *testing.T) {
	for seconds, want := range map[float64]attnx.TrainEnd{1e-12: attnx.Spent, 1e9: attnx.Complete} {
		o := ending(t, 1e-3)
		o.Settings.Steps, o.Seconds = 3, seconds
		r, err := attnx.Train(t.Context(), o)
		if err != nil || r.Ended != want || (r.Done == 1) != (want == attnx.Spent) || !(r.Seconds > 0) {
			t.Errorf("%g seconds: %+v, %v", seconds, r, err)
		}
	}
}
