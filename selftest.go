package attnx

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/mutate"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// SelfTest is how verify judged a model with faults in it.
type SelfTest struct {
	Model string `json:"model"`
	Seed  uint64 `json:"seed"`
	SelfTestCount
	Kinds []SelfTestKind `json:"kinds"`
}

// SelfTestKind is the part of a SelfTest that is about one kind of faults.
type SelfTestKind struct {
	Kind string `json:"kind"`
	SelfTestCount
	Examples []string `json:"missed_at,omitempty"` // places of faults that were missed, and of ones located elsewhere
}

// SelfTestCount counts faults.
type SelfTestCount struct {
	Tried       int `json:"tried"`
	Faults      int `json:"faults"`       // that change an output by more than the bound
	Conditional int `json:"conditional"`  // of these, those that only certain sizes or ids show
	ByStructure int `json:"by_structure"` // faults caught before anything runs
	OnSamples   int `json:"on_samples"`   // faults that only samples show
	Missed      int `json:"missed"`
	// What the samples would find if structure were left out: faults, those of a known
	// first value, and those located there.
	Alone        int `json:"samples_alone"`
	AlonePlaced  int `json:"samples_alone_placed"`
	AloneLocated int `json:"samples_alone_located"`
	Placed       int `json:"placed"`     // caught faults whose first value is known
	Located      int `json:"located"`    // of these, those named there
	Equivalent   int `json:"equivalent"` // change no output by more than the bound
	Proved       int `json:"proved"`     // of these, those that structure proves to be equal
	Broken       int `json:"broken"`     // cannot be evaluated for any sample
}

func (c *SelfTestCount) add(d SelfTestCount) {
	for _, p := range [][2]*int{
		{&c.Tried, &d.Tried}, {&c.Faults, &d.Faults}, {&c.Conditional, &d.Conditional}, {&c.ByStructure, &d.ByStructure}, {&c.OnSamples, &d.OnSamples},
		{&c.Missed, &d.Missed}, {&c.Alone, &d.Alone}, {&c.AlonePlaced, &d.AlonePlaced}, {&c.AloneLocated, &d.AloneLocated}, {&c.Placed, &d.Placed}, {&c.Located, &d.Located}, {&c.Equivalent, &d.Equivalent}, {&c.Proved, &d.Proved}, {&c.Broken, &d.Broken},
	} {
		*p[0] += *p[1]
	}
}

// VerifySelf puts n seeded faults into a model and counts how many verify catches,
// where, and by which layer: see package mutate. paths are those of VerifyFiles: a
// checkpoint, with one ONNX file or in the profile plain, or an ONNX file of any
// tool. Whether a fault changes an output is measured by the oracle.
func VerifySelf(ctx context.Context, paths []string, n int, tell Tell, o VerifyOptions) (SelfTest, error) {
	if n < 1 || len(paths) > 2 {
		return SelfTest{}, errors.New("a self-test takes one fault or more, and one model with at most one of its files")
	}
	s := SelfTest{Model: paths[len(paths)-1], Seed: o.Seed}
	t, err := newSelfTest(paths, tell, o)
	if err != nil {
		return s, err
	}
	kinds := map[string]*SelfTestKind{}
	faults := mutate.Faults(t.base, n, o.Seed)
	if t.checkpoint != nil {
		more, err := t.graphFaults(max(1, n/5))
		if err != nil {
			return s, err
		}
		faults = append(faults, more...)
	}
	order := mutate.Kinds() // of the report
	for i, f := range faults {
		if err := context.Cause(ctx); err != nil {
			return s, err
		}
		if o.Progress != nil {
			o.Progress(f.Kind, i, len(faults))
		}
		k := kinds[f.Kind]
		if k == nil {
			k = &SelfTestKind{Kind: f.Kind}
			kinds[f.Kind] = k
		}
		count, example := t.try(f)
		k.add(count)
		if example != "" && len(k.Examples) < 3 {
			k.Examples = append(k.Examples, example)
		}
	}
	for _, k := range order {
		if kinds[k] != nil {
			s.Kinds = append(s.Kinds, *kinds[k])
			s.add(kinds[k].SelfTestCount)
		}
	}
	return s, nil
}

