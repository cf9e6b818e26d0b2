package attnx

import (
	"context"
	"slices"

	"github.com/attnx/attnx/export/precision"
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
	oracle *ref.Oracle // nil: it cannot be evaluated
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
	if m, err := readOpen(Stored{Model: want}, network.Graph.Inputs, as(nil)); err == nil { // operators that hold several sizes are compared only
		if q.oracle, err = ref.New(m.Graph, m.Weights); err != nil {
			q.oracle = nil
		}
	}
	if q.model, err = withoutWeights(file.model); err != nil {
		return err
	}
	v.quantized = append(v.quantized, q)
	return nil
}

// runQuantized adds the runs of the files with integer weights to a report.
func (v *verification) runQuantized(ctx context.Context, report runtime.Report) (runtime.Report, error) {
	for _, q := range v.quantized {
		candidates := v.quantizedCandidates(q)
		cases, err := v.quantizedCases(q)
		if err != nil {
			return report, err
		}
		ran := false
		if q.oracle != nil && len(candidates) > 0 && len(cases) > 0 {
			part, err := runtime.Verify(ctx, q.oracle, candidates, cases)
			if err != nil {
				return report, err
			}
			for _, r := range part.Results {
				ran = ran || r.Cases > 0 && r.Status == runtime.StatusOK
				r.File, r.Against = q.path, "its integers in float64"
				report.Results = append(report.Results, r)
			}
			if part.Verdict == runtime.Fail && report.Verdict == runtime.Pass && slices.ContainsFunc(part.Results, func(r runtime.Result) bool {
				return r.Status == runtime.StatusFail || r.Status == runtime.StatusUncertified
			}) {
				report.Verdict, report.Reason = runtime.Fail, q.path+": "+part.Reason
			}
			report.Cases = max(report.Cases, len(cases))
		}
		if !ran {
			notRun(v.checks, q.path, q.profile.Numbers().Quantize)
		}
	}
	return report, nil
}

// quantizedCases are the cases of the file's profile.
func (v *verification) quantizedCases(q quantizedFile) ([]runtime.Case, error) {
	if isCache(q.profile) {
		shape := cacheShape(v.checkpoint, q.model)
		if shape.Shared {
			return nil, nil
		}
		cases, _ := runtime.PastCases(shape, v.checkpoint.IDs(), max(8, v.budget()/16), v.options.Seed)
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
					file, err := e.file(q.path, q.model)
					if err != nil {
						return nil, err
					}
					return open(file, how)
				},
			})
		}
	}
	return all
}
