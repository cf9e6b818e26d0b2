package attnx

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/normal"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// verification is a checkpoint and the ONNX files that claim to be the same
// model.
type verification struct {
	checkpoint     *model.Checkpoint
	exported       exported
	graph          *graph.Graph
	options        VerifyOptions
	files          map[string]onnxModel // by profile name
	severalDevices bool                 // it runs on more than the CPU
	length         int                  // sequence length of the profile flat
	checks         []runtime.Check      // of the files
	verdicts       []runtime.FileVerdict
	pairs          runtime.Count // of the cases with a past
	quantized      []quantizedFile
}

// flatLength is the sequence length of the flat network that is exported if no
// flat file is named. onnx-go computes every text at full length and keeps
// every value: GPT-2's context takes 14 GB, and more time than all other
// runtimes together.
const flatLength = 128

// onnxModel is the ONNX model for a runtime: a file or, if none was named, an
// export in memory.
type onnxModel struct {
	path    string
	model   *onnx.Model         // of path, without its large initializers
	profile export.Profile      // the profile in which the exporter would write it
	names   map[string]string   // the exporter's names of its values
	verdict runtime.FileVerdict // by its structure
}

// VerifyOptions configure Verify.
type VerifyOptions struct {
	Runtimes  []string // must be available and agree; nil: all available ones that run the files, or all without files
	Seed      uint64   // of the ids
	Budget    int      // tokens of the cases; 0: runtime.DefaultBudget, or runtime.ProvedBudget if structure proves the files
	Library   string   // path of the ONNX Runtime library; empty: search for it
	TF32      bool     // CUDA may use TF32, which rounds the factors of products to 10 bits
	Progress  Progress // may be nil
	Inputs    Files    // VerifyONNX: inputs read from files; the others are drawn
	Tokenizer string   // VerifyONNX: of inputs that are texts; empty: the one beside the file
	Keep      string   // VerifyONNX: new folder for the smallest model that shows the first difference; empty: none
}

// check refuses a runtime that does not exist.
func (o VerifyOptions) check() error {
	for _, name := range o.Runtimes {
		if !slices.Contains(Runtimes(), name) {
			return &OptionError{Option: "Runtimes", Reason: fmt.Sprintf(": no runtime is called %.80q: take %s", name, strings.Join(Runtimes(), ", "))}
		}
	}
	return nil
}

// Progress receives the runtime that begins to run, and the number of tokens, done
// of total, that have gone through the oracle and the runtimes.
type Progress func(runtime string, done, total int)

// Verify compares ONNX files with a checkpoint, runs the network in every
// runtime, and compares the outputs with the same network evaluated in float64.
// Profiles without a file are exported in memory. It refuses a file that was
// made from another network.
func Verify(ctx context.Context, c *model.Checkpoint, files []string, o VerifyOptions) (runtime.Report, error) {
	v, err := newVerification(c, files, o)
	if err != nil {
		return runtime.Report{}, err
	}
	return v.run(ctx)
}

// newVerification reads the files.
func newVerification(c *model.Checkpoint, files []string, o VerifyOptions) (*verification, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Budget < 0 {
		return nil, &OptionError{Option: "Budget", Reason: fmt.Sprintf(" is %d tokens: take 1 or more, or 0 for the default", o.Budget)}
	}
	c, err := poolingOf(c, files)
	if err != nil {
		return nil, err
	}
	v := &verification{checkpoint: c, exported: exported{checkpoint: c}, graph: c.Graph, options: o, files: map[string]onnxModel{}, length: flatLength}
	if n := c.Context(); n > 0 {
		v.length = min(n, flatLength)
	} else if c.Graph.Input(role.Of(role.Tokens)) == nil {
		v.length = 1 // rows run one at a time
	}
	for _, p := range v.profiles() {
		v.files[p.Name()] = onnxModel{profile: p}
	}
	for _, path := range files {
		if err := v.read(path); err != nil {
			return nil, err
		}
	}
	v.exported.prepared = normal.Model{}
	v.exported.model = nil // it may be as large as the weights, and is needed again only if a run fails
	return v, nil
}