// selfTest is a model that faults are put into.
type selfTest struct {
	base *onnx.Model
	// checkpoint and profile are those of base; nil for a file of another tool.
	checkpoint *model.Checkpoint
	profile    export.Profile
	path       string
	samples    []sample
	judge      func(m *onnx.Model) judgement
	seed       uint64
	onnx       *ONNX
}

// judgement is what structure finds.
type judgement struct {
	layer runtime.Layer // identical, different or "": left to samples
	first string        // the first value that differs
}

// sample is an input, with the outputs of the model for it and their bounds in
// float32.
type sample struct {
	inputs, want map[string]format.Tensor
	bounds       runtime.Bounds
}

func newSelfTest(paths []string, tell Tell, o VerifyOptions) (*selfTest, error) {
	t := &selfTest{path: paths[len(paths)-1], seed: o.Seed}
	kind, err := find.ExpectModel(paths[0])
	if err == nil && kind == find.ONNX {
		t.path = find.ModelIn(paths[0])
		if t.base, err = find.ReadModelAs(t.path, onnx.CheckStructure); err != nil {
			return nil, err
		}
		t.judge = t.againstFile
	} else {
		c, _, err := find.Load(paths[0], tell, model.LoadModel)
		if err != nil {
			return nil, err
		}
		if len(paths) == 2 {
			t.path = find.ModelIn(paths[1])
			t.base, err = find.ReadModel(t.path)
		} else {
			t.path = "model.onnx"
			t.base, _, err = ExportModel(c, export.Plain{})
		}
		if err != nil {
			return nil, err
		}
		info, err := export.Describe(t.base)
		if err != nil {
			return nil, err
		}
		t.checkpoint = c
		if t.profile, _, err = profileOf(t.base, info); err != nil {
			return nil, err
		}
		e := &exported{checkpoint: c}
		t.judge = func(m *onnx.Model) judgement { return againstCheckpoint(e, t.path, m, info) }
	}
	for _, x := range t.base.Graph.Initializers { // faults change elements
		raw, err := x.Load(filepath.Dir(t.path))
		if err != nil {
			return nil, err
		}
		x.Raw, x.External = raw, nil
	}
	t.onnx = &ONNX{Path: t.path, File: t.base}
	if t.onnx.inputs, err = inputsOf(t.base); err != nil {
		return nil, err
	}
	return t, t.drawSamples(o)
}

// selfTestBudget is the tokens of the samples of a self-test, which run for each fault.
const selfTestBudget = 1024

// drawSamples makes the samples that verify runs: the designed cases of a checkpoint, or
// those that are drawn for an ONNX file.
func (t *selfTest) drawSamples(o VerifyOptions) error {
	var all []map[string]format.Tensor
	switch {
	case t.checkpoint != nil && isCache(t.profile):
		cases, _ := runtime.PastCases(cacheShape(t.checkpoint, t.base), t.checkpoint.IDs(), max(8, cmp.Or(o.Budget, selfTestBudget)/16), o.Seed)
		for _, k := range cases {
			all = append(all, k.Inputs())
		}
	case t.checkpoint != nil:
		g := t.checkpoint.Graph
		cases, err := runtime.CasesOf(ref.Inputs(g), g.Context, cmp.Or(o.Budget, selfTestBudget), o.Seed)
		if err != nil {
			return err
		}
		for _, k := range cases {
			all = append(all, k.Inputs())
		}
	default:
		for i, open := range foreignCases {
			inputs, _, err := t.onnx.draw(nil, t.seed+uint64(i), open)
			if err != nil {
				return err
			}
			all = append(all, inputs)
		}
		texts, ok := t.onnx.textsOf(t.seed, cmp.Or(o.Budget, selfTestBudget))
		if !ok {
			break
		}
		d, err := texts.design()
		if err != nil {
			return err
		}
		for _, k := range d.cases {
			x, err := t.sample(k.Inputs())
			if err != nil {
				return fmt.Errorf("%s: %s: %w", t.path, k.Case, err)
			}
			if x.bounds.Unknown == "" {
				t.samples = append(t.samples, x)
			}
		}
	}
	for _, inputs := range all {
		x, err := t.sample(inputs)
		if err != nil {
			return fmt.Errorf("%s: %w", t.path, err)
		}
		t.samples = append(t.samples, x)
	}
	return nil
}

