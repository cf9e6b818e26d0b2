package attnx_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// withoutTextData returns examples of the networks without text, which they can
// learn: the MLP the sum and the difference of two numbers, the encoder whether
// the first token is small, of padded texts.
func withoutTextData(t *testing.T, name string) *train.Data {
	t.Helper()
	const count = 60
	s := model.NewStream(7, "test.examples")
	batch := train.Batch{}
	switch name {
	case "mlp":
		x, y := make([]float32, count*3), make([]float32, count*2)
		s.FillNormal(x, 1)
		for i := range count {
			y[2*i], y[2*i+1] = x[3*i]+x[3*i+1], x[3*i]-x[3*i+2]
		}
		batch[role.Features] = format.FromFloat32s("features", []int{count, 3}, x)
		batch[role.Labels] = format.FromFloat32s("labels", []int{count, 2}, y)
	case "encoder":
		text, mask, class := make([]int64, count*6), make([]int64, count*6), make([]int64, count)
		for i := range count {
			for j := range 2 + i%5 {
				text[6*i+j], mask[6*i+j] = int64(s.IntN(uint64(6*i+j), 9)), 1
			}
			class[i] = text[6*i] / 3
		}
		batch[role.Tokens] = format.FromInt64s("input_ids", []int{count, 6}, text)
		batch[role.AttentionMask] = format.FromInt64s("attention_mask", []int{count, 6}, mask)
		batch[role.Labels] = format.FromInt64s("labels", []int{count}, class)
	}
	data, err := train.NewExamples(batch)
	check(err)
	return data
}

// Networks that read no text train as others do, in both engines: a run that is
// stopped between two saves and resumed ends with the file of one that was not.
func TestTrainWithoutText(t *testing.T) {
	for name, c := range withoutText {
		for _, engine := range []string{"gorgonia", "ort"} {
			if !fixtures.Exhaustive() && (name == "encoder") == (engine == "gorgonia") {
				continue // each network, and each engine
			}
			t.Run(name+" "+engine, func(t *testing.T) {
				if engine == "ort" {
					onnxRuntime(t)
				}
				trainAndResume(t, name, c.network, engine)
			})
		}
	}
}

func trainAndResume(t *testing.T, name string, network nn.Network, engine string) {
	dir := t.TempDir()
	settings := train.DefaultOptions(60)
	settings.LR, settings.Warmup, settings.SaveEvery = 3e-2, 5, 7
	options := func(out string) attnx.TrainOptions {
		return attnx.TrainOptions{Out: filepath.Join(dir, out), Data: attnx.Corpus{Data: withoutTextData(t, name)}, Network: network, Settings: settings, Engine: engine}
	}
	whole, err := attnx.Train(t.Context(), options("whole"))
	check(err)
	first, last := whole.History[0].Loss, whole.History[59].Loss
	if !(last < 0.5*first) || whole.Ended != attnx.Complete || whole.Engine != engine {
		t.Errorf("%s in %s: the loss went from %g to %g", whole.Ended, whole.Engine, first, last)
	}

	// It is stopped after step 17, three after a save; and what it saves at its end
	// is taken away, as if the process had been killed.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := options("halved")
	o.Events.Step = func(m attnx.Metric) {
		if m.Step == 17 {
			stop()
		}
	}
	halved, err := attnx.Train(ctx, o)
	if !errors.Is(err, context.Canceled) || halved == nil || halved.Ended != attnx.Stopped || halved.Model.Step != 17 {
		t.Fatalf("stopped: %+v, %v", halved, err)
	}
	check(os.Remove(halved.Checkpoint))
	latest := filepath.Join(halved.Run, store.LatestName)
	check(os.Remove(latest)) // what is refused does not write it again

	if _, err := attnx.Resume(t.Context(), halved.Run, attnx.ResumeOptions{}); err == nil || !strings.Contains(err.Error(), "Data") {
		t.Errorf("resumed without data: %v", err)
	}
	other := withoutTextData(t, map[string]string{"mlp": "encoder", "encoder": "mlp"}[name])
	if _, err := attnx.Resume(t.Context(), halved.Run, attnx.ResumeOptions{Data: attnx.Corpus{Data: other}}); err == nil || !strings.Contains(err.Error(), "not those that this run began with") {
		t.Errorf("resumed with other data: %v", err)
	}
	if _, err := attnx.Resume(t.Context(), halved.Run, attnx.ResumeOptions{Data: attnx.Corpus{Data: withoutTextData(t, name)}, Engine: "abacus"}); err == nil || !strings.Contains(err.Error(), "Engine") {
		t.Errorf("resumed in another engine: %v", err)
	}
	if _, err := os.Lstat(latest); err == nil {
		t.Errorf("%s was written before the resumption was refused", latest)
	}
	resumed, err := attnx.Resume(t.Context(), halved.Run, attnx.ResumeOptions{Data: attnx.Corpus{Data: withoutTextData(t, name)}})
	check(err)
	if resumed.Done != 60-14 || len(resumed.History) != 60 {
		t.Errorf("%d steps were taken, %d are in the history", resumed.Done, len(resumed.History))
	}
	want, err := os.ReadFile(whole.Checkpoint)
	check(err)
	got, err := os.ReadFile(resumed.Checkpoint)
	check(err)
	if string(got) != string(want) {
		t.Error("the resumed run ended with another file")
	}
}

