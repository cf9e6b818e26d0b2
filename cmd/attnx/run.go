package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

// folder returns where the run's files are.
func (f trainFlags) folder() string {
	if f.resume != "" {
		return f.resume
	}
	return f.out
}

// trainRun trains, shows the progress, and saves into the run's folder: that of
// a run that is resumed, or a new one where run is nil.
func trainRun(ctx context.Context, s streams, run *model.Run, c *model.Checkpoint, data corpus, o train.Options, f trainFlags) error {
	if err := checkMemory(c, o.Batch); err != nil {
		return err
	}
	ending.FinishFirst(ctx)
	engine, why, err := attnx.OpenEngine(f.engine, c, attnx.EngineOptions{Device: f.device})
	if err != nil {
		return err
	}
	defer engine.Close()
	o.Engine = engine.Name()
	t, err := train.New(c, engine, data.Data, o)
	if err != nil {
		return err
	}
	save := func() error {
		reached, err := t.Checkpoint(c.Tokenizer)
		if err != nil {
			return err
		}
		return run.Save(reached)
	}
	folder := f.folder()
	in := func(name string) string { return filepath.Join(folder, name) }
	fresh := run == nil
	if fresh {
		if run, err = model.OpenRun(folder, o.Keep); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		defer run.Close()
		if held := heldBy(folder); held != "" { // since it was looked at, without the lock
			return fmt.Errorf("--out %s: meanwhile it holds a run's %s: choose another folder", folder, held)
		}
		// A run that cannot be saved must not begin.
		if err := errors.Join(save(), run.Wait()); err != nil {
			return errors.Join(err, run.Abandon())
		}
	}
	if data.source != nil {
		if err := saveSource(in(sourceFile), data.source); err != nil {
			return err
		}
	}
	metrics, err := openMetrics(in(metricsFile), c.Step)
	if err != nil {
		return err
	}
	defer metrics.Close()

	n, err := c.Parameters()
	if err != nil {
		return err
	}
	if data.words != nil {
		data.words()
	}
	on := engine.Name()
	if f.device != "cpu" {
		on += " on " + f.device
	}
	fmt.Fprintf(s.note, "%s: %s parameters, vocabulary %d, context %d; engine %s\n", c.Arch, thousands(n), c.Vocab(), c.Context(), on)
	if why != nil {
		fmt.Fprintf(s.note, "pure Go: %v\n", why)
	}
	speed, err := bench.NewSpeedometer(c, engine.Name(), f.device)
	if err != nil {
		return err
	}
	bar := terminal.NewProgress(s.note, "training", o.Steps, "steps")
	bar.Set(c.Step)
	every := max(1, o.SaveEvery)
	val, saved, done, overPeak := math.NaN(), c.Step, 0, 0.0 // overPeak of steps that beat the product
	runErr := t.Run(ctx, func(e train.Event) error {
		done++
		pace := speed.Pace(e.TokensPerSecond)
		metrics.add(e, pace)
		if pace.Busy {
			overPeak = max(overPeak, pace.GFLOPS)
		}
		if !math.IsNaN(e.ValLoss) {
			val = e.ValLoss
		}
		bar.Set(e.Step, lossNote(e.Loss, val, e.TokensPerSecond, pace)...)
		if e.Step%every != 0 {
			return run.Poll()
		}
		if err := save(); err != nil {
			return err
		}
		saved = e.Step
		return nil
	})
	bar.Finish()
	if overPeak > 0 {
		warnBusy(s, speed.Busy(overPeak))
	}
	stopped := errors.Is(runErr, context.Canceled)
	if runErr != nil && !stopped && done == 0 {
		if fresh { // nothing was reached: nothing is left behind
			metrics.Close()
			os.Remove(in(metricsFile))
			os.Remove(in(sourceFile))
			return errors.Join(runErr, run.Abandon())
		}
		return runErr
	}

	// Save progress however the run ended. Report a failed save before reporting
	// the stop.
	also := func(err error) error {
		if stopped || runErr != nil && err != nil && runErr.Error() == err.Error() { // tried again, for the same reason
			return err
		}
		return errors.Join(runErr, err)
	}
	reached := c.Step + done
	if saved != reached {
		if err := save(); err != nil {
			return also(err)
		}
	}
	if err := errors.Join(run.Wait(), metrics.Close()); err != nil {
		return also(err)
	}
	if len(metrics.history) > 0 {
		if err := plotLoss(in(lossPlotFile), metrics.history); err != nil {
			return also(err)
		}
		var losses []float64
		for _, m := range metrics.history {
			losses = append(losses, m.Loss)
		}
		caption := fmt.Sprintf("loss, steps %d to %d", metrics.history[0].Step, reached)
		fmt.Fprintln(s.note, terminal.Curve(losses, caption, terminal.Columns(s.note)))
	}
	fmt.Fprintf(s.note, "saved %s (step %d of %d, fingerprint %.12s)\n", run.Path(reached), reached, o.Steps, graph.Fingerprint(c.Graph))
	if f.json {
		report := trainReport{Run: folder, Checkpoint: run.Path(reached), Step: reached, Steps: o.Steps, Stopped: stopped, Engine: o.Engine, Device: f.device}
		report.network(c)
		report.measured(metrics.history)
		if err := printJSON(s.out, report); err != nil {
			return also(err)
		}
	}
	if stopped {
		fmt.Fprintf(s.err, "stopped; to continue: %s\n", resumeCommand(folder, data.source, f))
		return errStopped
	}
	return runErr
}

// resumeCommand is what a user types to continue a run. The data are named
// where the run cannot find them by itself.
func resumeCommand(folder string, from *train.Source, f trainFlags) string {
	words := []string{"attnx", "train", "--resume", folder}
	if from == nil {
		for _, path := range f.data {
			words = append(words, "--data", path)
		}
		if f.glob != "*" {
			words = append(words, "--glob", f.glob)
		}
	}
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// shellWord quotes a word for a shell where it needs it.
func shellWord(w string) string {
	if plainWord.MatchString(w) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
