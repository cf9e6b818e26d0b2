package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// VerifyFiles is Verify for files: a checkpoint and its ONNX files, or ONNX files of
// any tool, which are passed to VerifyONNX.
func VerifyFiles(ctx context.Context, paths []string, tell Tell, o VerifyOptions) (runtime.Report, error) {
	report, _, err := verifyFiles(ctx, paths, tell, o)
	return report, err
}

// verifyFiles also returns the checkpoint; nil if the files are compared without one.
func verifyFiles(ctx context.Context, paths []string, tell Tell, o VerifyOptions) (runtime.Report, *model.Checkpoint, error) {
	o.Runtimes = runtimeNames(o.Runtimes)
	if err := o.check(); err != nil { // before a large checkpoint is read
		return runtime.Report{}, nil, err
	}
	if filepath.Ext(paths[0]) == ".onnx" { // what is named so and is none is no checkpoint either
		if _, err := find.Expect(paths[0], find.ONNXFile, find.ONNX, find.OtherFolder, find.ModelFolder, find.RunFolder); err != nil {
			return runtime.Report{}, nil, err
		}
	}
	if kind, err := find.ExpectModel(find.TestedIn(paths[0])); err == nil && kind == find.ONNX {
		report, err := VerifyONNX(ctx, paths, o)
		return report, nil, err
	}
	if len(o.Inputs) > 0 || o.Keep != "" {
		return runtime.Report{}, nil, errors.New("inputs from files, and a folder for the first difference, are for ONNX files without a checkpoint: name an ONNX file first")
	}
	c, _, err := find.Load(paths[0], tell, model.LoadModel)
	if err != nil {
		return runtime.Report{}, nil, err
	}
	if folder := paths[len(paths)-1]; len(paths) <= 2 && isPair(folder) { // one path: its files, and the weights beside them
		report, err := verifyPair(ctx, c, folder, o)
		return report, c, err
	}
	report, err := Verify(ctx, c, paths[1:], o)
	return report, c, err
}

// foreignCases are the sizes of a file's open dimensions.
var foreignCases = []openSizes{{batch: 1, length: drawnLength}, {batch: 2, length: 5}, {batch: 3, length: 1}, {batch: 1, length: 3}}

// VerifyONNX runs an ONNX file of any tool in every runtime that accepts such files,
// at each optimization level, and compares the outputs with the file's graph
// evaluated in float64. If the path is a folder with recorded inputs and outputs in
// the form of ONNX's tests (test_data_set_0/input_0.pb and so on), these inputs are
// run, and the oracle and the runtimes are compared with the recorded outputs too.
// Otherwise the inputs are read from files, or drawn as in ONNX.Draw. Outputs that are not
// made of numbers, and those that depend on random draws, are left out: the report's notes
// and its coverage say so.
//
// The oracle does not read every file: it lacks an operator, data decide how often a loop
// runs, or inputs are strings, sequences or maps. The recorded outputs judge such a file
// alone, and must have every output. Without any, its runtimes are compared with the first
// of them that runs it, which Report.Oracle names. That is never a pass: runtimes that
// agree are not certified. Strings are compared for equality, sequences element by element.
// Two files with such inputs are not compared.
//
// Other files are compared with the first one: the graph of each in float64, then
// the file in every runtime. Their inputs and outputs may have other names and another
// order. A file that has integer weights where the first one has none is measured
// against the first one, and its runtimes are compared with its own graph or, if the
// oracle does not read that, measured too.
//
// If a runtime or a file differs, the report names the first node that does.
func VerifyONNX(ctx context.Context, paths []string, o VerifyOptions) (runtime.Report, error) {
	o.Runtimes = runtimeNames(o.Runtimes)
	if o.Keep != "" {
		claim, err := output.Claim(output.Folder, o.Keep, paths...)
		if err != nil {
			return runtime.Report{}, err
		}
		defer claim.Close()
	}
	v := &onnxVerification{options: o}
	defer v.close()
	if err := v.open(paths); err != nil {
		return runtime.Report{}, err
	}
	report, err := v.run(ctx)
	if err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), v.files[0].Path) {
		err = fmt.Errorf("%s: %w", v.files[0].Path, err)
	}
	if err != nil || o.Keep == "" || v.first == nil {
		return report, err
	}
	report.Kept = o.Keep
	if o.Saving != nil {
		o.Saving()
	}
	return report, v.first.keep(o.Keep)
}

// onnxVerification compares ONNX files with the first of them.
type onnxVerification struct {
	options  VerifyOptions
	files    []*verified
	cases    []runtime.Case
	recorded []recording
	oracle   runtime.Oracle // of the first file, which keeps its outputs; nil if the oracle refuses it
	refused  error          // why it does
	instead  *player        // what the files are compared with if there is no oracle
	report   runtime.Report
	checks   []runtime.Check
	first    *found                   // the first part that departs
	verdicts []runtime.FileVerdict    // by structure; nil until they are known
	designed *designed                // cases; nil if the inputs are no texts
	given    map[string]format.Tensor // inputs that are not drawn
}

