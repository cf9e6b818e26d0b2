// Package trainview shows a training run: what it reads, its progress line, its
// losses, and its report.
package trainview

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/plot"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/train"
)

// longText is the number of bytes that take about a second to tokenize. For a
// longer text the summary and the progress are shown at once. For a shorter one
// nothing is shown until the run is known to be able to begin.
const longText = 8 << 20

// View shows a run.
type View struct {
	console.Streams
	Ctx   context.Context    // of the command
	Fresh bool               // the run is new, not continued
	text  func()             // prints the summary of the text; nil once printed
	bar   *terminal.Progress // nil if no long work is in progress
	val   float64            // the last validation loss
	steps int                // of the run
}

// Events are the callbacks of the run.
func (v *View) Events() attnx.TrainEvents {
	return attnx.TrainEvents{Text: v.read, Tokenize: v.tokenized, Open: v.open, Begin: v.begin, Step: v.step, Tell: v.message}
}

func (v *View) read(t *train.Text) {
	line, bytes := t.String(), len(t.Text) // captures the summary and not the text, so that the text can be freed
	v.text = func() {
		fmt.Fprintf(v.Note, "text: %s\n", line)
		v.text = nil
	}
	if bytes < longText {
		return
	}
	if v.text(); v.Fresh {
		fmt.Fprintln(v.Note, "making the vocabulary")
	}
}

func (v *View) tokenized(done, total int) {
	const MB = 1_000_000
	if total < longText {
		return
	}
	if v.bar == nil {
		v.bar = terminal.NewProgress(v.Note, "tokenizing", total/MB, "MB")
	}
	v.bar.Set(done/MB, "")
}

// open makes the program save the run before it ends.
func (v *View) open() {
	v.Finish()
	ending.FinishFirst(v.Ctx)
}

// message prints a message of the library below the progress line.
func (v *View) message(level attnx.Level, line string) {
	v.Finish()
	v.Tell(level, words.Replace(line))
}

// Finish ends the progress line.
func (v *View) Finish() {
	if v.bar != nil {
		v.bar.Finish()
		v.bar = nil
	}
}

func (v *View) begin(b attnx.TrainBegin) {
	if v.text != nil {
		v.text()
	}
	n, _ := b.Model.Parameters() // a model in training has parameters
	on := b.Engine
	if b.Device != "cpu" {
		on += " on " + b.Device
	}
	context := "any context"
	if most := b.Model.Context(); most > 0 {
		context = fmt.Sprintf("context %d", most)
	}
	fmt.Fprintf(v.Note, "%s: %s parameters, vocabulary %d, %s; engine %s\n", b.Model.Arch, quote.Count(n), b.Model.Vocab(), context, on)
	if b.Init != nil && b.Model.Step == 0 {
		fmt.Fprintf(v.Note, "starts from %s (weights %.12s)\n", quote.Line(b.Init.Name, 200), b.Init.SHA256)
	}
	if b.Frozen > 0 {
		fmt.Fprintf(v.Note, "frozen: %s of them\n", quote.Count(b.Frozen))
	}
	if b.NoORT != nil {
		fmt.Fprintf(v.Note, "pure Go: %v\n", b.NoORT)
	}
	v.val = math.NaN()
	v.steps = b.Steps
	v.bar = terminal.NewProgress(v.Note, "training", b.Steps, "steps")
	v.bar.Set(b.Model.Step)
}

func (v *View) step(m attnx.Metric) {
	if m.ValLoss != nil {
		v.val = *m.ValLoss
	}
	v.bar.Set(m.Step, lossNote(m, v.val)...)
	if m.Scores != nil {
		v.Finish()
		fmt.Fprintf(v.Note, "step %d: %s\n", m.Step, m.Scores)
		v.bar = terminal.NewProgress(v.Note, "training", v.steps, "steps")
	}
}

