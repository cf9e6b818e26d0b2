package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
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
	if err := o.check(); err != nil { // before a large checkpoint is read
		return runtime.Report{}, nil, err
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
	if len(paths) == 2 && isPair(paths[1]) {
		report, err := verifyPair(ctx, c, paths[1], o)
		return report, c, err
	}
	report, err := Verify(ctx, c, paths[1:], o)
	return report, c, err
}

// foreignCases are the sizes of a file's open dimensions.
var foreignCases = []openSizes{{1, drawnLength}, {2, 5}, {3, 1}, {1, 3}}

// VerifyONNX runs an ONNX file of any tool in every runtime that accepts such files,
// at each optimization level, and compares the outputs with the file's graph
// evaluated in float64. If the path is a folder with recorded inputs and outputs in
// the form of ONNX's tests (test_data_set_0/input_0.pb and so on), these inputs are
// run, and the oracle and the runtimes are compared with the recorded outputs too.
// Otherwise the inputs are read from files, or drawn as in ONNX.Draw.
//
// Other files are compared with the first one: the graph of each in float64, then
// the file in every runtime. Their inputs and outputs may have other names and another
// order. A file that has integer weights where the first one has none is measured
// against the first one, and its runtimes are compared with its own graph.
//
// If a runtime or a file differs, the report names the first node that does.
func VerifyONNX(ctx context.Context, paths []string, o VerifyOptions) (runtime.Report, error) {
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
	if err != nil || o.Keep == "" || v.first == nil {
		return report, err
	}
	report.Kept = o.Keep
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
	report   runtime.Report
	checks   []runtime.Check
	first    *found // the first part that departs
}

// verified is one of the files.
type verified struct {
	*ONNX
	cuts *cuts
	pair *pairing                  // its inputs and outputs with the first file's; nil for the first file
	at   map[uint64]runtime.Origin // where it departs from the first file, by case
	same map[string]string         // values of the first file, by name in this one; nil until they are needed
}

func (v *onnxVerification) close() {
	for _, f := range v.files {
		f.Close()
	}
}

// open reads the files and their cases.
func (v *onnxVerification) open(paths []string) error {
	_, names := new(verified).candidates(v.options)
	for _, name := range v.options.Runtimes {
		if !slices.Contains(names, name) {
			return &OptionError{Option: "Runtimes", Reason: fmt.Sprintf(": %.80s does not run ONNX files of other tools: take %s", name, quote.Or(names))}
		}
	}
	for i, path := range paths {
		x, err := readONNX(find.TestedIn(path))
		if err != nil {
			return err
		}
		f := &verified{ONNX: x, cuts: &cuts{cut.Of(x.File), filepath.Dir(x.Path)}, at: map[uint64]runtime.Origin{}}
		v.files = append(v.files, f)
		if i == 0 {
			if v.recorded, err = recordings(path, x); err != nil {
				return err
			}
		} else if f.pair, err = paired(v.files[0].ONNX, x); err != nil {
			return err
		}
	}
	first := v.files[0].ONNX
	v.refused = first.openOracle()
	var unsupported *read.UnsupportedError
	if v.refused != nil && (len(v.recorded) == 0 || !errors.As(v.refused, &unsupported)) {
		return v.refused
	}
	if v.refused == nil {
		v.oracle = evaluating{first}
		if len(v.recorded) > 0 || len(paths) > 1 { // it serves several comparisons
			v.oracle = &remembering{Oracle: v.oracle, outputs: map[uint64]map[string]format.Tensor{}, bounded: map[uint64]runtime.Bounded{}}
		}
	}
	return v.readCases()
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
	given, _, err := x.readInputs(v.options.Inputs, v.options.Tokenizer)
	if err != nil {
		return err
	}
	v.cases, err = x.cases(given, v.options.Seed)
	return err
}

// run verifies each file.
func (v *onnxVerification) run(ctx context.Context) (runtime.Report, error) {
	v.report = runtime.Report{Verdict: runtime.Pass, Oracle: runtime.OracleName, Cases: len(v.cases), Results: []runtime.Result{}, Files: []runtime.FileVerdict{}}
	first := v.files[0]
	if v.oracle != nil {
		candidates, _ := first.candidates(v.options)
		if err := v.verify(ctx, v.oracle, v.located(first, candidates, nil), "", ""); err != nil {
			return v.report, err
		}
	}
	if len(v.recorded) > 0 {
		if v.oracle == nil {
			v.report.Oracle = recordedOutputs
		}
		candidates, _ := first.candidates(v.options)
		candidates = append([]runtime.Candidate{v.oracleCandidate()}, v.located(first, candidates, nil)...)
		if err := v.verify(ctx, played(v.recorded, v.oracle), candidates, "", recordedOutputs); err != nil {
			return v.report, err
		}
	}
	for _, f := range v.files[1:] {
		if err := v.other(ctx, f); err != nil {
			return v.report, err
		}
	}
	return v.report.With(v.checks).Judged(v.structures(), runtime.Covered(v.cases)), nil
}