// poolingOf returns the checkpoint with the embedding of texts that a file has in
// addition: export adds it on request.
func poolingOf(c *model.Checkpoint, files []string) (*model.Checkpoint, error) {
	sentence := role.Of(role.Sentence)
	if _, has := c.Graph.Output(sentence); has {
		return c, nil
	}
	for _, path := range files {
		m, err := find.ReadModel(find.ModelIn(path))
		if err != nil || !slices.ContainsFunc(m.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.Name == sentence.Name() }) {
			continue // verify reads it again, and reports what is wrong
		}
		var p Pooling
		if text, ok := m.MetadataValue(model.MetaConfig); !ok || json.Unmarshal([]byte(text), &p) != nil {
			continue
		}
		return model.WithPooling(c, p)
	}
	return c, nil
}

func (v *verification) read(path string) error {
	path = find.ModelIn(path)
	if _, err := find.Expect(path, "an ONNX file", find.ONNX); err != nil {
		return err
	}
	m, err := find.ReadModel(path)
	if err != nil {
		return err
	}
	if m.Metadata[bundle.MetaWeightsSHA256] != "" { // otherwise another tool moved the weights: they are compared nevertheless
		verified, err := find.VerifyWeights(path, m)
		if err == nil {
			err = verified()
		}
		if err != nil {
			return err
		}
	}
	info, err := export.Describe(m)
	if err != nil {
		return &Error{Err: fmt.Errorf("%s: %w", path, err), Do: CompareExported}
	}
	if _, train := info.Profile.(export.Train); train {
		return &Error{Err: fmt.Errorf("%s: it holds a training step, and verify compares logits", path), Do: ExportPlain}
	}
	g, err := fileGraph(v.checkpoint, info.Profile, m)
	if err != nil {
		return err
	}
	if hasGraph(m) && !graph.HasFingerprint(g, info.Fingerprint) {
		return fmt.Errorf("%s: its network is not the checkpoint's (fingerprint %.12s, checkpoint %.12s): export the checkpoint again", path, info.Fingerprint, graph.Fingerprint(g))
	}
	if other := v.file(info.Profile); other.model != nil {
		return fmt.Errorf("%s: %s has the profile %s too: verify them one at a time", path, other.path, info.Profile.Name())
	}
	checks, file, err := compareFile(&v.exported, path, m, info)
	if err != nil {
		return err
	}
	v.checks = append(v.checks, checks...)
	v.verdicts = append(v.verdicts, file.verdict)
	if file.profile.Numbers().Quantize != "" {
		return v.readQuantized(file)
	}
	if file.model, err = withoutWeights(m); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	v.files[info.Profile.Name()] = file
	if flat, is := file.profile.(export.Flat); is {
		v.length = flat.Length
	}
	return nil
}

// profiles returns the profiles that the runtimes run.
func (v *verification) profiles() []export.Profile {
	return []export.Profile{export.Plain{}, export.Cache{}, export.Flat{Length: v.length}}
}

// file returns the model in a profile for the runtimes.
func (v *verification) file(p export.Profile) onnxModel { return v.files[p.Name()] }

