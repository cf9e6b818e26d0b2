package attnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// RunsAt are the validation losses of runs at one point, which all of them reached or ended before.
type RunsAt struct {
	At     float64    `json:"at"`     // steps, or seconds of training
	Losses []*float64 `json:"losses"` // of each run; null for one without two evaluations around it
}

// at returns the losses of runs where the first of them ended, along an axis of their
// curves. With wait, where another one has no evaluation by then, it is at its first one,
// with the last losses of those that had ended.
func at(runs []RunSummary, axis func(CurvePoint) float64, wait bool) RunsAt {
	out := RunsAt{At: math.Inf(1)}
	for _, r := range runs {
		out.At = min(out.At, axis(r.Curve[len(r.Curve)-1]))
	}
	for _, r := range runs { // a run that is slower than the others has its first evaluation later
		for _, p := range r.Curve {
			if wait && p.ValLoss != nil {
				out.At = max(out.At, axis(p))
				break
			}
		}
	}
	for _, r := range runs {
		loss := r.lossAt(out.At, axis)
		if axis(r.Curve[len(r.Curve)-1]) < out.At { // it had ended
			loss = r.ValLoss
		}
		out.Losses = append(out.Losses, loss)
	}
	out.At = math.Round(100*out.At) / 100
	return out
}

// lossAt returns the validation loss at a point of an axis, on the line between the
// evaluations around it.
func (r RunSummary) lossAt(at float64, axis func(CurvePoint) float64) *float64 {
	var before *CurvePoint
	for _, p := range r.Curve {
		if p.ValLoss == nil {
			continue
		}
		switch x := axis(p); {
		case x == at:
			return p.ValLoss
		case x > at && before == nil:
			return nil
		case x > at:
			y := *before.ValLoss + (*p.ValLoss-*before.ValLoss)*(at-axis(*before))/(x-axis(*before))
			return &y
		}
		before = &p
	}
	return nil
}

// bySeconds is the sentence about equal seconds: who leads where the first run ended, by the
// mean over the seeds of each network.
func bySeconds(runs []RunSummary, t RunsAt) string {
	names, mean := meansOf(runs, func(i int) *float64 { return t.Losses[i] })
	switch {
	case len(networksOf(runs)) < 2:
		return ""
	case len(names) < len(networksOf(runs)):
		var late []string
		for _, name := range networksOf(runs) {
			if !slices.Contains(names, name) {
				late = append(late, archOf(name))
			}
		}
		return fmt.Sprintf("; after %.1f s each nothing can be said: %s had no evaluation yet", t.At, strings.Join(late, " and "))
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(mean[a], mean[b]) })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%.4f (%s)", mean[name], archOf(name)))
	}
	return fmt.Sprintf("; after %.1f s each %s leads: %s", t.At, archOf(names[0]), strings.Join(parts, ", "))
}

// byScores is the sentence about translators: their BLEU at the end, the highest first.
func byScores(runs []RunSummary) string {
	names, mean := meansOf(runs, func(i int) *float64 {
		if runs[i].Scores == nil {
			return nil
		}
		return &runs[i].Scores.BLEU
	})
	if len(names) < 2 || len(names) < len(networksOf(runs)) {
		return ""
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(mean[b], mean[a]) })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%.1f (%s)", mean[name], archOf(name)))
	}
	return "; BLEU at the end: " + strings.Join(parts, ", ")
}

// meansOf returns the mean of a number of each network over its runs, and the networks whose
// runs all have it, in the order of the runs.
func meansOf(runs []RunSummary, of func(i int) *float64) (names []string, mean map[string]float64) {
	mean = map[string]float64{}
	for _, name := range networksOf(runs) {
		sum, n, whole := 0.0, 0.0, true
		for i, r := range runs {
			if r.network() != name {
				continue
			}
			x := of(i)
			if whole = whole && x != nil; x != nil {
				sum, n = sum+*x, n+1
			}
		}
		if whole {
			names, mean[name] = append(names, name), sum/n
		}
	}
	return names, mean
}

// networksOf returns the networks of runs, each once.
func networksOf(runs []RunSummary) (names []string) {
	for _, r := range runs {
		if !slices.Contains(names, r.network()) {
			names = append(names, r.network())
		}
	}
	return names
}

// archOf returns the architecture of a network's name.
func archOf(network string) string {
	name, _, _ := strings.Cut(network, "/")
	return name
}

// network names the network of a run with its size.
func (r RunSummary) network() string { return fmt.Sprintf("%s/%d", r.Arch, r.Parameters) }