// restsOnFirst is what the verdict on an identical file rests on.
const restsOnFirst = "in normal form its graph is the first file's, each weight bit for bit"

// structures judges the other files by their structure: whether each computes what
// the first one does, for every input. A file that structure leaves open is judged by
// the runs.
func (v *onnxVerification) structures() (all []runtime.FileVerdict) {
	for _, f := range v.files[1:] {
		first := v.files[0]
		x := runtime.FileVerdict{File: f.Path}
		r, err := identicalAs(Stored{first.File, filepath.Dir(first.Path)}, Stored{f.File, filepath.Dir(f.Path)}, f.pair.ours, f.pair.outputs)
		switch {
		case err != nil:
			x.Reason = err.Error()
		case r.Identical:
			x.Layer, x.RestsOn = runtime.IdenticalLayer, restsOnFirst
		default:
			x.FirstDifference, x.Reason = cmp.Or(r.A, r.B), strings.ReplaceAll(r.Reason, "the second graph", "the second file")
		}
		all = append(all, x)
	}
	return all
}

// recordedOutputs is what reports call the outputs in a folder.
const recordedOutputs = "the recorded outputs"

// other compares a file with the first one.
func (v *onnxVerification) other(ctx context.Context, f *verified) error {
	v.checks = append(v.checks, f.pair.checks(f.Path)...)
	oracle, against := v.oracle, v.files[0].Path
	if oracle == nil {
		oracle, against = played(v.recorded, nil), recordedOutputs
	}
	graph := f.graphCandidate()
	graph.Measured = f.quantized() && !v.files[0].quantized()
	candidates, _ := f.candidates(v.options)
	if !graph.Measured {
		all := v.located(f, append([]runtime.Candidate{graph}, candidates...), f)
		return v.verify(ctx, oracle, all, f.Path, against)
	}
	if err := v.verify(ctx, oracle, []runtime.Candidate{graph}, f.Path, against); err != nil {
		return err
	}
	return v.verify(ctx, f.pair.oracle(evaluating{f.ONNX}), v.located(f, candidates, nil), f.Path, "its own graph")
}

