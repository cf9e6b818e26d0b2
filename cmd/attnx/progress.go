package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/schollz/progressbar/v3"
)

// progress shows how far a piece of work is: a bar on a terminal, now and then
// a line anywhere else.
type progress struct {
	bar   *progressbar.ProgressBar // nil when the output is no terminal
	out   io.Writer
	what  string
	unit  string
	total int
	told  int // tenths told so far
}

func newProgress(out io.Writer, what string, total int, unit string) *progress {
	p := &progress{out: out, what: what, unit: unit, total: total}
	if terminalOf(out) != nil {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionThrottle(65*time.Millisecond), // a screen shows no more
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetWidth(12), // the whole line fits 80 columns
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		)
	}
	return p
}

// set tells that n of the total are done, with a note such as the loss, which
// takes the place of the bar's description.
func (p *progress) set(n int, note string) {
	if p.bar != nil {
		if note != "" {
			p.bar.Describe(note)
		}
		_ = p.bar.Set(n) // a bar that cannot be drawn stops no work
		return
	}
	if tenth := n * 10 / max(p.total, 1); tenth > p.told && n > 0 {
		p.told = tenth
		digits := len(strconv.Itoa(p.total))
		fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf("%s %*d/%d %s  %s", p.what, digits, n, p.total, p.unit, note), " "))
	}
}

// elapsed shows how long the work has taken and not how long it may: for work
// whose pieces take seconds or minutes. It reports whether there is a screen.
func (p *progress) elapsed() bool {
	if p.bar == nil {
		return false
	}
	progressbar.OptionSetPredictTime(false)(p.bar)
	progressbar.OptionSetElapsedTime(true)(p.bar)
	return true
}

// clear takes the bar off the screen.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// finish leaves the bar as it stands and goes to the next line.
func (p *progress) finish() {
	if p.bar != nil {
		fmt.Fprintln(p.out)
	}
}

// lossLine is what a training step shows beside the bar.
func lossLine(loss, val, tokensPerSecond float64, p pace) string {
	s := fmt.Sprintf("loss %.3f", loss)
	if !math.IsNaN(val) {
		s += fmt.Sprintf("  val %.3f", val)
	}
	s += fmt.Sprintf("  %s tokens/s  %.0f GFLOP/s", thousands(int(tokensPerSecond)), p.gflops)
	if p.share > 0 {
		s += fmt.Sprintf(" (%.0f %% of GEMM)", 100*p.share)
	}
	return s
}

// lossCurve draws the training loss with characters.
func lossCurve(history []metric) string {
	loss := make([]float64, len(history))
	for i, m := range history {
		loss[i] = m.Loss
	}
	return asciigraph.Plot(loss, asciigraph.Height(8), asciigraph.Width(60), asciigraph.Caption(fmt.Sprintf("loss, steps %d to %d", history[0].Step, history[len(history)-1].Step)))
}

// thousands writes 1234567 as "1,234,567".
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