// run verifies the named runtimes or, without names, those that run the files. Without
// files it verifies all of them.
func (v *verification) run(ctx context.Context) (runtime.Report, error) {
	names := v.options.Runtimes
	named, given := len(names) > 0, slices.ContainsFunc(v.profiles(), func(p export.Profile) bool { return v.file(p).model != nil })
	var running []entrant
	for _, e := range entrants() {
		if named && slices.Contains(names, e.String()) || !named && e.level == "" && v.has(e.profile) && (!given || e.profile != nil && v.file(e.profile).model != nil) {
			running = append(running, e)
		}
	}
	v.severalDevices = slices.ContainsFunc(running, entrant.elsewhere)
	var candidates []runtime.Candidate
	past := false
	for _, e := range running {
		first := len(candidates)
		if isCache(e.profile) {
			past = true
			candidates = append(candidates, v.cachedCandidates(e, named)...)
		} else {
			candidates = append(candidates, v.candidate(e, named))
		}
		v.runBy(e.profile, candidates[first:])
	}
	oracle, err := v.oracle(past)
	if err != nil {
		return runtime.Report{}, err
	}
	inputs := ref.Inputs(v.graph)
	cases, err := runtime.CasesOf(inputs, v.graph.Context, v.budget(), v.options.Seed)
	if err != nil {
		return runtime.Report{}, err
	}
	if v.options.Progress != nil {
		oracle = watch(v.options.Progress, oracle, candidates, cases)
	}
	if v.large() {
		defer collectOften()()
	}
	report, err := runtime.Verify(ctx, oracle, candidates, cases)
	if err == nil {
		report, err = v.runQuantized(ctx, report)
	}
	if err == nil {
		report.Coverage = runtime.CoverageOf(cases, inputs, v.graph.Context).With(v.budget(), v.pairs, report.Coverage)
	}
	return report.With(v.checks).Judged(v.verdicts, runtime.Covered(cases)), err
}

// runBy notes which candidates run the file of a profile.
func (v *verification) runBy(p export.Profile, candidates []runtime.Candidate) {
	if p == nil || v.file(p).model == nil {
		return
	}
	i := slices.IndexFunc(v.verdicts, func(f runtime.FileVerdict) bool { return f.File == v.file(p).path })
	for _, c := range candidates {
		v.verdicts[i].Runtimes = append(v.verdicts[i].Runtimes, c.Name)
	}
}

// budget returns the number of tokens of the cases.
func (v *verification) budget() int {
	switch {
	case v.options.Budget > 0:
		return v.options.Budget
	case v.proved():
		return runtime.ProvedBudget
	}
	return runtime.DefaultBudget
}

// proved reports whether files were named, and their structure proves all of them. Then
// the cases only test the runtimes.
func (v *verification) proved() bool {
	return len(v.verdicts) > 0 && !slices.ContainsFunc(v.verdicts, func(f runtime.FileVerdict) bool { return f.Layer != runtime.IdenticalLayer })
}

// has reports whether the network, or a named file, has the form that a runtime
// runs. The network can have a past, and its text can be padded as in the
// profile flat, only if no token depends on later ones.
func (v *verification) has(p export.Profile) bool {
	if _, plain := p.(export.Plain); plain || p == nil || v.file(p).model != nil {
		return true
	}
	_, err := model.Cached(v.graph, false)
	return err == nil
}

// collectOften lets the garbage collector run before the heap has grown by a quarter,
// until the result is called. Otherwise as much garbage as the weights and outputs
// would be kept; marking them costs nothing, because tensors hold no pointers.
func collectOften() (end func()) {
	before := debug.SetGCPercent(25)
	return func() { debug.SetGCPercent(before) }
}

// watch reports progress: the runtime that runs, and the number of tokens that went
// through the oracle and the runtimes. A large model takes minutes.
func watch(progress Progress, oracle runtime.Oracle, candidates []runtime.Candidate, cases []runtime.Case) (watched runtime.Oracle) {
	total, done, next := 0, 0, 0
	for _, c := range cases {
		total += c.Tokens() * (1 + len(candidates))
	}
	for i := range candidates {
		c := &candidates[i]
		c.Begin = func(k runtime.Case) {
			progress(c.Name, done, total)
			done += k.Tokens()
		}
	}
	return announcing{oracle, func() {
		progress(runtime.OracleName, done, total)
		done += cases[next].Tokens()
		next++
	}}
}

// announcing is an oracle that reports a case before it begins.
type announcing struct {
	runtime.Oracle
	begin func()
}

// Unwrap returns the oracle.
func (a announcing) Unwrap() runtime.Oracle { return a.Oracle }

func (a announcing) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	a.begin()
	return a.Oracle.Bounds(inputs, numbers...)
}

func (a announcing) BoundsOf(inputs map[string]format.Tensor, keep func(map[string][]int) map[string]runtime.Selection, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	a.begin()
	return runtime.BoundsOf(a.Oracle, inputs, keep, numbers...)
}