// verify runs candidates and adds their results to the report.
func (v *onnxVerification) verify(ctx context.Context, oracle runtime.Oracle, candidates []runtime.Candidate, file, against string) error {
	if v.options.Progress != nil {
		oracle = watch(v.options.Progress, oracle, candidates, v.cases)
	}
	if info, err := os.Stat(v.files[0].Path); err == nil && info.Size() >= largeModel {
		defer collectOften()()
	}
	part, err := runtime.Verify(ctx, oracle, candidates, v.cases)
	if err != nil {
		if file != "" {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return err
	}
	alone := len(candidates) == 1 && candidates[0].Own // the oracle on another file, which proves nothing about a runtime
	if part.Verdict == runtime.Fail && v.report.Verdict == runtime.Pass && !(alone && part.Results[0].Status != runtime.StatusFail) {
		v.report.Verdict, v.report.Reason = runtime.Fail, part.Reason
		if file != "" {
			v.report.Reason = file + ": " + part.Reason
		}
	}
	if v.report.Coverage == nil {
		v.report.Coverage = part.Coverage // of the first file
	}
	for _, r := range part.Results {
		r.File, r.Against = file, against
		if r.Against == v.report.Oracle {
			r.Against = ""
		}
		v.report.Results = append(v.report.Results, r)
	}
	return nil
}

// located gives candidates that run a file the search for the first node that
// departs. against is the same file, if it is compared with the first one.
func (v *onnxVerification) located(f *verified, candidates []runtime.Candidate, against *verified) []runtime.Candidate {
	for i := range candidates {
		c := &candidates[i]
		locate := func(k runtime.Case, refused bool) (runtime.Origin, error) {
			inputs := k.Inputs()
			if against != nil {
				o, err := v.locateInFile(f, inputs)
				if o.Value != "" || err != nil || c.Own {
					return o, err
				}
				if inputs, err = f.pair.inputs(inputs); err != nil {
					return runtime.Origin{}, err
				}
			} else if f.pair != nil {
				var err error
				if inputs, err = f.pair.inputs(inputs); err != nil {
					return runtime.Origin{}, err
				}
			}
			return v.locateInRuntime(f, *c, inputs, refused)
		}
		c.Locate = func(k runtime.Case, _ runtime.Form) (runtime.Origin, error) { return locate(k, false) }
		c.Refused = func(k *runtime.Case, _ error) (runtime.Origin, error) {
			if k == nil {
				k = &v.cases[0]
			}
			return locate(*k, true)
		}
	}
	return candidates
}

// locateInFile finds the node of a file that departs from the first file, in the
// oracle.
func (v *onnxVerification) locateInFile(f *verified, inputs map[string]format.Tensor) (runtime.Origin, error) {
	key := keyOf(inputs)
	if at, known := f.at[key]; known || v.oracle == nil {
		return at, nil
	}
	theirs, err := f.pair.inputs(inputs)
	if err != nil {
		return runtime.Origin{}, err
	}
	first := v.files[0]
	if f.same == nil {
		if f.same, err = counterparts(first, f); err != nil {
			return runtime.Origin{}, err
		}
	}
	s := &fileSearch{first: first.cuts, other: f.cuts, counterpart: f.same, computed: f.pair.computed}
	at, err := s.find(inputs, theirs)
	if err != nil {
		return runtime.Origin{}, err
	}
	f.at[key] = v.note(at)
	return f.at[key], nil
}

// locateInRuntime finds the node of a file that a runtime computes wrongly, or
// refuses.
func (v *onnxVerification) locateInRuntime(f *verified, c runtime.Candidate, inputs map[string]format.Tensor, refused bool) (runtime.Origin, error) {
	if c.Part == nil || v.oracle == nil {
		return runtime.Origin{}, nil
	}
	s := &runSearch{cuts: f.cuts, open: c.Part, computed: cmp.Or(c.DType, precision.ComputedIn(f.File))}
	search := s.find
	if refused {
		search = s.findRefused
	}
	at, err := search(inputs)
	if err != nil {
		return runtime.Origin{}, err
	}
	if at == nil && !refused && len(v.recorded) > 0 {
		return runtime.Origin{Note: "each node is right from the right inputs: the recorded outputs are not this file's, or roundings add up"}, nil
	}
	if at == nil && !refused {
		return runtime.Origin{Note: "each node is right from the right inputs: the difference adds up from their roundings"}, nil
	}
	return v.note(at), nil
}

// note remembers the first part that departs.
func (v *onnxVerification) note(at *found) runtime.Origin {
	if at == nil {
		return runtime.Origin{}
	}
	if v.first == nil {
		v.first = at
	}
	return at.origin()
}

// oracleCandidate is the oracle on the first file, as a candidate.
func (v *onnxVerification) oracleCandidate() runtime.Candidate {
	return runtime.Candidate{Name: runtime.OracleName, Own: true, DType: precision.ComputedIn(v.files[0].File), Open: func() (runtime.Session, error) {
		if v.oracle == nil {
			return nil, notRead(v.refused)
		}
		return v.oracle, nil
	}}
}

// graphCandidate is the oracle on a file that is compared with the first one.
func (f *verified) graphCandidate() runtime.Candidate {
	return runtime.Candidate{Name: runtime.OracleName, Own: true, DType: f.pair.computed, Open: func() (runtime.Session, error) {
		if err := f.openOracle(); err != nil {
			return nil, notRead(err)
		}
		return f.pair.of(refusing{evaluating{f.ONNX}}), nil
	}}
}

// notRead marks an error of a file that the oracle does not read: it is no
// disagreement.
func notRead(err error) error {
	var unsupported *read.UnsupportedError
	if !errors.As(err, &unsupported) {
		return err
	}
	return &runtime.UnavailableError{Runtime: runtime.OracleName, Reason: err.Error(), Remedy: "the runtimes are compared without it"}
}

// refusing marks what the oracle does not read when it runs.
type refusing struct{ runtime.Session }

func (r refusing) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := r.Session.Run(inputs)
	if err != nil {
		err = notRead(err)
	}
	return out, err
}

// candidates returns the requested runtimes, on each device and level, and the
// names of all runtimes.
func (f *verified) candidates(o VerifyOptions) (candidates []runtime.Candidate, names []string) {
	for _, e := range entrants() {
		open := e.anyFile()
		if open == nil {
			continue
		}
		names = append(names, e.String())
		named := slices.Contains(o.Runtimes, e.String())
		if !named && (len(o.Runtimes) > 0 || e.level != "") || f.ONNX == nil {
			continue
		}
		levels, rows := e.levels()
		for i, level := range levels {
			c := runtime.Candidate{Name: rows[i], Named: named, TF32: o.TF32 && e.elsewhere(), Partial: e.openAny != nil}
			if f.pair != nil {
				c.DType = f.pair.computed
			}
			how := runtime.Options{Library: e.libraryOf(o.Library), Device: e.device, AnyOf: len(o.Runtimes) != 1, TF32: o.TF32, Level: level, Turns: true}
			c.Part = func(part runtime.File) (runtime.Session, error) { return open(part, how) }
			c.Open = func() (runtime.Session, error) {
				if err := e.available(how); err != nil {
					return nil, err
				}
				file, err := e.file(f.Path, f.File)
				if err != nil {
					return nil, err
				}
				s, err := open(file, how)
				if err != nil || f.pair == nil {
					return s, err
				}
				return f.pair.of(s), nil
			}
			candidates = append(candidates, c)
		}
	}
	return candidates, names
}