// A run that is finished is not trained on, and one that another holds, or that
// is not there, is refused with an error that speaks of the library.
func TestTrainRefuses(t *testing.T) {
	dir := t.TempDir()
	options := attnx.TrainOptions{Out: filepath.Join(dir, "run"), Data: attnx.Corpus{Text: strings.Repeat(fixtures.Notes(), 4)}, Settings: train.DefaultOptions(2), Engine: "gorgonia"}
	options.Events.Begin = func(attnx.TrainBegin) {
		_, err := attnx.Resume(t.Context(), options.Out, attnx.ResumeOptions{})
		if !errors.As(err, new(*store.LockedError)) {
			t.Errorf("a run that is going on was resumed: %v", err)
		}
	}
	run, err := attnx.Train(t.Context(), options)
	check(err)
	again, err := attnx.Resume(t.Context(), run.Run, attnx.ResumeOptions{})
	if err != nil || again.Done != 0 || again.Ended != attnx.Complete || again.Model.Step != 2 {
		t.Errorf("a finished run: %+v, %v", again, err)
	}
	for want, do := range map[string]func(*attnx.TrainOptions){
		"Data is missing: there is nothing to learn from: give Files, Text, Reader or Data": func(o *attnx.TrainOptions) { o.Data = attnx.Corpus{} },
		"Out is missing: the run has no folder: name one":                                   func(o *attnx.TrainOptions) { o.Out = "" },
		"choose another folder, or continue the run with Resume":                            func(o *attnx.TrainOptions) { o.Out = run.Run },
		`Engine "abacus": take gorgonia, ort or auto`:                                       func(o *attnx.TrainOptions) { o.Engine = "abacus" },
		`Device "tpu": take cpu or cuda`:                                                    func(o *attnx.TrainOptions) { o.EngineOptions.Device = "tpu" },
		"Context -1: take 1 or more":                                                        func(o *attnx.TrainOptions) { o.Context = -1 },
		"take a smaller Batch, and Accumulate to make up for it":                            func(o *attnx.TrainOptions) { o.Settings.Batch = 1 << 26 },
		"several of Files, Text, Reader and Data: give one":                                 func(o *attnx.TrainOptions) { o.Data.Files = []string{"x"} },
		"Network is missing":                                                                func(o *attnx.TrainOptions) { o.Data = attnx.Corpus{Data: withoutTextData(t, "mlp")} },
	} {
		o := options
		o.Out, o.Events = filepath.Join(dir, "new"), attnx.TrainEvents{}
		do(&o)
		_, err := attnx.Train(t.Context(), o)
		if known := new(attnx.Error); !errors.As(err, &known) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a refused run left a folder")
	}
}
