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
	Open  func() (Session, error) // returns an error that matches ErrUnavailable if the runtime cannot be used
	Named bool                    // the user asked for it by name: it is a failure if it is unavailable
	DType format.DType            // the type it computes in, if that is less exact than the graph's
	TF32  bool                    // its products round their factors to 10 bits
	// Part opens a part of the file, as bytes, as Open opens the file. It may be nil.
	Part func(File) (Session, error)
	Own  bool // it runs the graph instead of the exported file, so its agreement proves nothing about the file
	// Gives are the roles of the outputs that the runtime must return. nil: all
	// except keys and values. Every other output that it returns is compared too.
	Gives []role.Kind
	// Runs reports whether the runtime can run a case of this shape. nil: it runs
	// all cases.
	Runs func(Case) bool
	// Begin is called before each case that the runtime runs. It may be nil.
	Begin func(Case)
	// Forms are the ways to run a case on the session. The outputs must agree in
	// each of them. nil: the session as it is.
	Forms []Form
	// Partial means that it takes some models only, and computes some wrongly: a
	// difference is reported, and fails the verdict only if the user named it.
	Partial bool
	// Measured means that its difference is reported and not judged: no bound
	// separates a right candidate from a wrong one.
	Measured bool
	// Readings asks for the readings of the value that comes closest to its bound.
	Readings bool
	// Locate returns the first intermediate value that differs in a failed case, run
	// in the given form; the zero Origin if none does. It may be nil.
	Locate func(Case, Form) (Origin, error)
	// Says describes a difference in an output whose numbers stand for something else, such as
	// words; "" of one whose numbers are meant. It may be nil.
	Says func(BadValue) string
	// Names reports whether the numbers of an output stand for something else. They are the
	// same or not, and have no distance. It may be nil: none do.
	Names func(output string) bool
	// Refused returns the node at which the candidate gave up with an error, opening
	// a model (a nil case) or running a case. It may be nil.
	Refused func(*Case, error) (Origin, error)
}

// Origin is the place in a model where a computation departs.
type Origin struct {
	Value string // the first value that differs
	Node  string // the node that computes it; "" if the value says it
	Note  string // what else is known, for the reason
}

// Form is a way to run a case on a session.
type Form struct {
	Name string
	Of   func(Session) Session // returns the session that runs the case; Verify does not close it
	Runs func(Case) bool       // whether it runs the case; nil: it runs all
	// Oracle returns the expected outputs in this form. nil: the oracle's outputs
	// for the case itself. Verify does not close it.
	Oracle Oracle
	// Cases are run in this form in place of those that Verify is given. They need an
	// Oracle. nil: those that Verify is given.
	Cases []Case
}

// asItIs runs a case directly on the session.
var asItIs = Form{Of: func(s Session) Session { return s }}

// numbers returns the arithmetic of the candidate.
func (c Candidate) numbers() Numbers { return Numbers{DType: c.DType, TF32: c.TF32} }

// Verify runs every case on the oracle and on every candidate, and compares all
// outputs of the oracle by the bounds that it derives for the case. A missing output is a failure, except for keys and
// values and outputs that Gives omits. The verdict is pass if all of these
// hold: every available candidate agrees within known bounds, every candidate that the user named
// is available, and at least one candidate that is not Own ran a case. A
// runtime that is unavailable or runs nothing never counts as a pass.
//
// Verify returns an error if the oracle fails, if the list of cases is empty,
// or if ctx ends. It closes the sessions that it opens.
func Verify(ctx context.Context, oracle Oracle, candidates []Candidate, cases []Case) (Report, error) {
	if len(cases) == 0 {
		return Report{}, errors.New("verify: no cases to run")
	}
	var numbers []Numbers
	for _, c := range candidates {
		if n := c.numbers(); !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	stopped := func() error {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("verify: stopped: %w", err)
		}
		return nil
	}
	// The oracle runs first and one candidate after the other, so that one session is
	// open at a time: with its weights it takes more memory than what is kept.
	want := make([]expected, len(cases))
	coverage := &Coverage{}
	for i, c := range cases {
		if err := stopped(); err != nil {
			return Report{}, err
		}
		var err error
		if want[i], err = expect(oracle, c, numbers, keptElements); err != nil {
			return Report{}, fmt.Errorf("verify: the oracle on %s: %w", c, err)
		}
		if why := want[i].uncertain(); c.Optional && why != "" {
			coverage.leave(c, why)
			want[i] = expected{}
			continue
		}
		for _, k := range want[i].outputs {
			coverage.Elements.Covered += k.rows.Elements() + k.rest.Elements()
			all, _ := format.Elements(k.shape)
			coverage.Elements.Of += all
		}
	}
	ran := slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return !coverage.Ran(c) })
	want = slices.DeleteFunc(want, func(x expected) bool { return x.outputs == nil })
	if cases = ran; len(cases) == 0 {
		return Report{}, errors.New("verify: no cases to run")
	}
	others := formOutputs{}
	report := Report{Verdict: Pass, Oracle: OracleName, Cases: len(cases), Results: make([]Result, len(candidates)), Coverage: coverage}
	for i, x := range candidates {
		r := open(x)
		r.oracle = oracle
		for j, c := range cases {
			if err := stopped(); err != nil { // one case may take minutes in one runtime
				r.close()
				return Report{}, err
			}
			r.run(c, want[j])
		}
		for _, f := range x.Forms {
			for j, c := range f.Cases {
				if err := stopped(); err != nil {
					r.close()
					return Report{}, err
				}
				r.runForm(c, f, func() (expected, error) { return others.of(f.Oracle, j, c, numbers) })
			}
		}
		r.close()
		report.Results[i] = r.result(len(cases))
	}
	if report.Reason = objection(candidates, report.Results); report.Reason != "" {
		report.Verdict = Fail
	}
	return report, nil
}

