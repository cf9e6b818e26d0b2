package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/runtime"
)

// A file that the oracle does not read can still show that runtimes disagree: the first one
// that runs it takes the oracle's place. Its outputs have no bounds, and what agrees with them
// may be wrong in the same way, so this is never a pass: runtimes that agree are "not
// certified", those that differ fail, and there is no receipt.

// unread drops the oracle if it does not read one of the cases.
func (v *onnxVerification) unread() {
	if v.oracle == nil {
		return
	}
	if err := v.unreadFor(v.files[0]); err != nil {
		v.oracle, v.refused = nil, err
	}
}

// peers compares the runtimes of the first file with the first of them that runs it.
func (v *onnxVerification) peers(ctx context.Context) error {
	first := v.files[0]
	candidates, _ := first.candidates(v.options)
	var failed error // of the first runtime
	for i, c := range candidates {
		all, ran, err := v.runAlone(ctx, c)
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("verify: stopped: %w", cause)
		}
		if err != nil {
			if failed == nil {
				failed = fmt.Errorf("%w; and no runtime runs it: %s: %v", v.refused, c.Name, err)
			}
			continue
		}
		first.notes = append(first.notes, fmt.Sprintf("there is no oracle for this file: %s", v.refused))
		if n := len(v.cases) - len(ran); n > 0 {
			first.notes = append(first.notes, fmt.Sprintf("%s: %s does not run %d of %d cases, which are left out", first.Path, c.Name, n, len(v.cases)))
		}
		v.cases, v.instead, v.report.Oracle = ran, all, c.Name
		return v.verify(ctx, v.instead, slices.Delete(candidates, i, i+1), "", c.Name)
	}
	return cmp.Or(failed, v.refused)
}

// runAlone returns what is compared of the outputs of a candidate, and the cases that it runs:
// sizes that are drawn may not fit one another. The error is that of the first case, if it runs
// none.
func (v *onnxVerification) runAlone(ctx context.Context, c runtime.Candidate) (all *player, ran []runtime.Case, failed error) {
	s, err := c.Open()
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	all = played(nil, nil)
	for _, k := range v.cases {
		if context.Cause(ctx) != nil {
			return nil, nil, context.Cause(ctx)
		}
		k.Name = k.String() // by which player knows it
		out, err := s.Run(k.Inputs())
		if err == nil {
			var shapes map[string][]int
			if out, shapes, err = runtime.KeepOf(out); err == nil {
				all.outputs[k.Name], all.shapes[k.Name], ran = out, shapes, append(ran, k)
			}
		}
		if failed == nil {
			failed = err
		}
	}
	if len(ran) > 0 {
		return all, ran, nil
	}
	if failed == nil {
		failed = errors.New("it gives no output")
	}
	return nil, nil, failed
}

// unproved makes the report one of a file that no oracle judged. What was compared with the
// graph of its own file has a judge.
func (v *onnxVerification) unproved() {
	by, nan := v.report.Oracle, runtime.Number(math.NaN())
	var agree, differ, stop, open, some []string // some: runtimes that take some files only
	candidates, _ := v.files[0].candidates(v.options)
	for _, c := range candidates {
		if c.Partial && !c.Named {
			some = append(some, c.Name)
		}
	}
	for i := range v.report.Results {
		r := &v.report.Results[i]
		if r.Against == itsOwnGraph {
			continue
		}
		r.Bound, r.BoundRatio, r.Closest, r.Readings = nan, nan, "", nil // nothing was derived
		name := strings.TrimSpace(r.File + " " + r.Runtime)
		switch {
		case r.Status == runtime.StatusOK:
			r.Status, r.Reason = runtime.StatusUncertified, fmt.Sprintf("it agrees with %s as closely as ONNX's own tests ask (%.0e of a value), which is no proof", by, recordedRelative)
			agree = append(agree, name)
		case r.Status == runtime.StatusFail && (r.FirstDifference != "" || r.Cases == v.report.Cases):
			differ = append(differ, name)
		case r.Status == runtime.StatusFail && !slices.Contains(some, r.Runtime):
			stop = append(stop, name)
		case r.Status == runtime.StatusUncertified, r.Status == runtime.StatusMeasured:
			open = append(open, name)
		}
	}
	reason := v.report.Reason // such as a runtime that was asked for and is not there
	names := func(of []string) string { return strings.Join(few(of), ", ") }
	switch {
	case len(differ) > 0:
		reason = fmt.Sprintf("%s and %s differ, and no oracle says which is right", names(differ), by)
	case len(stop) > 0:
		reason = fmt.Sprintf("%s failed where %s gives outputs, and there is no oracle for this file", names(stop), by)
	case len(open) > 0:
		reason = fmt.Sprintf("how far %s may be from %s is not known, and there is no oracle for this file", names(open), by)
	case len(agree) == 0:
		reason = fmt.Sprintf("%s is the only runtime that runs it, and there is no oracle for it, so nothing was compared", by)
	case v.report.Verdict == runtime.Pass:
		reason = "the runtimes agree with one another, but there is no oracle for this file, so it is not certified"
	}
	v.report.Verdict, v.report.Reason = runtime.Fail, reason
}
