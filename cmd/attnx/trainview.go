package main

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
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

// longText is how many bytes take a second or so to tokenize: what was read, and
// how far it is, is said at once. Of a shorter text nothing is said before it is
// known that a run can begin.
const longText = 8 << 20

// trainView shows a run.
type trainView struct {
	console.Streams
	ctx   context.Context
	fresh bool
	text  func()             // says what was read; nil where that was done
	bar   *terminal.Progress // nil while nothing takes long
	val   float64            // the last validation loss
}

func (v *trainView) events() attnx.TrainEvents {
	return attnx.TrainEvents{Text: v.read, Tokenize: v.tokenized, Open: v.open, Begin: v.begin, Step: v.step, Tell: v.told}
}

func (v *trainView) read(t *train.Text) {
	line, bytes := t.String(), len(t.Text) // not the text, which is soon no longer needed
	v.text = func() {
		fmt.Fprintf(v.Note, "text: %s\n", line)
		v.text = nil
	}
	if bytes < longText {
		return
	}
	if v.text(); v.fresh {
		fmt.Fprintln(v.Note, "making the vocabulary")
	}
}

func (v *trainView) tokenized(done, total int) {
	const MB = 1_000_000
	if total < longText {
		return
	}
	if v.bar == nil {
		v.bar = terminal.NewProgress(v.Note, "tokenizing", total/MB, "MB")
	}
	v.bar.Set(done/MB, "")
}

// open keeps the program from ending before the run is saved.
func (v *trainView) open() {
	v.finish()
	ending.FinishFirst(v.ctx)
}

// told passes on what the library tells, below the line of what takes long.
func (v *trainView) told(level attnx.Level, line string) {
	v.finish()
	v.Tell(level, line)
}

// finish ends the line of what takes long.
func (v *trainView) finish() {
	if v.bar != nil {
		v.bar.Finish()
		v.bar = nil
	}
}

func (v *trainView) begin(b attnx.TrainBegin) {
	if v.text != nil {
		v.text()
	}
	n, _ := b.Model.Parameters() // it is to be trained, so it has some
	on := b.Engine
	if b.Device != "cpu" {
		on += " on " + b.Device
	}
	fmt.Fprintf(v.Note, "%s: %s parameters, vocabulary %d, context %d; engine %s\n", b.Model.Arch, thousands(n), b.Model.Vocab(), b.Model.Context(), on)
	if b.NoORT != nil {
		fmt.Fprintf(v.Note, "pure Go: %v\n", b.NoORT)
	}
	v.val = math.NaN()
	v.bar = terminal.NewProgress(v.Note, "training", b.Steps, "steps")
	v.bar.Set(b.Model.Step)
}

func (v *trainView) step(m attnx.Metric) {
	if m.ValLoss != nil {
		v.val = *m.ValLoss
	}
	v.bar.Set(m.Step, lossNote(m, v.val)...)
}

// lossNote is what a training step shows, the most important part first.
func lossNote(m attnx.Metric, val float64) []string {
	note := []string{fmt.Sprintf("loss %.3f", m.Loss)}
	if !math.IsNaN(val) {
		note = append(note, fmt.Sprintf("val %.3f", val))
	}
	note = append(note, thousands(int(m.TokensPerSecond))+" tokens/s", fmt.Sprintf("%.0f GFLOP/s", m.GFLOPS))
	if m.GEMMShare != nil {
		note = append(note, percent(m.GEMMShare)+" of GEMM")
	}
	return note
}

// end draws what a run has reached, and prints it.
func (v *trainView) end(r *attnx.TrainResult, asJSON bool) error {
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
	return errors.Join(plotted, usage.PrintJSON(v.Out, reportOf(r)))
}

// trainReport is what train prints as JSON at its end. The losses are those of
// the last step and the last evaluation, null before there was one.
type trainReport struct {
	Run             string   `json:"run"`
	Checkpoint      string   `json:"checkpoint"` // the last one saved
	Step            int      `json:"step"`       // its own
	Steps           int      `json:"steps"`      // that were asked for
	Stopped         bool     `json:"stopped"`    // by a signal
	Arch            string   `json:"arch"`
	Parameters      int      `json:"parameters"`
	Vocabulary      int      `json:"vocabulary"`
	Context         int      `json:"context"`
	Fingerprint     string   `json:"fingerprint"` // of the network
	Engine          string   `json:"engine"`
	Device          string   `json:"device"`
	Loss            *float64 `json:"loss"`
	ValLoss         *float64 `json:"val_loss"`
	TokensPerSecond *float64 `json:"tokens_per_second"` // of the last step
	GFLOPS          *float64 `json:"gflops"`            // likewise
	GEMMShare       *float64 `json:"gemm_share"`        // likewise; null where it is not known
}

func reportOf(r *attnx.TrainResult) trainReport {
	c := r.Model
	report := trainReport{
		Run: r.Run, Checkpoint: r.Checkpoint, Step: c.Step, Steps: r.Steps, Stopped: r.Ended == attnx.Stopped,
		Arch: c.Arch, Vocabulary: c.Vocab(), Context: c.Context(), Fingerprint: graph.Fingerprint(c.Graph),
		Engine: r.Engine, Device: r.Device, Loss: c.Loss, ValLoss: c.ValLoss,
	}
	report.Parameters, _ = c.Parameters() // it was trained, so it has some
	for _, m := range r.History {
		report.Loss, report.TokensPerSecond, report.GFLOPS, report.GEMMShare = finite(m.Loss), finite(m.TokensPerSecond), finite(m.GFLOPS), m.GEMMShare
		if m.ValLoss != nil {
			report.ValLoss = finite(*m.ValLoss)
		}
	}
	return report
}

// finite returns a number as JSON can have it: nil if it is none.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