// MoreDigits is the remedy for a model whose results are a matter of rounding.
const MoreDigits = "its results are a matter of rounding, so no run proves them: take numbers of more bits, or measure what these lose on a text"

// objection returns the reason against a pass, "" if there is none.
func objection(candidates []Candidate, results []Result) string {
	evidence, others, noKernel, measured := false, len(candidates) == 0, false, ""
	for i, r := range results {
		others, noKernel = others || !candidates[i].Own, noKernel || r.noKernel
		switch {
		case r.Status == StatusFail && candidates[i].Partial && !candidates[i].Named:
		case r.Status == StatusFail:
			return r.Runtime + " failed"
		case r.Status == StatusUncertified:
			return r.Runtime + " is not certified here: " + MoreDigits
		case r.Status == StatusUnavailable && candidates[i].Named:
			return r.Runtime + " was asked for and is unavailable"
		case r.Status == StatusOK && !candidates[i].Own:
			evidence = true
		case r.Status == StatusMeasured && !candidates[i].Own:
			measured = r.Runtime
		}
	}
	if !evidence && measured != "" {
		return measured + " was measured, and no bound says whether it is right"
	}
	if !evidence && !others {
		return "no runtime but our own ran, because no other was asked for: ask for one of them too"
	}
	if !evidence && noKernel {
		return "no runtime but our own ran, none that is there has the kernels of the file: take one that has them"
	}
	if !evidence {
		return "no runtime but our own ran, ONNX Runtime is missing: " + InstallLibrary
	}
	return ""
}

// expected is what is kept of the oracle's outputs for a case, and why bounds of it
// are unknown.
type expected struct {
	outputs []kept
	unknown map[Numbers]string
}

// uncertain returns why the outputs are no numbers, or have no bounds; "" if they have both.
func (x expected) uncertain() string {
	bad := func(t format.Tensor) bool {
		if t.DType != format.Float64 {
			return false
		}
		numbers, err := t.Float64s()
		return err != nil || slices.ContainsFunc(numbers, func(x float64) bool { return !finite(x) })
	}
	for _, k := range x.outputs {
		if bad(k.rows) || bad(k.rest) {
			return k.name + " holds no numbers there"
		}
		for n, b := range k.bounds {
			if bad(b[0]) || bad(b[1]) {
				return cmp.Or(x.unknown[n], k.name+" has no finite bound there")
			}
		}
	}
	return ""
}

// expect runs one case on the oracle and keeps about limit elements.
func expect(o Oracle, c Case, numbers []Numbers, limit int) (expected, error) {
	var selected map[string]Selection
	b, err := BoundsOf(forCase(o, c), c.Inputs(), func(shapes map[string][]int) map[string]Selection {
		selected = Select(shapes, limit)
		return selected
	}, numbers...)
	if err != nil {
		return expected{}, err
	}
	out, err := ordered(b.Outputs)
	if err != nil {
		return expected{}, err
	}
	if len(out) == 0 {
		return expected{}, errors.New("it gives no output")
	}
	if len(b.Bounds) != len(numbers) {
		return expected{}, fmt.Errorf("it gives %d bounds for %d arithmetics", len(b.Bounds), len(numbers))
	}
	for _, t := range out {
		if t.DType.Float() && t.DType != format.Float64 {
			return expected{}, fmt.Errorf("it gives %s, not F64", t.DType)
		}
	}
	x := expected{unknown: map[Numbers]string{}}
	if x.outputs, err = keep(out, selected, limit); err != nil {
		return x, err
	}
	for i, n := range numbers {
		x.unknown[n] = b.Bounds[i].Unknown
		same := slices.IndexFunc(b.Bounds[:i], func(of Bounds) bool { return of.shares(b.Bounds[i]) })
		for j := range x.outputs {
			k := &x.outputs[j]
			if same >= 0 {
				k.share(n, numbers[same])
			} else if err := k.bound(n, b.Bounds[i]); err != nil {
				return x, err
			}
		}
	}
	return x, nil
}