func (v *verification) candidate(e entrant, named bool) runtime.Candidate {
	c := runtime.Candidate{Name: e.String(), Named: named, Open: func() (runtime.Session, error) { return v.open(e, e.level) }, TF32: v.options.TF32 && e.elsewhere()}
	switch e.profile.(type) {
	case nil:
		c.Own = true
		c.Open = func() (runtime.Session, error) { return e.network(v.checkpoint) }
	case export.Plain:
		c.Locate = func(k runtime.Case, f runtime.Form) (runtime.Origin, error) { return v.locate(e, e.level, k, f) }
		if m := v.file(e.profile).model; m != nil {
			c.DType = precision.ComputedIn(m)
		}
	case export.Flat:
		// The network in this form proves nothing about the plain one: it counts in the
		// verdict only if it was requested, by the runtime's name or as a file.
		c.Own = !named && v.file(e.profile).model == nil
		c.Gives = []role.Kind{role.Logits, role.Prediction}
		c.Runs = v.padded()
	}
	return c
}

// padded returns which cases a flat file can run: texts up to its length, or of
// this length if neither a causal attention nor a mask hides the padding.
func (v *verification) padded() func(runtime.Case) bool {
	_, err := model.Cached(v.graph, false)
	hidden := err == nil || v.graph.Input(role.Of(role.AttentionMask)) != nil
	return func(k runtime.Case) bool {
		return k.Length <= v.length && (hidden || k.Length == v.length || k.Length == 0)
	}
}

// rounded returns a session's float64 results as float32.
type rounded struct{ runtime.Session }

func (r rounded) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := r.Session.Run(inputs)
	for name, t := range out {
		if !t.DType.Float() {
			continue
		}
		x, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		y := make([]float32, len(x))
		for i := range y {
			y[i] = float32(x[i])
		}
		out[name] = format.FromFloat32s(t.Name, t.Shape, y)
	}
	return out, err
}

// open opens the file of the entrant's profile or, if none was named, an export
// in memory.
func (v *verification) open(e entrant, level string) (runtime.Session, error) {
	how := v.in(e, level)
	if err := e.available(how); err != nil {
		return nil, err
	}
	if e.Widest == format.Float32 && slices.ContainsFunc(v.graph.Outputs, func(o graph.Output) bool { return o.Value.DType == format.Float64 }) {
		return nil, &runtime.UnavailableError{Runtime: e.String(), Reason: "it computes in float32, and the model in float64", Remedy: "verify the model in another runtime"}
	}
	v.collect() // what the oracle and the session before left
	f := v.file(e.profile)
	if f.model != nil { // by its path: the weights may be in a separate file
		file, err := e.file(f.path, f.model)
		if err != nil {
			return nil, err
		}
		s, err := e.Open(file, how)
		if _, plain := f.profile.(export.Plain); plain && err == nil {
			s = narrowing{s, f.model}
		}
		return s, err
	}
	data, err := ExportBytes(v.checkpoint, f.profile)
	if err != nil {
		return nil, err
	}
	s, err := e.Open(runtime.File{Data: data}, how)
	data = nil // the runtime has its own copy
	v.collect()
	return s, err
}

// collect frees what is no longer used of a large model. The garbage collector would
// keep it while the runtime, whose memory it does not see, takes as much again.
func (v *verification) collect() {
	if v.large() {
		debug.FreeOSMemory()
	}
}

// largeModel is the size of the weights from which on collecting garbage more often than
// usual pays off.
const largeModel = 64 << 20

// large reports whether the weights are large.
func (v *verification) large() bool {
	bytes := 0
	for _, w := range v.checkpoint.Weights {
		bytes += len(w.Data)
	}
	return bytes >= largeModel
}

// in returns the options for running an entrant.
func (v *verification) in(e entrant, level string) runtime.Options {
	return runtime.Options{Library: e.libraryOf(v.options.Library), Device: e.device, AnyOf: v.severalDevices, Level: level, TF32: v.options.TF32, Turns: true}
}
