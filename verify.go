package attnx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/compare"
	"github.com/attnx/attnx/export/flat"
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
	anyPast        *runtime.Form // of networks with a past; nil before the first
}

// flatLength is the sequence length of the flat network that is exported if no
// flat file is named, and flatLengthOfLarge that of a large one. onnx-go computes every text
// at full length and keeps every value: GPT-2's context takes 14 GB, and more time
// than all other runtimes together. Of GPT-2's size even 128 tokens take 4 s a text.
const (
	flatLength        = 128
	flatLengthOfLarge = 16
)

// onnxModel is the ONNX model for a runtime: a file or, if none was named, an
// export in memory.
type onnxModel struct {
	path    string
	model   *onnx.Model         // of path, without its large initializers
	profile export.Profile      // the profile in which the exporter would write it
	names   map[string]string   // the exporter's names of its values
	verdict runtime.FileVerdict // by its structure
	within  *within             // the model is a branch of the file at path; nil: it is the file
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
	Readings  bool     // derive the three readings of each runtime's closest value, whatever the model's size
	Keep      string   // VerifyONNX: new folder for the smallest model that shows the first difference; empty: none
	Saving    func()   // called before that folder or a receipt is written; may be nil
}

// check refuses a budget below 0, and a runtime that does not exist.
func (o VerifyOptions) check() error {
	if err := o.checkBudget(); err != nil {
		return err
	}
	for _, name := range o.Runtimes {
		if !slices.Contains(Runtimes(), name) {
			return &OptionError{Option: "Runtimes", Reason: fmt.Sprintf(": no runtime is called %.80q: take %s", name, strings.Join(Runtimes(), ", "))}
		}
	}
	return nil
}

