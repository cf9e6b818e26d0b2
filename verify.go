package attnx

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

// The runtimes that verify knows, in the order of the report. ref is the
// oracle on the network written with primitive operators, rounded to float32:
// it checks the decompositions, and its error is the least that any float32
// runtime can have.
// Those that end in -cache run the network with a past, in every way that a
// text can be computed then.
var allRuntimes = []string{"ref", "gorgonia", "ort-cpu", "ort-cpu-cache", "ort-cuda", "ort-cuda-cache", "onnx-go"}

// verification is a checkpoint and the ONNX files that claim to be the same
// model.
type verification struct {
	checkpoint *model.Checkpoint
	graph      *graph.Graph
	options    VerifyOptions
	files      map[export.Profile]onnxModel // at most one of each
	withCUDA   bool                         // it will be run on CUDA, too
	length     int                          // of flat's sequence
	checks     []runtime.Check              // of the files
}

// flatLength is the length of the flat network that is made where no file of
// one is named. onnx-go computes every text at the full length and keeps every
// value: GPT-2's context takes 14 GB, and more time than all other runtimes.
const flatLength = 128

// onnxModel is where a runtime finds an ONNX model: in a file, or, where none
// was named, in an export that is made in memory.
type onnxModel struct {
	path  string
	model *onnx.Model       // of path
	form  Form              // how export writes it from the checkpoint
	names map[string]string // export's names of its values
}

// Runtimes returns the names of the runtimes that Verify knows.
func Runtimes() []string { return slices.Clone(allRuntimes) }

// VerifyOptions are what Verify runs, and where.
type VerifyOptions struct {
	Runtimes []string // that must be there and agree; nil: all that are there
	Seed     uint64   // of the ids
	Library  string   // path of the ONNX Runtime library; empty: the one that is found
	TF32     bool     // CUDA may use TF32, which rounds products to 10 bits
	Progress Progress // nil: nobody is told
}

// Progress is told which runtime begins to run, and for how many tokens of all
// every runtime has given the logits.
type Progress func(runtime string, done, total int)

// Verify compares ONNX files with a checkpoint, and runs the network in every
// runtime and compares it with the same network evaluated in float64. A profile
// without a file is exported in memory. It refuses a file that was made from
// another network.
func Verify(ctx context.Context, c *model.Checkpoint, files []string, o VerifyOptions) (runtime.Report, error) {
	v, err := newVerification(c, files, o)
	if err != nil {
		return runtime.Report{}, err
	}
	return v.run(ctx)
}

// newVerification reads the files.
func newVerification(c *model.Checkpoint, files []string, o VerifyOptions) (*verification, error) {
	for _, name := range o.Runtimes {
		if !slices.Contains(allRuntimes, name) {
			return nil, fmt.Errorf("no runtime is called %.80q: take %s", name, strings.Join(allRuntimes, ", "))
		}
	}
	v := &verification{checkpoint: c, graph: c.Graph, options: o, files: map[export.Profile]onnxModel{}, length: flatLength}
	if n := c.Context(); n > 0 {
		v.length = min(n, flatLength)
	}
	for _, path := range files {
		if err := v.read(path); err != nil {
			return nil, err
		}
	}
	return v, nil
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
	if m.Metadata[bundle.MetaWeightsSHA256] != "" { // otherwise another tool moved them: they are compared all the same
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
	if info.Profile == export.Train {
		return &Error{Err: fmt.Errorf("%s: it holds a training step, and verify compares logits", path), Do: ExportPlain}
	}
	want, err := fileFingerprint(v.checkpoint, info.Profile, m)
	if err != nil {
		return err
	}
	if hasGraph(m) && info.Fingerprint != want {
		return fmt.Errorf("%s: its network is not the checkpoint's (fingerprint %.12s, checkpoint %.12s): export the checkpoint again", path, info.Fingerprint, want)
	}
	if other, twice := v.files[info.Profile]; twice {
		return fmt.Errorf("%s: %s has the profile %s too: verify them one at a time", path, other.path, info.Profile)
	}
	checks, file, err := compareFile(v.checkpoint, path, m, info)
	if err != nil {
		return err
	}
	v.checks = append(v.checks, checks...)
	if file.form.Quantize != "" {
		return nil // no bound on single values tells a right file from a wrong one: it is compared and not run
	}
	v.files[info.Profile] = file
	if info.Profile == export.Flat {
		v.length = file.form.Length
	}
	return nil
}

// run verifies the named runtimes, or all of them.
func (v *verification) run(ctx context.Context) (runtime.Report, error) {
	names := v.options.Runtimes
	v.withCUDA = len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "ort-cuda") })
	var candidates []runtime.Candidate
	past := false
	for _, name := range allRuntimes {
		switch {
		case len(names) > 0 && !slices.Contains(names, name):
		case len(names) == 0 && !v.has(name):
		case strings.HasSuffix(name, cacheSuffix):
			past = true
			candidates = append(candidates, v.cachedCandidates(name, len(names) > 0)...)
		default:
			candidates = append(candidates, v.candidate(name, len(names) > 0))
		}
	}
	oracle, err := v.oracle(past)
	if err != nil {
		return runtime.Report{}, err
	}
	cases, err := runtime.CasesOf(ref.Inputs(v.graph), v.graph.Context, v.options.Seed)
	if err != nil {
		return runtime.Report{}, err
	}
	if v.options.Progress != nil {
		oracle = watch(v.options.Progress, oracle, candidates, cases)
	}
	report, err := runtime.Verify(ctx, oracle, candidates, cases)
	return report.With(v.checks), err
}

