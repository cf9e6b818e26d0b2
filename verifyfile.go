package attnx

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/compare"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/normal"
	"github.com/attnx/attnx/runtime"
)

// shownDepartures bounds the deviations that a report lists per part.
const shownDepartures = 5

// profileOf returns the profile in which the exporter writes a file like m. A
// file with 16-bit numbers but no record of them was rounded by another tool:
// it is compared with the float32 export.
func profileOf(m *onnx.Model, info export.Info) (p export.Profile, rounded bool, err error) {
	p = export.ProfileOf(m, info.Profile)
	numbers := p.Numbers()
	if _, says := m.Metadata[precision.MetaDType]; !says && numbers.DType != format.Invalid {
		numbers.DType, rounded = format.Invalid, true
		p, err = export.WithNumbers(p, numbers)
	}
	return p, rounded, err
}

// exported is the exporter's output for a checkpoint. It keeps the last requested
// profile.
type exported struct {
	checkpoint *model.Checkpoint
	profile    export.Profile
	model      *onnx.Model // in profile; nil before the first request

	preparedFor export.Profile
	prepared    normal.Model // the network in this profile, for comparisons by structure
}

// as returns the model in a profile. It must not be changed.
func (e *exported) as(p export.Profile) (*onnx.Model, error) {
	if e.model == nil || e.profile != p {
		m, _, err := ExportModel(e.checkpoint, p)
		if err != nil {
			return nil, err
		}
		e.profile, e.model = p, m
	}
	return e.model, nil
}

// compareFile compares a file with the exporter's output for the checkpoint. It
// runs nothing.
func compareFile(e *exported, path string, m *onnx.Model, info export.Info) (checks []runtime.Check, file onnxModel, err error) {
	c := e.checkpoint
	p, rounded, err := profileOf(m, info)
	if err != nil {
		return nil, file, fmt.Errorf("%s: %w", path, err)
	}
	file = onnxModel{path: path, model: m, profile: p}
	kept, err := e.as(p)
	if err != nil {
		return nil, file, fmt.Errorf("%s: comparing it with what export writes: %w", path, err)
	}
	own := *kept
	own.Metadata = maps.Clone(kept.Metadata)
	want := &own
	options := compare.Options{
		Load:    func(t *onnx.Tensor) ([]byte, error) { return t.Load(filepath.Dir(path)) },
		Rounded: rounded,
	}
	rewriter, other := otherTool, []string{bundle.MetaWeightsSHA256, bundle.MetaWeightsSize}
	if earlier(m, want) {
		rewriter, other = "an earlier version of attnx wrote the file", append(other, export.MetaFingerprint)
		options.Earlier = earlierMask
		delete(want.Metadata, model.MetaGraph)
		delete(want.Metadata, export.MetaFingerprint)
	}
	if have := m.Metadata[model.MetaGraph]; model.SameGraph(have, want.Metadata[model.MetaGraph]) { // names do not matter
		want.Metadata[model.MetaGraph] = have
	}
	g, err := fileGraph(c, info.Profile, m)
	if err != nil {
		return nil, file, fmt.Errorf("%s: %w", path, err)
	}
	if graph.HasFingerprint(g, info.Fingerprint) { // earlier versions leave out the context
		want.Metadata[export.MetaFingerprint] = info.Fingerprint
	}
	found, err := compare.Models(m, want, options)
	if err != nil {
		return nil, file, fmt.Errorf("%s: %w", path, err)
	}
	file.names = found.Names
	checks = []runtime.Check{
		checkBy(rewriter, path, "initializers", found.Initializers),
		checkBy(rewriter, path, "nodes", found.Nodes),
		checkOf(path, "metadata", compare.Metadata(m.Metadata, want.Metadata, "attnx.", other...)),
	}
	file.verdict = structureOf(e, p, path, m, want, found, checks)
	if folder := tritonFolder(path); folder != "" && isCache(p) {
		check, err := compareTriton(c, folder, want)
		return append(checks, check), file, err
	}
	if folder, to := folderOf(path, m, info); folder != "" {
		more, err := compareFolder(c, folder, to, want)
		return append(checks, more...), file, err
	}
	return checks, file, nil
}

// earlier reports whether the file was written by a version of attnx that stored
// no graph. Such a file has another kind of fingerprint.
func earlier(have, want *onnx.Model) bool {
	return !hasGraph(have) && have.Metadata[export.MetaFingerprint] != want.Metadata[export.MetaFingerprint]
}

// earlierMask are the operators of the causal mask in such a file, which was cut
// from a constant.
var earlierMask = []string{"Equal", "Sum", "Where"}

// notRun marks in the checks of a file with integer weights that no run of it agreed. Parts
// that could not be compared then fail. ask is a runtime that would run it, where others were asked for.
func notRun(checks []runtime.Check, path string, q precision.Quantize, ran bool, ask string) {
	for i, c := range checks {
		switch {
		case c.File != path:
		case c.Status == runtime.StatusOK && c.Reason != "":
			checks[i].Status = runtime.StatusFail
			if ran {
				checks[i].Reason += "; and no run agrees"
			} else {
				checks[i].Reason += fmt.Sprintf("; a file with weights of %s is not run", q)
			}
		case c.Part == "initializers" && c.Reason == "" && ask != "":
			checks[i].Reason = fmt.Sprintf("a file with weights of %s is compared, and no runtime that was asked for runs it: ask for %s", q, ask)
		case c.Part == "initializers" && c.Reason == "" && !ran:
			checks[i].Reason = fmt.Sprintf("a file with weights of %s is compared, and no runtime here ran it: %s", q, ExportToMeasure)
		}
	}
}

const otherTool = "another tool rewrote the file"

// checkOf converts a part of a comparison to a check of the report.
func checkOf(path, part string, p compare.Part) runtime.Check {
	return checkBy(otherTool, path, part, p)
}

// checkBy is checkOf for a file that rewriter has changed.
func checkBy(rewriter, path, part string, p compare.Part) runtime.Check {
	c := runtime.Check{File: path, Part: part, Status: runtime.StatusOK, Compared: p.Compared, Total: p.Total}
	var text []string
	if len(p.Departures) > 0 {
		c.Status, c.FirstDifference = runtime.StatusFail, p.Departures[0].Value
		for _, d := range p.Departures {
			text = append(text, d.String())
		}
	} else if len(p.Left) > 0 {
		c.Reason = fmt.Sprintf("%s: %d %s of the export could not be compared and are judged by the runs alone: %s",
			rewriter, len(p.Left), part, strings.Join(few(p.Left), ", "))
		return c
	}
	c.Reason = strings.Join(few(text), "; ")
	return c
}

// few returns the first of some texts, and the number of the others.
func few(texts []string) []string {
	if n := len(texts); n > shownDepartures {
		return append(texts[:shownDepartures:shownDepartures], fmt.Sprintf("%d more", n-shownDepartures))
	}
	return texts
}
