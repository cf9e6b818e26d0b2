package runtime

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// Readings bound the error of one value in three ways, in its unit.
type Readings struct {
	Case          string `json:"case"`          // in which it came closest to its bound
	Worst         Number `json:"worst"`         // at most, in any order of summation
	Executed      Number `json:"executed"`      // at most, in sums from the first term to the last
	Probabilistic Number `json:"probabilistic"` // 6 standard deviations of independent roundings, by the derivatives
	Parts         []Part `json:"parts"`         // the values whose roundings make most of it, the worst node first
	Unknown       string `json:"unknown,omitempty"`
}

// sigmas is the probabilistic reading in standard deviations.
const sigmas = 6

// unwrapped returns the oracle within oracles that only watch it.
func unwrapped(o Oracle) Oracle {
	for {
		w, ok := o.(interface{ Unwrap() Oracle })
		if !ok {
			return o
		}
		o = w.Unwrap()
	}
}

// readings derives the three readings of the value that came closest to its bound. An error only
// means that nothing is said: the network may be too large, or its operators have no derivatives.
func (r *candidateRun) readings() *Readings {
	if !r.Readings || r.closest == nil || !(r.difference.Used > 0) {
		return nil
	}
	oracle := r.oracle
	if r.closestForm.Oracle != nil {
		oracle = r.closestForm.Oracle
	}
	a, ok := unwrapped(oracle).(Attributor)
	if !ok {
		return nil
	}
	found, err := a.AttributeAt(r.closest.Inputs(), r.numbers(), r.difference.ClosestName, r.difference.ClosestIndex)
	if err != nil {
		return nil
	}
	name := r.closest.String()
	if r.closestForm.Name != "" {
		name += ", " + r.closestForm.Name
	}
	return &Readings{Case: name, Worst: Number(found.Worst), Executed: Number(found.Executed), Probabilistic: Number(sigmas * found.Deviation), Parts: found.Top(topParts), Unknown: found.Unknown}
}

// write writes the readings as one line.
func (x *Readings) write(b *strings.Builder, name, place string) {
	fmt.Fprintf(b, "%s: %s came closest to its bound (%s): worst case in any order %s, as executed %s, probabilistic %s",
		name, quote.Line(place, 60), x.Case, x.Worst.cell("%.2e"), x.Executed.cell("%.2e"), x.Probabilistic.cell("%.2e"))
	if x.Unknown != "" {
		b.WriteString(", because " + x.Unknown)
	}
	if len(x.Parts) > 0 {
		b.WriteString("; mostly from ")
		WriteParts(b, x.Parts[:min(2, len(x.Parts))])
	}
	b.WriteByte('\n')
}

// rounding says of a value beyond its bound where the bound comes from. If the bound does not
// hold to more than first order, and errors can do what was observed, the result is not certified and no fault.
func (r *candidateRun) rounding(x *Result) {
	bad := r.first.FirstBad
	if x.Status != StatusFail || bad == nil || !(bad.Bound > 0) {
		return
	}
	oracle := r.oracle
	if r.form.Oracle != nil {
		oracle = r.form.Oracle
	}
	inner := unwrapped(oracle)
	if b, ok := inner.(Bender); ok {
		if why, err := b.Bends(r.failed.Inputs(), r.numbers(), r.first.beyond()...); err == nil && why != "" {
			x.Status, x.Reason = StatusUncertified, why+"; "+x.Reason
			return
		}
	}
	if a, ok := inner.(Attributor); ok && finite(bad.Got) && finite(bad.Oracle) {
		// An error only means that nothing more is said: the network may be too large.
		if found, err := a.AttributeAt(r.failed.Inputs(), r.numbers(), bad.Name, bad.Index); err == nil && len(found.Parts) > 0 {
			x.Rounding = found.Top(topParts)
			var b strings.Builder
			b.WriteString("; that bound is mostly from ")
			WriteParts(&b, found.Top(2))
			x.Reason += b.String()
		}
	}
}

// topParts is the number of parts that a report names.
const topParts = 5