// has reports whether the network, or a file that was named, has the form that a
// runtime runs. Only where no token depends on those after it can the network
// have a past, and its text be padded as the profile flat does.
func (v *verification) has(name string) bool {
	profile := export.Plain
	switch {
	case strings.HasSuffix(name, cacheSuffix):
		profile = export.Cache
	case name == "onnx-go":
		profile = export.Flat
	}
	if profile == export.Plain || v.files[profile].model != nil {
		return true
	}
	_, err := model.Cached(v.graph, false)
	return err == nil
}

// watch tells what is run, and for how many tokens every runtime has given the
// logits. A large model takes minutes.
func watch(progress Progress, oracle runtime.Session, candidates []runtime.Candidate, cases []runtime.Case) (watched runtime.Session) {
	total := 0
	for _, c := range cases {
		total += c.Tokens()
	}
	finished, begun, next := 0, 0, 0
	for i := range candidates {
		c := &candidates[i]
		open := c.Open
		c.Open = func() (runtime.Session, error) {
			s, err := open()
			if err != nil {
				return nil, err
			}
			return telling{s, func() { progress(c.Name, finished, total) }}, nil
		}
	}
	return telling{oracle, func() { // the first to be given a case
		finished, begun = finished+begun, cases[next].Tokens()
		next++
		progress(runtime.OracleName, finished, total)
	}}
}

// telling is a session that tells of a run before it begins.
type telling struct {
	runtime.Session
	tell func()
}

func (t telling) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	t.tell()
	return t.Session.Run(inputs)
}

func (v *verification) candidate(name string, named bool) runtime.Candidate {
	c := runtime.Candidate{Name: name, Named: named}
	switch name {
	case "ref":
		c.Own = true
		c.Open = func() (runtime.Session, error) {
			g, err := graph.DecomposeAll(v.graph)
			if err != nil {
				return nil, err
			}
			s, err := ref.New(g, v.checkpoint.Weights)
			return rounded{s}, err
		}
	case "gorgonia":
		c.Own = true
		c.Open = func() (runtime.Session, error) { return gorgonia.NewForward(v.graph, v.checkpoint.Weights) }
	case "ort-cpu", "ort-cuda":
		device := strings.TrimPrefix(name, "ort-")
		c.Open = func() (runtime.Session, error) { return v.openORT(device) }
		c.Locate = func(k runtime.Case, f runtime.Form) (string, error) {
			return v.locate(export.Plain, device, ort.OptimizeAll, k, f)
		}
		if m := v.files[export.Plain].model; m != nil {
			c.DType = precision.ComputedIn(m)
		}
	case "onnx-go":
		// It runs the flat file: no evidence for the plain one, so that it
		// makes a verdict only where it is asked for by name.
		c.Own = !named
		c.Gives = []role.Kind{role.Logits}
		c.Open = v.openONNXGo
		c.Runs = func(k runtime.Case) bool { return k.Length <= v.length }
	}
	return c
}

// rounded hands out a session's float64 results as float32.
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

// inORT says how to run in ONNX Runtime, which may not be there.
func (v *verification) inORT(device string) (ort.Options, error) {
	build := device
	if v.withCUDA && device == "cpu" {
		build = "auto" // a process loads one library: it must be the one that CUDA needs
	}
	lib, err := library.Find(v.options.Library, build)
	return ort.Options{Library: lib.Path, Device: device, CUDA: ort.CUDAOptions{TF32: v.options.TF32}}, onDevice(err, device)
}

// onDevice says of a library that is not there, or that this program cannot
// use, which runtime is unavailable by it: CUDA needs it too.
func onDevice(err error, device string) error {
	var gone *runtime.UnavailableError
	if errors.As(err, &gone) && gone.Runtime == "ort-cpu" {
		return &runtime.UnavailableError{Runtime: "ort-" + device, Reason: gone.Reason, Remedy: gone.Remedy}
	}
	return err
}

func (v *verification) openORT(device string) (s runtime.Session, err error) {
	defer func() { err = onDevice(err, device) }()
	o, err := v.inORT(device)
	if err != nil {
		return nil, err
	}
	if v.files[export.Plain].model != nil { // by its path: the weights may lie beside it
		return ort.Open(v.files[export.Plain].path, o)
	}
	data, err := Form{Options: export.Options{Profile: export.Plain}}.Bytes(v.checkpoint)
	if err != nil {
		return nil, err
	}
	return ort.OpenBytes(data, o)
}

func (v *verification) openONNXGo() (runtime.Session, error) {
	if f := v.files[export.Flat]; f.model != nil {
		return openFlat(f.path, f.model)
	}
	data, err := Form{Options: export.Options{Profile: export.Flat, Length: v.length}}.Bytes(v.checkpoint)
	if err != nil {
		return nil, err
	}
	return onnxgo.OpenBytes(data)
}