// lossNote is the note of a training step, the most important part first.
func lossNote(m attnx.Metric, val float64) []string {
	note := []string{fmt.Sprintf("loss %.3f", m.Loss)}
	if !math.IsNaN(val) {
		note = append(note, fmt.Sprintf("val %.3f", val))
	}
	note = append(note, quote.Count(int(m.TokensPerSecond))+" tokens/s", fmt.Sprintf("%.0f GFLOP/s", m.GFLOPS))
	if m.GEMMShare != nil {
		note = append(note, usage.Percent(m.GEMMShare)+" of GEMM")
	}
	return note
}

// End plots and prints the results of a run.
func (v *View) End(r *attnx.TrainResult, asJSON bool) error {
	var plotted error
	if n := len(r.History); n > 0 {
		plotted = plot.Loss(filepath.Join(r.Run, store.LossPlotName), r.History)
		losses := make([]float64, n)
		for i, m := range r.History {
			losses[i] = m.Loss
		}
		caption := fmt.Sprintf("loss, steps %d to %d", r.History[0].Step, r.History[n-1].Step)
		fmt.Fprintln(v.Note, terminal.Curve(losses, caption, terminal.Columns(v.Note)))
	}
	if r.Done > 0 || r.Ended != attnx.Complete {
		fmt.Fprintf(v.Note, "saved %s (step %d of %d, fingerprint %.12s)\n", r.Checkpoint, r.Model.Step, r.Steps, graph.Fingerprint(r.Model.Graph))
	}
	if !asJSON {
		return plotted
	}
	return errors.Join(plotted, usage.PrintJSON(v.Out, ReportOf(r)))
}

// Report is the JSON of train. The losses are those of the last step and
// the last evaluation, null before there was one.
type Report struct {
	Run         string        `json:"run"`
	Checkpoint  string        `json:"checkpoint"` // the last saved checkpoint
	Step        int           `json:"step"`       // step of the checkpoint
	Steps       int           `json:"steps"`      // requested steps
	Stopped     bool          `json:"stopped"`    // by a signal
	Arch        string        `json:"arch"`
	Parameters  int           `json:"parameters"`
	Vocabulary  int           `json:"vocabulary"`
	Context     int           `json:"context"`
	Fingerprint string        `json:"fingerprint"` // of the network
	Engine      string        `json:"engine"`
	Device      string        `json:"device"`
	Loss        *float64      `json:"loss"`
	ValLoss     *float64      `json:"val_loss"`
	Scores      *score.Scores `json:"scores"` // of held-out translations, after the last evaluation; null for other runs

	TokensPerSecond *float64 `json:"tokens_per_second"` // of the last step
	GFLOPS          *float64 `json:"gflops"`            // of the last step
	GEMMShare       *float64 `json:"gemm_share"`        // of the last step; null if not known

	Comparison *attnx.RunComparison `json:"comparison"` // with the runs of --against; null without it
}

// ReportOf returns the report of a run.
func ReportOf(r *attnx.TrainResult) Report {
	c := r.Model
	report := Report{
		Run: r.Run, Checkpoint: r.Checkpoint, Step: c.Step, Steps: r.Steps, Stopped: r.Ended == attnx.Stopped,
		Arch: c.Arch, Vocabulary: c.Vocab(), Context: c.Context(), Fingerprint: graph.Fingerprint(c.Graph),
		Engine: r.Engine, Device: r.Device, Loss: c.Loss, ValLoss: c.ValLoss,
	}
	report.Parameters, _ = c.Parameters() // a trained model has parameters
	for _, m := range r.History {
		report.Loss, report.TokensPerSecond, report.GFLOPS, report.GEMMShare = finite(m.Loss), finite(m.TokensPerSecond), finite(m.GFLOPS), m.GEMMShare
		if m.Scores != nil {
			report.Scores = m.Scores
		}
		if m.ValLoss != nil {
			report.ValLoss = finite(*m.ValLoss)
		}
	}
	return report
}

// finite returns a pointer to v for JSON, nil if v is NaN or infinite.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
