package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// OracleName is what reports call the oracle: the graph evaluated in float64.
const OracleName = "ref-float64"

// Candidate is a runtime to be verified.
type Candidate struct {
	Name  string                  // "ort-cpu", "onnx-go", ...
	Open  func() (Session, error) // an error that ErrUnavailable matches says the runtime is not there
	Named bool                    // the user asked for it by name: not being there is a failure
	DType format.DType            // what it computes in, where that is not the type of the logits
	Own   bool                    // it runs the graph and not the exported file: its agreement is no evidence for the file
	// Gives are the outputs that the runtime gives, by what they are for; nil:
	// all but keys and values. It must give them, and each other output that it
	// gives is compared as well.
	Gives []role.Kind
	// Runs reports whether the runtime can run a case of this shape; nil runs all.
	Runs func(Case) bool
	// Forms are the ways to put a case to the session, each of which must
	// agree; nil is the session itself.
	Forms []Form
	// Locate returns the name of the first intermediate value that differs in
	// a case that failed in one of the forms, empty if none does; it may be nil.
	Locate func(Case, Form) (string, error)
}

// Form is a way to put a case to a session.
type Form struct {
	Name string
	Of   func(Session) Session // what takes the case; it is not closed
	// Oracle gives what the session must give in this form; nil: what it gives
	// for the case itself. It is not closed.
	Oracle Session
}

// asItIs is the form of a case that is put to the session as it is.
var asItIs = Form{Of: func(s Session) Session { return s }}

// Verify runs every case on the oracle and on every candidate and compares all
// outputs that the oracle gives. An output that a candidate does not give is a
// failure, but for keys and values, and what Gives leaves out.
// The verdict is pass when every candidate that is there agrees,
// every candidate named by the user is there, and at least one that is not
// Own ran a case: a runtime which is unavailable, or runs nothing, never
// counts as a pass.
//
// The oracle's Run failing, an empty list of cases and the end of ctx are
// errors of Verify itself. Sessions that Verify opens it closes.
func Verify(ctx context.Context, oracle Session, candidates []Candidate, cases []Case) (Report, error) {
	if len(cases) == 0 {
		return Report{}, errors.New("verify: no cases to run")
	}
	runs := make([]*candidateRun, len(candidates))
	for i, c := range candidates {
		runs[i] = open(c)
		defer runs[i].close()
	}
	stopped := func() error {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("verify: stopped: %w", err)
		}
		return nil
	}
	// Case by case, so that no more than one of the oracle's outputs is held:
	// they are the largest tensors there are.
	for _, c := range cases {
		if err := stopped(); err != nil {
			return Report{}, err
		}
		want, err := outputs(oracle, c)
		if err != nil {
			return Report{}, fmt.Errorf("verify: the oracle on %s: %w", c, err)
		}
		if len(want) == 0 {
			return Report{}, fmt.Errorf("verify: the oracle on %s gives no output", c)
		}
		for _, t := range want {
			if t.DType.Float() && t.DType != format.Float64 {
				return Report{}, fmt.Errorf("verify: the oracle gives %s, not F64", t.DType)
			}
		}
		for _, r := range runs {
			if err := stopped(); err != nil { // a case may take minutes in one runtime
				return Report{}, err
			}
			r.run(c, want)
		}
	}
	report := Report{Verdict: Pass, Oracle: OracleName, Cases: len(cases), Results: make([]Result, len(runs))}
	for i, r := range runs {
		report.Results[i] = r.result(len(cases))
	}
	if report.Reason = objection(candidates, report.Results); report.Reason != "" {
		report.Verdict = Fail
	}
	return report, nil
}

// objection returns what speaks against a pass, empty if nothing does.
func objection(candidates []Candidate, results []Result) string {
	evidence, others := false, len(candidates) == 0
	for i, r := range results {
		others = others || !candidates[i].Own
		switch {
		case r.Status == StatusFail:
			return r.Runtime + " failed"
		case r.Status == StatusUnavailable && candidates[i].Named:
			return r.Runtime + " was asked for and is unavailable"
		case r.Status == StatusOK && !candidates[i].Own:
			evidence = true
		}
	}
	if !evidence && !others {
		return "no runtime but our own ran, because no other was asked for: ask for one of them too"
	}
	if !evidence {
		return "no runtime but our own ran: `attnx runtime install` brings ONNX Runtime"
	}
	return ""
}