// graphFaults returns faults of the checkpoint's graph, as an exporter would have them
// that writes another network under the checkpoint's name.
func (t *selfTest) graphFaults(n int) (faults []mutate.Fault, err error) {
	changed, err := mutate.Graphs(t.checkpoint.Graph, 3*n, t.seed)
	if err != nil {
		return nil, err
	}
	for _, f := range changed {
		c := *t.checkpoint
		c.Graph = f.Graph
		m, _, err := ExportModel(&c, t.profile)
		if err != nil || len(faults) == n { // a network that has no such form
			continue
		}
		m.Metadata = t.base.Metadata
		for layer, n := range t.checkpoint.Attentions() { // with a past, an attention begins with its keys and values
			if isCache(t.profile) && n.Name() == f.Value {
				f.Also = append(f.Also, role.Layered(role.PresentKey, layer).Name(), role.Layered(role.PresentValue, layer).Name())
			}
		}
		faults = append(faults, mutate.Whole(f.Fault, m))
	}
	return faults, nil
}

// sample returns the model's outputs for an input, and their bounds.
func (t *selfTest) sample(inputs map[string]format.Tensor) (sample, error) {
	r, err := readFor(t.base, filepath.Dir(t.path), inputs)
	if err != nil {
		return sample{}, err
	}
	s, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		return sample{}, err
	}
	b, err := s.Bounds(inputs, runtime.Numbers{})
	if err != nil {
		return sample{}, err
	}
	return sample{inputs, kept(b.Outputs), b.Bounds[0]}, nil
}

// kept returns copies of tensors that are valid until the next run.
func kept(out map[string]format.Tensor) map[string]format.Tensor {
	all := map[string]format.Tensor{}
	for name, t := range out {
		t.Data = slices.Clone(t.Data)
		all[name] = t
	}
	return all
}

// evaluated returns the outputs of a model in float64.
func evaluated(m *onnx.Model, path string, inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	r, err := readFor(m, filepath.Dir(path), inputs)
	if err != nil {
		return nil, err
	}
	s, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		return nil, err
	}
	out, err := s.Run(inputs)
	if err != nil {
		return nil, err
	}
	return kept(out), nil
}

func againstCheckpoint(e *exported, path string, m *onnx.Model, info export.Info) judgement {
	checks, file, err := compareFile(e, path, m, info)
	if err != nil {
		return judgement{layer: runtime.DifferentLayer}
	}
	for _, c := range checks {
		if c.Status == runtime.StatusFail {
			return judgement{runtime.DifferentLayer, c.FirstDifference}
		}
	}
	return judgement{file.verdict.Layer, file.verdict.FirstDifference}
}

// againstFile judges as VerifyONNX does between two files.
func (t *selfTest) againstFile(m *onnx.Model) judgement {
	dir := filepath.Dir(t.path)
	v := filesAlike(Stored{t.base, dir}, Stored{m, dir}, nil, nil)
	return judgement{v.Layer, v.FirstDifference}
}

// try puts one fault into the model.
func (t *selfTest) try(f mutate.Fault) (c SelfTestCount, example string) {
	c.Tried = 1
	m := f.Apply(t.base)
	found := t.judge(m)
	at, evaluable := t.differs(m, t.samples)
	onSamples := at >= 0
	changes := onSamples
	if f.When != nil {
		witness, err := t.witness(*f.When)
		if err != nil { // no admissible input shows it
			c.Equivalent = 1
			return c, ""
		}
		shown, evaluated := t.differs(m, []sample{witness})
		changes, evaluable = changes || shown >= 0 || evaluable && !evaluated, evaluable || evaluated
	}
	switch {
	case !evaluable:
		c.Broken = 1
		return c, ""
	case !changes:
		if c.Equivalent = 1; found.layer == runtime.IdenticalLayer {
			c.Proved = 1
		}
		return c, ""
	}
	c.Faults = 1
	if f.When != nil {
		c.Conditional = 1
	}
	switch {
	case found.layer == runtime.DifferentLayer:
		c.ByStructure = 1
		if f.Value != "" {
			if c.Placed = 1; f.At(found.first) {
				c.Located = 1
			} else {
				example = f.Place + ", located at " + cmp.Or(found.first, "no value")
			}
		}
	case found.layer == "" && onSamples:
		c.OnSamples = 1
	default:
		c.Missed, example = 1, f.Place
	}
	if onSamples {
		c.Alone = 1
		if first, err := t.locate(m, t.samples[at].inputs); f.Value != "" && err == nil {
			if c.AlonePlaced = 1; f.At(first) {
				c.AloneLocated = 1
			} else if example == "" {
				example = f.Place + ", located by samples at " + cmp.Or(first, "no value")
			}
		}
	}
	return c, example
}