// verified is one of the files.
type verified struct {
	*ONNX
	cuts *cuts
	pair *pairing                  // its inputs and outputs with the first file's; nil for the first file
	at   map[uint64]runtime.Origin // where it departs from the first file, by case
	same map[string]string         // values of the first file, by name in this one; nil until they are needed
}

func newVerified(x *ONNX) *verified {
	return &verified{ONNX: x, cuts: &cuts{cut.Of(x.File), filepath.Dir(x.Path)}, at: map[uint64]runtime.Origin{}}
}

func (v *onnxVerification) close() {
	for _, f := range v.files {
		f.Close()
	}
}

// open reads the files and their cases.
func (v *onnxVerification) open(paths []string) error {
	if err := v.options.checkBudget(); err != nil {
		return err
	}
	_, names := new(verified).candidates(v.options)
	for _, name := range v.options.Runtimes {
		if !slices.Contains(names, name) {
			return &OptionError{Option: "Runtimes", Reason: fmt.Sprintf(": %.80s does not run ONNX files of other tools: take %s", name, quote.Or(names))}
		}
	}
	for i, path := range paths {
		x, err := readCompared(find.TestedIn(path))
		if err != nil {
			return err
		}
		if err := x.bounded(nil); err != nil {
			return err
		}
		f := newVerified(x)
		v.files = append(v.files, f)
		if i > 0 && (x.kinds != nil || v.files[0].kinds != nil) {
			with := cmp.Or(x.kinds, v.files[0].kinds)
			return fmt.Errorf("%s: %w", with.Path, with.why)
		}
		if i == 0 {
			if v.recorded, err = recordings(path, x); err != nil {
				return err
			}
		} else if f.pair, err = paired(v.files[0].ONNX, x); err != nil {
			return err
		}
	}
	first := v.files[0].ONNX
	if first.kinds != nil {
		v.refused = fmt.Errorf("%s: %w", first.Path, first.kinds.refusal())
	} else if v.refused = first.openOracle(); v.refused != nil && !isUnread(v.refused) {
		return v.refused
	}
	if v.refused == nil {
		v.oracle = evaluating{first}
		if len(v.recorded) > 0 || len(paths) > 1 { // it serves several comparisons
			v.oracle = &remembering{Oracle: v.oracle, outputs: map[uint64]map[string]format.Tensor{}, bounded: map[uint64]runtime.Bounded{}}
		}
	}
	if err := v.readCases(); err != nil {
		return err
	}
	v.unread()
	if err := v.judged(); err != nil {
		return err
	}
	return v.divides()
}

// readCases sets the cases: the recorded ones or, without any, those of the inputs
// that are read and drawn.
func (v *onnxVerification) readCases() error {
	x := v.files[0].ONNX
	if len(v.recorded) > 0 {
		if len(v.options.Inputs) > 0 {
			return fmt.Errorf("%s: the folder has recorded inputs: name the ONNX file in it to give others", filepath.Dir(x.Path))
		}
		for _, r := range v.recorded {
			v.cases = append(v.cases, runtime.Case{Batch: 1, Given: r.inputs, Name: r.name})
		}
		return nil
	}
	if x.kinds != nil {
		var err error
		v.cases, err = x.kinds.cases(v.options)
		return err
	}
	given, _, err := x.readInputs(v.options.Inputs, v.options.Tokenizer)
	if err != nil {
		return err
	}
	v.given = given
	if v.cases, err = x.cases(given, v.options.Seed); err == nil {
		v.cases = x.fitting(v.cases)
	}
	if err != nil || len(given) > 0 || v.oracle == nil {
		return err
	}
	budget := v.options.Budget
	if budget == 0 {
		budget = runtime.ProvedBudget
		if v.verdicts = v.structures(); slices.ContainsFunc(v.verdicts, func(f runtime.FileVerdict) bool { return f.Layer != runtime.IdenticalLayer }) {
			budget = runtime.DefaultBudget
		}
	}
	t, ok := x.textsOf(v.options.Seed, budget)
	if !ok {
		return nil
	}
	if v.designed, err = t.design(); err != nil {
		return err
	}
	for _, c := range v.designed.cases {
		v.cases = append(v.cases, c.Case)
	}
	return nil
}

