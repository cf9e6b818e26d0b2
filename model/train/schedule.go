package train

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/internal/quote"
)

// The schedules: how the learning rate decreases after the warm-up.
const (
	// Cosine decreases to MinLR along half a cosine that ends with the last step
	// (arXiv:1608.03983).
	Cosine = "cosine"
	// Linear decreases to MinLR in equal steps, ending with the last.
	Linear = "linear"
	// Constant keeps LR.
	Constant = "constant"
	// WarmupStableDecay keeps LR until Decay steps before the end, then decreases
	// to MinLR linearly (arXiv:2404.06395). A run that is continued with more steps
	// keeps LR for longer.
	WarmupStableDecay = "wsd"
)

// Schedules returns the names that Options.Schedule takes. The first is the
// default.
func Schedules() []string { return []string{Cosine, Linear, Constant, WarmupStableDecay} }

// rate returns the learning rate of a step, counted from 0. It increases
// linearly to LR over Warmup steps, then follows the schedule.
func (o Options) rate(step int) float64 {
	if step < o.Warmup {
		return o.LR * float64(step+1) / float64(o.Warmup)
	}
	last := o.Steps - 1
	from := o.Warmup // the last step at LR
	if o.Schedule == WarmupStableDecay {
		from = max(from, last-o.decay())
	}
	if o.Schedule == Constant || last <= from {
		return o.LR
	}
	x := min(max(float64(step-from)/float64(last-from), 0), 1)
	if o.Schedule == Linear || o.Schedule == WarmupStableDecay {
		return o.LR + (o.MinLR-o.LR)*x
	}
	return o.MinLR + (o.LR-o.MinLR)*(1+math.Cos(math.Pi*x))/2
}

// decay returns the steps in which WarmupStableDecay decreases: a fifth of all
// if Decay is 0.
func (o Options) decay() int {
	if o.Decay > 0 {
		return o.Decay
	}
	return max(1, o.Steps/5)
}

// checkSchedule returns an error for an invalid schedule.
func (o Options) checkSchedule() error {
	switch {
	case o.Schedule != "" && !slices.Contains(Schedules(), o.Schedule):
		return fmt.Errorf("train: schedule %.40q: take %s", o.Schedule, quote.Or(Schedules()))
	case o.Decay < 0 || o.Decay > maxSteps:
		return fmt.Errorf("train: a decay of %d steps, expects 0 to %d", o.Decay, maxSteps)
	case o.Decay > 0 && o.Schedule != WarmupStableDecay:
		return fmt.Errorf("train: a decay of %d steps belongs to the schedule %s, not to %s", o.Decay, WarmupStableDecay, cmp.Or(o.Schedule, Cosine))
	}
	return nil
}