// anyFile returns how the entrant opens files of any tool; nil if it does not.
func (e entrant) anyFile() func(runtime.File, runtime.Options) (runtime.Session, error) {
	if e.openAny != nil {
		return e.openAny
	}
	if _, plain := e.profile.(export.Plain); plain {
		return e.Open
	}
	return nil
}

// cases returns cases with the given inputs, the others drawn. Without an open
// dimension they differ only in their numbers. If all inputs are given, there is one.
func (x *ONNX) cases(given map[string]format.Tensor, seed uint64) (cases []runtime.Case, err error) {
	for i, open := range foreignCases {
		inputs, how, err := x.draw(given, seed+uint64(i), open)
		if err != nil {
			return nil, err
		}
		c := runtime.Case{Batch: open.batch, Length: open.length}
		for _, v := range x.inputs {
			c.Given = append(c.Given, inputs[v.Name].WithName(v.Name))
		}
		if len(given) > 0 && len(how) == 0 {
			c.Name = "the given inputs"
		}
		cases = append(cases, c)
		if c.Name != "" {
			break
		}
	}
	return cases, nil
}

// evaluating makes an ONNX file an oracle. Its graph has the types of the file, so
// the arithmetic follows from them.
type evaluating struct{ *ONNX }

func (e evaluating) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	if err := e.checkInputs(inputs); err != nil {
		return runtime.Bounded{}, err
	}
	o, err := e.oracleFor(inputs)
	if err != nil {
		return runtime.Bounded{}, err
	}
	return o.Bounds(inputs, numbers...)
}

func (e evaluating) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	outputs, err := e.ONNX.Run(inputs)
	named := map[string]format.Tensor{}
	for _, t := range outputs {
		named[t.Name] = t
	}
	return named, err
}

// Close does nothing: the file is closed by whoever opened it.
func (evaluating) Close() error { return nil }

// remembering is an oracle that computes each case once: it takes longest.
type remembering struct {
	runtime.Oracle
	outputs map[uint64]map[string]format.Tensor
	bounded map[uint64]runtime.Bounded
}

func (r *remembering) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	key := keyOf(inputs)
	if out, ok := r.outputs[key]; ok {
		return maps.Clone(out), nil
	}
	out, err := r.Oracle.Run(inputs)
	if err == nil {
		r.outputs[key] = maps.Clone(out)
	}
	return out, err
}

func (r *remembering) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	key := maphash.Comparable(seedOfKeys, fmt.Sprint(keyOf(inputs), numbers))
	if b, ok := r.bounded[key]; ok {
		return b, nil
	}
	b, err := r.Oracle.Bounds(inputs, numbers...)
	if err == nil {
		r.bounded[key], r.outputs[keyOf(inputs)] = b, maps.Clone(b.Outputs)
	}
	return b, err
}

var seedOfKeys = maphash.MakeSeed()

// keyOf returns a hash of inputs.
func keyOf(inputs map[string]format.Tensor) uint64 {
	var h maphash.Hash
	h.SetSeed(seedOfKeys)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		fmt.Fprintf(&h, "%q%v", name, inputs[name].Shape)
		h.Write(inputs[name].Data)
	}
	return h.Sum64()
}

// quantized reports whether a file computes with integers in the place of
// floating-point numbers.
func (f *verified) quantized() bool {
	for _, n := range f.File.Graph.Nodes {
		if slices.Contains(quantizing, n.Op) {
			return true
		}
	}
	return false
}

// quantizing are the operators that files have whose weights became integers.
var quantizing = []string{"DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "ConvInteger", "MatMulInteger",
	"MatMulIntegerToFloat", "MatMulNBits", "QLinearConv", "QLinearMatMul", "QGemm", "GatherBlockQuantized"}

// coarser returns the less exact of two types.
func coarser(a, b format.DType) format.DType {
	for _, d := range []format.DType{format.BFloat16, format.Float16, format.Float32} {
		if a == d || b == d {
			return d
		}
	}
	return cmp.Or(a, format.Float32)
}
