package attnx

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// quantizedFile is a file with weights as integers. What the integers change is no
// fault, so its runs are compared with the network that export writes with these integers, in
// float64. The bound has the rounding of activations too: of half a step where a
// runtime may round them, and of a whole one where rounding errors reach the
// middle between two integers.
type quantizedFile struct {
	onnxModel
	oracle runtime.Oracle // nil: it cannot be evaluated
	why    error          // it cannot
	sized  *ONNX          // the export, if what it computes depends on the sizes of a case; otherwise nil
}

// readQuantized keeps a file with integer weights to run it.
func (v *verification) readQuantized(file onnxModel) error {
	q := quantizedFile{onnxModel: file}
	want, err := v.exported.as(file.profile)
	if err != nil {
		return err
	}
	network, err := v.exported.network(file.profile)
	if err != nil {
		return err
	}
	q.read(want, network.Graph.Inputs)
	if q.model, err = withoutWeights(file.model); err != nil {
		return err
	}
	v.quantized = append(v.quantized, q)
	return nil
}

// read sets the oracle to the export, whose inputs are like those given. A file
// with its cache in one buffer is read anew for each case.
func (q *quantizedFile) read(want *onnx.Model, like []*graph.Value) {
	if fixedShapes(want) {
		x := &ONNX{Path: q.path, File: want}
		if x.inputs, q.why = inputsOf(want); q.why == nil {
			q.oracle, q.sized = evaluating{x}, x
		}
		return
	}
	m, err := readOpen(Stored{Model: want}, like, as(nil))
	if open := new(read.OpenError); errors.As(err, &open) { // it is read for the sizes of each case
		x := &ONNX{Path: q.path, File: want}
		if x.inputs, err = inputsOf(want); err == nil {
			q.oracle = evaluating{x}
		}
		q.why = err
		return
	}
	if err == nil {
		var o *ref.Oracle
		if o, err = ref.New(m.Graph, m.Weights); err == nil {
			q.oracle = o
		}
	}
	q.why = err
}

// runQuantized adds the runs of the files with integer weights to a report. A file that
// a runtime here could run and none ran is not certified.
func (v *verification) runQuantized(ctx context.Context, report runtime.Report) (runtime.Report, error) {
	for _, q := range v.quantized {
		candidates := v.quantizedCandidates(q)
		cases, err := v.quantizedCases(&q)
		if err != nil {
			return report, err
		}
		ran, agreed := false, false
		if q.oracle != nil && len(candidates) > 0 && len(cases) > 0 {
			v.options.readings(candidates, v.bytes())
			part, err := runtime.Verify(ctx, q.oracle, candidates, cases)
			if err != nil {
				return report, err
			}
			for _, r := range part.Results {
				ran = ran || r.Cases > 0 || r.Status == runtime.StatusFail
				agreed = agreed || r.Cases > 0 && r.Status == runtime.StatusOK
				r.File, r.Against = q.path, "its integers in float64"
				report.Results = append(report.Results, r)
			}
			if part.Verdict == runtime.Fail && report.Verdict == runtime.Pass && slices.ContainsFunc(part.Results, func(r runtime.Result) bool {
				return r.Status == runtime.StatusFail || r.Status == runtime.StatusUncertified
			}) {
				report.Verdict, report.Reason = runtime.Fail, q.path+": "+part.Reason
			}
			report.Cases = max(report.Cases, len(cases))
		} else if could := v.couldRun(q); could != "" && len(v.options.Runtimes) == 0 && report.Verdict == runtime.Pass {
			why := "no case fits it"
			if q.why != nil {
				why = quote.Line(q.why.Error(), 500)
			}
			report.Verdict, report.Reason = runtime.Fail, fmt.Sprintf("%s: not certified: %s did not run it: %s", q.path, could, why)
		}
		if !agreed {
			ask := ""
			if len(candidates) == 0 && len(v.options.Runtimes) > 0 {
				ask = v.couldRun(q)
			}
			notRun(v.checks, q.path, q.profile.Numbers().Quantize, ran, ask)
		}
	}
	return report, nil
}

// couldRun returns the first runtime that is here and takes the file.
func (v *verification) couldRun(q quantizedFile) string {
	for _, e := range entrants() {
		if e.anyFile() == nil || e.openAny != nil || e.level != "" || e.grows && fixedShapes(q.model) || e.available(v.in(e, "")) != nil {
			continue
		}
		e.profile = q.profile
		return e.String()
	}
	return ""
}

// sizedDraws is how often each size is drawn for a file with its cache in one buffer.
const sizedDraws = 3

// quantizedCases are the cases of the file's profile. Without any, q.why says why.
func (v *verification) quantizedCases(q *quantizedFile) (cases []runtime.Case, err error) {
	switch {
	case q.sized != nil:
		for i := range uint64(sizedDraws) {
			drawn, err := q.sized.cases(nil, v.options.Seed+i*uint64(len(foreignCases)))
			if err != nil {
				q.why = err
				return nil, nil
			}
			for j := range drawn {
				drawn[j].Name = fmt.Sprintf("%s, draw %d", drawn[j], i+1)
			}
			cases = append(cases, drawn...)
		}
		cases = q.sized.fitting(cases)
		for _, k := range cases {
			if _, err := q.sized.readFor(k.Inputs()); err != nil {
				q.oracle, q.why = nil, err
			}
		}
		return cases, nil
	case isCache(q.profile):
		shape := cacheShape(v.checkpoint, q.model)
		cases, _ = runtime.PastCases(shape, v.checkpoint.IDs(), max(8, v.budget()/16), v.options.Seed)
		return cases, nil
	}
	return runtime.CasesOf(ref.Inputs(v.graph), v.graph.Context, v.budget(), v.options.Seed)
}

// quantizedCandidates are the runtimes that run files of any tool, at each level.
func (v *verification) quantizedCandidates(q quantizedFile) (all []runtime.Candidate) {
	for _, e := range entrants() {
		open := e.anyFile()
		name := e
		name.profile = q.profile
		named := slices.Contains(v.options.Runtimes, name.String())
		if open == nil || e.openAny != nil || !named && (len(v.options.Runtimes) > 0 || e.level != "") {
			continue
		}
		levels, rows := name.levels()
		for i, level := range levels {
			how := v.in(e, level)
			all = append(all, runtime.Candidate{
				Name: rows[i], Named: named, TF32: v.options.TF32 && e.elsewhere(), DType: precision.ComputedIn(q.model),
				Open: func() (runtime.Session, error) {
					if err := e.available(how); err != nil {
						return nil, err
					}
					whole := q.model
					if q.within != nil {
						whole = q.within.file
					}
					file, err := e.file(q.path, whole)
					if err != nil {
						return nil, err
					}
					s, err := open(file, how)
					if q.within != nil && err == nil {
						s = q.within.session(s)
					}
					if _, plain := q.profile.(export.Plain); plain && err == nil {
						s = narrowing{s, q.model}
					}
					return s, err
				},
			})
		}
	}
	return all
}
