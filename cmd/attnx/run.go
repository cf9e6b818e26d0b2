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

// trainRun trains, shows the progress, and saves into the run's folder.
func trainRun(ctx context.Context, s streams, c *model.Checkpoint, data *train.Data, o train.Options, f trainFlags) error {
	if err := checkMemory(c.Config, o.Batch); err != nil {
		return err
	}
	engine, why, err := openEngine(f.engine, f.device, c.Config)
	if err != nil {
		return err
	}
	defer engine.Close()
	o.Engine = engine.Name()
	t, err := train.New(c, engine, data, o)
	if err != nil {
		return err
	}
	folder := f.folder()
	in := func(name string) string { return filepath.Join(folder, name) }
	// The folder is made first: a run that cannot be saved must not begin.
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("--out: no folder can be made: %w", err)
	}
	metrics, err := openMetrics(in(metricsFile), c.Step)
	if err != nil {
		return err
	}
	defer metrics.Close()

	n, err := c.Config.Parameters()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s: %s parameters, vocabulary %d, context %d; engine %s\n", c.Config.Arch, thousands(n), c.Config.Vocab, c.Config.Context, engine.Name())
	if why != nil {
		fmt.Fprintf(s.err, "pure Go: %v\n", why)
	}
	speed, err := newSpeedometer(c.Config, engine.Name())
	if err != nil {
		return err
	}
	bar := newProgress(s.err, "training", o.Steps, "steps")
	bar.set(c.Step, "")
	val, done := math.NaN(), 0
	runErr := t.Run(ctx, func(e train.Event) {
		done++
		pace := speed.pace(e.TokensPerSecond)
		metrics.add(e, pace)
		if !math.IsNaN(e.ValLoss) {
			val = e.ValLoss
		}
		bar.set(e.Step, lossLine(e.Loss, val, e.TokensPerSecond, pace))
	})
	bar.finish()
	stopped := errors.Is(runErr, context.Canceled)
	if runErr != nil && !stopped && done == 0 {
		if f.resume == "" { // nothing was reached: nothing is left behind
			metrics.Close()
			os.Remove(in(metricsFile))
			os.Remove(folder) // only if it is empty
		}
		return runErr
	}

	// What was reached is kept, whatever ended the run.
	saved, err := t.Checkpoint(c.Tokenizer)
	if err != nil {
		return errors.Join(runErr, err)
	}
	path := in(checkpointFile)
	if err := saved.Save(path); err != nil {
		return errors.Join(runErr, err)
	}
	if err := metrics.Close(); err != nil {
		return errors.Join(runErr, err)
	}
	if len(metrics.history) > 0 {
		if err := plotLoss(in(lossPlotFile), metrics.history); err != nil {
			return errors.Join(runErr, err)
		}
		fmt.Fprintln(s.err, lossCurve(metrics.history))
	}
	fmt.Fprintf(s.err, "saved %s (step %d of %d, fingerprint %.12s)\n", path, saved.Step, o.Steps, fingerprint(c.Config))
	if stopped {
		fmt.Fprintf(s.err, "stopped; to go on: %s\n", resumeCommand(folder, f))
		return errStopped
	}
	return runErr
}

// resumeCommand is what a user types to go on with a run.
func resumeCommand(folder string, f trainFlags) string {
	words := []string{"attnx", "train", "--resume", folder, "--data", f.data}
	if f.glob != "*" {
		words = append(words, "--glob", f.glob)
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

func fingerprint(c model.Config) string {
	g, err := model.Build(c)
	if err != nil {
		return "unknown"
	}
	return graph.Fingerprint(g)
}