// outputs runs one case and returns its outputs in order. They are valid until
// the next run of s.
func outputs(s Session, c Case) ([]format.Tensor, error) {
	out, err := s.Run(c.Inputs())
	if err != nil {
		return nil, err
	}
	return ordered(out)
}

// ordered returns outputs with the logits first and the others by name.
func ordered(out map[string]format.Tensor) ([]format.Tensor, error) {
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

// logits runs one case and returns its logits, valid until the next run of s.
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

// candidateRun is the state of a candidate.
type candidateRun struct {
	Candidate
	session     Session // nil if opening failed or the candidate gave up
	status      Status
	reason      string
	difference  Difference
	failed      *Case      // the first case with a difference
	first       Difference // its difference
	form        Form       // its form
	unknown     string     // the first value whose bound is not known, and why
	lost        string     // the first output of which rounding leaves no digit
	closest     *Case      // of the value that came closest to its bound
	closestForm Form
	distances   bool  // an output was compared whose numbers have a distance
	cases       int   // number of cases that ran
	refusal     error // with which it gave up
	refused     *Case // the case in which it did; nil if it could not be opened
	oracle      Oracle
	noKernel    bool
}

func open(c Candidate) *candidateRun {
	r := &candidateRun{Candidate: c, status: StatusOK}
	s, err := c.Open()
	if err != nil {
		r.giveUp(nil, err)
		return r
	}
	r.session = s
	return r
}

// giveUp ends the run of a candidate with its error, in a case or, without one, in
// opening the model.
func (r *candidateRun) giveUp(c *Case, err error) {
	r.close()
	if c != nil {
		err = fmt.Errorf("%s: %w", c, err)
	}
	r.status, r.reason, r.refusal, r.refused = StatusFail, err.Error(), err, c
	if errors.Is(err, ErrUnavailable) {
		r.status = StatusUnavailable
	}
	if gone := new(UnavailableError); errors.As(err, &gone) { // the report names the runtime
		r.reason = gone.Reason + "; " + gone.Remedy
	}
	if lacking := new(NoKernelError); c == nil && errors.As(err, &lacking) { // the file may be right
		r.status, r.reason, r.noKernel = StatusUnavailable, lacking.Error(), true
	}
}

func (r *candidateRun) close() {
	if r.session != nil {
		r.session.Close() // an error is ignored: the outputs were already read
		r.session = nil
	}
}

// formOutputs are the outputs of the oracles of forms, with which several candidates are
// compared.
type formOutputs map[Oracle]map[int]expected

// of returns the outputs of an oracle for a case.
func (f formOutputs) of(o Oracle, number int, c Case, numbers []Numbers) (expected, error) {
	if f[o] == nil {
		f[o] = map[int]expected{}
	}
	if k, ok := f[o][number]; ok {
		return k, nil
	}
	k, err := expect(o, c, numbers, keptElements/8)
	if err == nil {
		f[o][number] = k
	}
	return k, err
}

// run runs a case in every form that has no cases of its own.
func (r *candidateRun) run(c Case, want expected) {
	if r.session == nil || r.Runs != nil && !r.Runs(c) {
		return
	}
	if r.Begin != nil {
		r.Begin(c)
	}
	forms := r.Forms
	if forms == nil {
		forms = []Form{asItIs}
	}
	for _, f := range forms {
		if f.Cases == nil && (f.Runs == nil || f.Runs(c)) {
			r.runForm(c, f, func() (expected, error) { return want, nil })
		}
	}
	if r.session != nil {
		r.cases++
	}
}

// runForm runs a case in one form and compares the outputs.
func (r *candidateRun) runForm(c Case, f Form, expected func() (expected, error)) {
	if r.session == nil {
		return
	}
	want, err := expected()
	if err != nil {
		r.giveUp(&c, fmt.Errorf("the oracle: %s: %w", f.Name, err))
		return
	}
	got, err := outputs(f.Of(r.session), c)
	if err == nil {
		err = r.compare(c, f, want, got)
	}
	if err != nil {
		r.giveUp(&c, err)
	}
}

// presents are the kinds of outputs that only a network with a past has.
var presents = []role.Kind{role.PresentKey, role.PresentValue, role.PresentState, role.PresentCell}

// gives reports whether the candidate must return an output of the oracle.
func (r *candidateRun) gives(name string) bool {
	of, _ := role.FromName(name)
	if r.Gives != nil {
		return slices.Contains(r.Gives, of.Kind)
	}
	return !slices.Contains(presents, of.Kind)
}

// compare compares the outputs of a case in one form with the oracle's. A
// missing output is an error.
func (r *candidateRun) compare(c Case, f Form, want expected, got []format.Tensor) error {
	for _, x := range want.outputs {
		i := slices.IndexFunc(got, func(t format.Tensor) bool { return t.Name == x.name })
		if i < 0 && r.gives(x.name) {
			return noOutput(x.name)
		}
		if i < 0 {
			continue
		}
		scores := x.name == logitsName
		d := x.compare(r.numbers(), got[i], scores && r.Forms != nil)
		if d.Unknown > 0 && r.unknown == "" {
			r.unknown = fmt.Sprintf("%s: %s", c, cmp.Or(want.unknown[r.numbers()], place(x.name, d.FirstUnknown)+" has no finite bound"))
		}
		// What is exactly the oracle's needs no bound.
		if share := d.explained(); share >= 1 && d.MaxAbs > 0 && r.lost == "" && got[i].DType.Float() {
			computed := cmp.Or(r.DType, got[i].DType)
			r.lost = fmt.Sprintf("%s: %s gives no digit of %s here: rounding explains %.2g times its size", c, computed, x.name, share)
		}
		if !scores { // an argmax is meaningful only for scores
			d.ArgmaxChecked, d.ArgmaxAgreed = 0, 0
		}
		if r.Names != nil && r.Names(x.name) {
			d.MaxAbs, d.MaxRel = 0, 0
		} else if d.Elements > 0 {
			r.distances = true
		}
		if d.Used > r.difference.Used {
			r.closest, r.closestForm = &c, f
		}
		r.difference = r.difference.Merge(d)
		if (d.FirstBad != nil || d.Reason != "") && r.failed == nil {
			r.failed, r.first, r.form = &c, d, f
		}
	}
	return nil
}

// result summarizes the run of a candidate that was offered the given number of
// cases.
func (r *candidateRun) result(offered int) Result {
	x := Result{Runtime: r.Name, Status: r.status, Reason: r.reason, Cases: r.cases, ArgmaxChecked: r.difference.ArgmaxChecked, noKernel: r.noKernel}
	nan := Number(math.NaN())
	x.MaxAbs, x.MaxRel, x.Bound, x.BoundRatio, x.ArgmaxAgreement = nan, nan, nan, nan, nan
	if r.difference.Used > 0 {
		x.Bound, x.BoundRatio = Number(r.difference.Bound), Number(1/r.difference.Used)
		x.Closest = place(r.difference.ClosestName, r.difference.ClosestIndex)
		x.Readings = r.readings()
	}
	if r.distances {
		x.MaxAbs, x.MaxRel = Number(r.difference.MaxAbs), Number(r.difference.MaxRel)
	}
	if r.difference.Elements > 0 {
		x.ArgmaxAgreement = Number(r.difference.ArgmaxAgreement())
	}
	switch {
	case r.failed != nil && r.Measured:
		x.Status, x.Reason = StatusMeasured, "it has integer weights, for which there is no bound"
	case r.failed != nil:
		x.Status = StatusFail
		r.explain(&x)
	case x.Status == StatusFail && r.Refused != nil:
		place, err := r.Refused(r.refused, r.refusal)
		x.place(place, err)
	case x.Status != StatusOK:
	case r.cases == 0:
		x.Status, x.Reason = StatusFail, fmt.Sprintf("it can run none of the %d cases", offered)
	case r.difference.Elements == 0:
		x.Status, x.Reason = StatusFail, "the outputs are empty"
	case r.unknown != "":
		x.Status, x.Reason = StatusUncertified, r.unknown
	case r.lost != "":
		x.Status, x.Reason = StatusUncertified, r.lost
	}
	if x.Status == StatusFail && r.Partial && !r.Named {
		x.partial = true
		x.Reason += "; this fails the verdict only if the runtime is asked for by name"
	}
	return x
}

// explain reports where a candidate with a difference deviates from the oracle.
func (r *candidateRun) explain(x *Result) {
	defer r.rounding(x)
	what := r.first.Reason
	if bad := r.first.FirstBad; bad != nil {
		x.FirstDifference, what = bad.Place(), bad.String()
		if r.Says != nil {
			what = cmp.Or(r.Says(*bad), what)
		}
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
	place, err := r.Locate(*r.failed, r.form)
	x.place(place, err)
}

// place enters the place of the first difference.
func (x *Result) place(p Origin, err error) {
	if p.Value != "" {
		x.FirstDifference, x.Node = p.Value, p.Node
	}
	if p.Note != "" {
		x.Reason += "; " + p.Note
	}
	if err != nil {
		x.Reason += "; finding the first difference: " + err.Error()
	}
}