// locate returns the first value of a model that departs from the base for an input, as
// verify finds it between two files.
func (t *selfTest) locate(m *onnx.Model, inputs map[string]format.Tensor) (string, error) {
	dir := filepath.Dir(t.path)
	first, other := &cuts{cut.Of(t.base), dir}, &cuts{cut.Of(m), dir}
	s := &fileSearch{first: first, other: other, counterpart: sameNames(first, other), computed: format.Float32}
	f, err := s.find(inputs, inputs)
	if f == nil || err != nil {
		return "", err
	}
	return f.origin().Value, nil
}

// differs returns the first sample for which an output of a model is beyond its derived bound
// in float32; -1 if there is none. It also returns whether the oracle could compute one. If
// it can compute some, the others differ.
func (t *selfTest) differs(m *onnx.Model, samples []sample) (at int, evaluable bool) {
	failed := -1
	for i, s := range samples {
		got, err := evaluated(m, t.path, s.inputs)
		if err != nil {
			if failed < 0 {
				failed = i
			}
			if !evaluable && i >= 3 { // it computes nothing
				return -1, false
			}
			continue
		}
		evaluable = true
		for name, want := range s.want {
			x, ok := got[name]
			// Where no bound is known, nothing is a difference.
			if d := runtime.Compare(want, x, s.bounds.Of[name]); !ok || d.FirstBad != nil || d.Reason != "" {
				return i, true
			}
		}
	}
	if !evaluable {
		return -1, false
	}
	return failed, true
}

// witness returns an input that shows a conditional fault.
func (t *selfTest) witness(w mutate.When) (sample, error) {
	for length := 1; length < 64; length++ {
		open := openSizes{batch: 2, length: length}
		if w.Axis == 0 {
			open = openSizes{batch: w.Is + 1, length: 3}
		}
		for range 2 {
			inputs, _, err := t.onnx.draw(nil, t.seed, open)
			if err != nil {
				return sample{}, err
			}
			x := inputs[w.Input]
			if w.Axis < 0 && x.DType == format.Int64 && len(x.Data) >= 8 {
				x.Data = slices.Clone(x.Data)
				binary.LittleEndian.PutUint64(x.Data, uint64(w.Is))
				inputs[w.Input] = x
			} else if w.Axis < 0 || w.Axis >= len(x.Shape) || x.Shape[w.Axis] != w.Is && !(w.Beyond && x.Shape[w.Axis] > w.Is) {
				open.batch--
				continue
			}
			return t.sample(inputs)
		}
	}
	return sample{}, fmt.Errorf("no input %s has %d", w.Input, w.Is)
}

// WriteText writes the counts as a table.
func (s SelfTest) WriteText(w io.Writer) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "tried\tfaults\tstructure\tsamples\tmissed\tlocated\talone\tlocated\tsame\tbroken\t\x20kind")
	row := func(name string, c SelfTestCount) {
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%d\t%d/%d\t%d\t%d/%d\t%d\t%d\t %s\n", c.Tried, c.Faults, c.ByStructure, c.OnSamples, c.Missed, c.Located, c.Placed, c.Alone, c.AloneLocated, c.AlonePlaced, c.Equivalent, c.Broken, name)
	}
	for _, k := range s.Kinds {
		row(k.Kind, k.SelfTestCount)
	}
	row("all", s.SelfTestCount)
	tw.Flush() // a strings.Builder never fails
	for _, k := range s.Kinds {
		for _, e := range k.Examples {
			fmt.Fprintf(&b, "%s: %s\n", k.Kind, e)
		}
	}
	fmt.Fprintf(&b, "%s: %d of %d faults caught, %d by structure; %d of %d located at the right value; samples alone would find %d\n", s.Model, s.ByStructure+s.OnSamples, s.Faults, s.ByStructure, s.Located, s.Placed, s.Alone)
	_, err := io.WriteString(w, b.String())
	return err
}
