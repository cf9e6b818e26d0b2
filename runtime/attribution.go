package runtime

import "strings"

// rounding says of a value beyond its bound where the bound comes from. If the bound does not
// hold to more than first order, the result is not certified and no fault.
func (r *candidateRun) rounding(x *Result) {
	bad := r.first.FirstBad
	if x.Status != StatusFail || bad == nil || !finite(bad.Got) || !finite(bad.Oracle) || !(bad.Bound > 0) {
		return
	}
	oracle := r.oracle
	if r.form.Oracle != nil {
		oracle = r.form.Oracle
	}
	inner := oracle
	for {
		w, ok := inner.(interface{ Unwrap() Oracle })
		if !ok {
			break
		}
		inner = w.Unwrap()
	}
	if b, ok := inner.(Bender); ok {
		if why, err := b.Bends(r.failed.Inputs(), r.numbers()); err == nil && why != "" {
			x.Status, x.Reason = StatusUncertified, why+"; "+x.Reason
			return
		}
	}
	if a, ok := inner.(Attributor); ok {
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