func (o VerifyOptions) checkBudget() error {
	if o.Budget < 0 {
		return &OptionError{Option: "Budget", Reason: fmt.Sprintf(" is %d tokens: take 1 or more, or 0 for the default", o.Budget)}
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
	return verificationOf(c, files, o, func(v *verification) error {
		for _, path := range files {
			if err := v.read(path); err != nil {
				return err
			}
		}
		return nil
	})
}

// verificationOf is newVerification with its own way to read the files.
func verificationOf(c *model.Checkpoint, files []string, o VerifyOptions, read func(*verification) error) (*verification, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := poolingOf(c, files)
	if err != nil {
		return nil, err
	}
	v := &verification{checkpoint: c, exported: exported{checkpoint: c}, graph: c.Graph, options: o, files: map[string]onnxModel{}, length: flatLength}
	if v.large() {
		v.length = flatLengthOfLarge
	}
	if n := c.Context(); n > 0 {
		v.length = min(n, v.length)
	} else if c.Graph.Input(role.Of(role.Tokens)) == nil {
		v.length = 1 // rows run one at a time
	}
	for _, p := range v.profiles() {
		v.files[p.Name()] = onnxModel{profile: p}
	}
	if err := read(v); err != nil {
		return nil, err
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
	if err := partOf(path, m, v.checkpoint); err != nil {
		return err
	}
	return v.readModel(path, m, nil)
}

// readModel reads a model that is the file at path, or a branch of it.
func (v *verification) readModel(path string, m *onnx.Model, in *within) error {
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
	file.within = in
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
// files it verifies all of them, each with an export in memory.
func (v *verification) run(ctx context.Context) (runtime.Report, error) {
	names := v.options.Runtimes
	named, given := len(names) > 0, slices.ContainsFunc(v.profiles(), func(p export.Profile) bool { return v.file(p).model != nil })
	var running []entrant
	for _, e := range entrants() {
		if named && slices.Contains(names, e.String()) || !named && e.level == "" && v.has(e.profile) && (!given || e.profile != nil && v.file(e.profile).model != nil) {
			running = append(running, e)
		}
	}
	v.proveExports(running)
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
	v.options.readings(candidates, v.bytes())
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
	if p == nil {
		return
	}
	i := slices.IndexFunc(v.verdicts, func(f runtime.FileVerdict) bool { return f.File == v.nameOf(p) })
	if i < 0 { // it could not be exported: opening it reports why
		return
	}
	for _, c := range candidates {
		v.verdicts[i].Runtimes = append(v.verdicts[i].Runtimes, c.Name)
	}
}

// nameOf returns what reports call the model in a profile.
func (v *verification) nameOf(p export.Profile) string {
	return cmp.Or(v.file(p).path, "export in the profile "+p.Name())
}

// proveExports compares the exports of which no file was named with the checkpoint by
// structure, as it does files: what is proved needs fewer cases.
func (v *verification) proveExports(running []entrant) {
	for _, p := range v.profiles() {
		if v.file(p).model != nil || !slices.ContainsFunc(running, func(e entrant) bool { return e.profile != nil && e.profile.Name() == p.Name() }) {
			continue
		}
		m, err := v.exported.as(p)
		if err != nil { // opening it in a runtime reports it
			continue
		}
		v.verdicts = append(v.verdicts, structureOf(&v.exported, p, v.nameOf(p), m, m, compare.Result{}, nil))
	}
	v.exported.prepared, v.exported.model = normal.Model{}, nil
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

// For implements runtime.PerCase.
func (a announcing) For(c runtime.Case) runtime.Oracle {
	if p, ok := a.Oracle.(runtime.PerCase); ok {
		a.Oracle = p.For(c)
	}
	return a
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
		if v.file(e.profile).within == nil { // the nodes of a branch are no outputs of the file
			c.Locate = func(k runtime.Case, f runtime.Form) (runtime.Origin, error) { return v.locate(e, e.level, k, f) }
		}
		if m := v.file(e.profile).model; m != nil {
			c.DType = precision.ComputedIn(m)
		}
	case export.Flat:
		// The network in this form proves nothing about the plain one: it counts in the
		// verdict only if it was requested, by the runtime's name or as a file.
		c.Own = !named && v.file(e.profile).model == nil
		c.Gives = []role.Kind{role.Logits, role.Prediction}
		c.Runs = v.padded()
		c.Open = func() (runtime.Session, error) {
			s, err := v.open(e, e.level)
			if errors.Is(err, flat.ErrForm) { // the network may be right
				err = &runtime.UnavailableError{Runtime: e.String(), Reason: err.Error(), Remedy: "compare in the other runtimes"}
			}
			return s, err
		}
	}
	return c
}

// padded returns which cases a flat file can run: texts up to its length, or of
// this length if neither a causal attention nor a mask hides the padding. An export of a
// large network runs batches of up to two: onnx-go computes their rows one by one.
func (v *verification) padded() func(runtime.Case) bool {
	most := math.MaxInt
	if v.large() && v.file(export.Flat{}).model == nil {
		most = 2
	}
	_, err := model.Cached(v.graph, false)
	hidden := err == nil || v.graph.Input(role.Of(role.AttentionMask)) != nil
	return func(k runtime.Case) bool {
		return k.Batch <= most && k.Length <= v.length && (hidden || k.Length == v.length || k.Length == 0)
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
		whole := f.model
		if f.within != nil {
			whole = f.within.file
		}
		file, err := e.file(f.path, whole)
		if err != nil {
			return nil, err
		}
		s, err := e.Open(file, how)
		if f.within != nil && err == nil {
			s = f.within.session(s)
		}
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
func (v *verification) large() bool { return v.bytes() >= largeModel }

// bytes returns the size of the weights.
func (v *verification) bytes() (n int) {
	for _, w := range v.checkpoint.Weights {
		n += len(w.Data)
	}
	return n
}

// readingsUnasked bounds the bytes of weights of which the readings are derived unasked. They take
// a pass through the derivatives for each runtime, with every value in memory.
const readingsUnasked = 16 << 20

// readings asks candidates for their readings, of a large model on request.
func (o VerifyOptions) readings(candidates []runtime.Candidate, bytes int) {
	for i := range candidates {
		candidates[i].Readings = o.Readings || bytes <= readingsUnasked
	}
}

// in returns the options for running an entrant.
func (v *verification) in(e entrant, level string) runtime.Options {
	return runtime.Options{Library: e.libraryOf(v.options.Library), Device: e.device, AnyOf: v.severalDevices, Level: level, TF32: v.options.TF32, Turns: true}
}