// outputs runs one case and returns its outputs, which are valid until the
// next run of s: logits first, the others by name.
func outputs(s Session, c Case) ([]format.Tensor, error) {
	out, err := s.Run(c.Inputs())
	if err != nil {
		return nil, err
	}
	var all []format.Tensor
	for name, t := range out {
		if err := t.Check(); err != nil {
			return nil, err
		}
		all = append(all, t.WithName(name))
	}
	slices.SortFunc(all, func(a, b format.Tensor) int {
		if la, lb := a.Name == logitsName, b.Name == logitsName; la != lb {
			if la {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// logits runs one case and returns its logits, which are valid until the next
// run of s.
func logits(s Session, c Case) (format.Tensor, error) {
	out, err := outputs(s, c)
	if err != nil {
		return format.Tensor{}, err
	}
	if len(out) == 0 || out[0].Name != logitsName {
		return format.Tensor{}, noOutput(logitsName)
	}
	return out[0], nil
}

func noOutput(name string) error { return fmt.Errorf("the session gives no output %.80q", name) }

// candidateRun is a candidate under way.
type candidateRun struct {
	Candidate
	session    Session // nil when it could not be opened or has given up
	status     Status
	reason     string
	difference Difference
	failed     *Case      // the first case with a difference,
	first      Difference // what it was,
	form       Form       // and how the case was put
	cases      int        // how many ran
}

func open(c Candidate) *candidateRun {
	r := &candidateRun{Candidate: c, status: StatusOK}
	s, err := c.Open()
	if err != nil {
		r.giveUp(err)
		return r
	}
	r.session = s
	return r
}

// giveUp ends the run of a candidate at an error of its own.
func (r *candidateRun) giveUp(err error) {
	r.close()
	r.status, r.reason = StatusFail, err.Error()
	if errors.Is(err, ErrUnavailable) {
		r.status = StatusUnavailable
	}
}

func (r *candidateRun) close() {
	if r.session != nil {
		r.session.Close() // the answers are already here
		r.session = nil
	}
}

func (r *candidateRun) run(c Case, want []format.Tensor) {
	if r.session == nil || r.Runs != nil && !r.Runs(c) {
		return
	}
	forms := r.Forms
	if forms == nil {
		forms = []Form{asItIs}
	}
	for _, f := range forms {
		want := want
		if f.Oracle != nil {
			var err error
			if want, err = outputs(f.Oracle, c); err != nil {
				r.giveUp(fmt.Errorf("%s: the oracle: %s: %w", c, f.Name, err))
				return
			}
		}
		got, err := outputs(f.Of(r.session), c)
		if err != nil {
			r.giveUp(fmt.Errorf("%s: %w", c, err))
			return
		}
		if err := r.compare(c, f, want, got); err != nil {
			r.giveUp(fmt.Errorf("%s: %w", c, err))
			return
		}
	}
	r.cases++
}

// gives reports whether the candidate has to give an output of the oracle.
func (r *candidateRun) gives(name string) bool {
	of, _ := role.FromName(name)
	if r.Gives != nil {
		return slices.Contains(r.Gives, of.Kind)
	}
	return of.Kind != role.PresentKey && of.Kind != role.PresentValue
}

// compare compares the outputs of a case, put in a form, with the oracle's. One
// that is not there is an error.
func (r *candidateRun) compare(c Case, f Form, want, got []format.Tensor) error {
	for _, x := range want {
		i := slices.IndexFunc(got, func(t format.Tensor) bool { return t.Name == x.Name })
		if i < 0 && r.gives(x.Name) {
			return noOutput(x.Name)
		}
		if i < 0 {
			continue
		}
		scores := x.Name == logitsName
		if scores && r.Forms != nil {
			x = LastRows(x, got[i])
		}
		computed := got[i].DType
		if computed.Float() {
			computed = cmp.Or(r.DType, computed)
		}
		d := CompareAs(computed, x, got[i])
		if !scores { // which of its numbers is the largest says nothing of other outputs
			d.ArgmaxChecked, d.ArgmaxAgreed = 0, 0
		}
		r.difference = r.difference.Merge(d)
		if !d.Within && r.failed == nil {
			r.failed, r.first, r.form = &c, d, f
		}
	}
	return nil
}

// LastRows returns of the logits x (B,T,V) the last rows of each sequence, as
// many as got (B,T',V) has: a model may give those of the last tokens alone. It
// returns x where the shapes differ in anything else.
func LastRows(x, got format.Tensor) format.Tensor {
	if len(x.Shape) != 3 || len(got.Shape) != 3 || got.Shape[1] < 1 || got.Shape[1] >= x.Shape[1] || got.Shape[0] != x.Shape[0] || got.Shape[2] != x.Shape[2] {
		return x
	}
	last := format.Tensor{Name: x.Name, DType: x.DType, Shape: got.Shape}
	row := x.Shape[2] * x.DType.Size()
	for b := range x.Shape[0] {
		end := (b + 1) * x.Shape[1] * row
		last.Data = append(last.Data, x.Data[end-got.Shape[1]*row:end]...)
	}
	return last
}

// result sums up the run of a candidate that was offered the given number of cases.
func (r *candidateRun) result(offered int) Result {
	x := Result{Runtime: r.Name, Status: r.status, Reason: r.reason, Cases: r.cases, ArgmaxChecked: r.difference.ArgmaxChecked}
	x.MaxAbs, x.MaxRel, x.ArgmaxAgreement = Number(math.NaN()), Number(math.NaN()), Number(math.NaN())
	if r.difference.Elements > 0 {
		x.MaxAbs, x.MaxRel = Number(r.difference.MaxAbs), Number(r.difference.MaxRel)
		x.ArgmaxAgreement = Number(r.difference.ArgmaxAgreement())
	}
	switch {
	case r.failed != nil:
		x.Status = StatusFail
		r.explain(&x)
	case x.Status != StatusOK:
	case r.cases == 0:
		x.Status, x.Reason = StatusFail, fmt.Sprintf("it can run none of the %d cases", offered)
	case r.difference.Elements == 0:
		x.Status, x.Reason = StatusFail, "the outputs are empty"
	}
	return x
}

// explain says where a candidate with a difference departs from the oracle.
func (r *candidateRun) explain(x *Result) {
	what := r.first.Reason
	if bad := r.first.FirstBad; bad != nil {
		x.FirstDifference, what = bad.Place(), bad.String()
	}
	if r.form.Name != "" {
		what = r.form.Name + ": " + what
	}
	what = fmt.Sprintf("%s: %s", r.failed, what)
	if x.Reason != "" {
		what += "; then " + x.Reason
	}
	x.Reason = what
	if r.Locate == nil {
		return
	}
	switch name, err := r.Locate(*r.failed, r.form); {
	case err != nil:
		x.Reason += "; finding the first difference: " + err.Error()
	case name != "":
		x.FirstDifference = name
	}
}