// run verifies each file.
func (v *onnxVerification) run(ctx context.Context) (runtime.Report, error) {
	v.report = runtime.Report{Verdict: runtime.Pass, Oracle: runtime.OracleName, Cases: len(v.cases), Results: []runtime.Result{}, Files: []runtime.FileVerdict{}}
	first := v.files[0]
	if v.oracle != nil {
		candidates, _ := first.candidates(v.options)
		if err := v.verify(ctx, v.oracle, v.located(first, candidates, nil, false), "", ""); err != nil {
			return v.report, err
		}
	}
	if v.hasRecorded() {
		v.instead = played(v.recorded, v.oracle)
		if v.oracle == nil {
			v.report.Oracle = recordedOutputs
		}
		candidates, _ := first.candidates(v.options)
		candidates = append([]runtime.Candidate{v.oracleCandidate()}, v.located(first, candidates, nil, true)...)
		if err := v.verify(ctx, v.instead, candidates, "", recordedOutputs); err != nil {
			return v.report, err
		}
	}
	alone := v.oracle == nil && !v.hasRecorded()
	if alone {
		if err := v.peers(ctx); err != nil {
			return v.report, err
		}
	}
	for _, f := range v.files[1:] {
		if err := v.other(ctx, f); err != nil {
			return v.report, err
		}
	}
	if alone {
		v.unproved()
	}
	for _, f := range v.files {
		v.report.Notes = append(v.report.Notes, f.notes...)
	}
	for _, r := range v.recorded {
		v.report.Notes = append(v.report.Notes, r.others...)
	}
	if v.designed != nil {
		v.report.Coverage = v.designed.coverage(v.report.Coverage)
	}
	if v.verdicts == nil {
		v.verdicts = v.structures()
	}
	sized := v.cases
	if !first.opensLength() { // the lengths of the draws are no sizes of its inputs
		sized = slices.Clone(v.cases)
		for i := range sized {
			sized[i].Length = 0
		}
	}
	if v.designed == nil && len(v.recorded) == 0 {
		v.report.Coverage = first.drawnCoverage(v.report.Coverage, sized, v.given, v.options.Seed)
	}
	first.withoutIgnored(v.report.Coverage)
	return v.report.With(v.checks).Judged(v.verdicts, runtime.Covered(sized)), nil
}

// recordedOutputs is what reports call the outputs in a folder.
const recordedOutputs = "the recorded outputs"

// ofRecorded names the recorded outputs in reasons, which have them in the oracle's place.
var ofRecorded = strings.NewReplacer("the oracle says", "recorded is", "the oracle's has", "the recorded one has", "the oracle's holds", "the recorded one holds")

// worded names in a reason what stood in the oracle's place.
func (v *onnxVerification) worded(reason, against string) string {
	switch {
	case against == recordedOutputs:
		return ofRecorded.Replace(reason)
	case v.report.Oracle != runtime.OracleName && against == v.report.Oracle:
		return strings.NewReplacer("the oracle says", against+" says", "the oracle's", "that of "+against).Replace(reason)
	}
	return reason
}

// itsOwnGraph is what reports call the graph of a file that is not the first one.
const itsOwnGraph = "its own graph"

// other compares a file with the first one.
func (v *onnxVerification) other(ctx context.Context, f *verified) error {
	v.checks = append(v.checks, f.pair.checks(f.Path)...)
	oracle, against := v.oracle, v.files[0].Path
	if oracle == nil {
		oracle, against = v.instead, v.report.Oracle
	}
	graph := f.graphCandidate()
	graph.Measured = f.quantized() && !v.files[0].quantized()
	candidates, _ := f.candidates(v.options)
	own := graph.Measured // its runtimes are compared with its own graph, if the oracle reads it
	if own && v.unreadFor(f) != nil {
		own = false
		for i := range candidates {
			candidates[i].Measured = true
		}
	}
	if !own {
		all := v.located(f, append([]runtime.Candidate{graph}, candidates...), f, v.oracle == nil)
		return v.verify(ctx, oracle, all, f.Path, against)
	}
	if err := v.verify(ctx, oracle, []runtime.Candidate{graph}, f.Path, against); err != nil {
		return err
	}
	return v.verify(ctx, f.pair.oracle(evaluating{f.ONNX}), v.located(f, candidates, nil, false), f.Path, itsOwnGraph)
}

// verify runs candidates and adds their results to the report.
func (v *onnxVerification) verify(ctx context.Context, oracle runtime.Oracle, candidates []runtime.Candidate, file, against string) error {
	if v.options.Progress != nil {
		oracle = watch(v.options.Progress, oracle, candidates, v.cases)
	}
	size := 0
	if info, err := os.Stat(v.files[0].Path); err == nil {
		size = int(info.Size())
	}
	if size >= largeModel {
		defer collectOften()()
	}
	v.options.readings(candidates, size)
	part, err := runtime.Verify(ctx, oracle, candidates, v.cases)
	if err != nil {
		if file != "" {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return err
	}
	alone := len(candidates) == 1 && candidates[0].Own // the oracle on another file, which proves nothing about a runtime
	if part.Verdict == runtime.Fail && v.report.Verdict == runtime.Pass && !(alone && part.Results[0].Status != runtime.StatusFail) {
		v.report.Verdict, v.report.Reason = runtime.Fail, v.worded(part.Reason, against)
		if file != "" {
			v.report.Reason = file + ": " + v.report.Reason
		}
	}
	if v.report.Coverage == nil {
		v.report.Coverage = part.Coverage // of the first file
	}
	v.report.Cases = part.Cases
	for _, r := range part.Results {
		r.File, r.Against, r.Reason = file, against, v.worded(r.Reason, against)
		if r.Against == v.report.Oracle {
			r.Against = ""
		}
		v.report.Results = append(v.report.Results, r)
	}
	return nil
}
