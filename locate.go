package attnx

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// locate finds the first value, by name, in which a file deviates from the exporter's
// output for the checkpoint, for a case that failed. Both run in the runtime that failed,
// with every value as an output. If they agree, or no file was named, the runtime or the
// exporter is wrong: locate then returns the first value that deviates from the oracle.
func (v *verification) locate(e entrant, level string, k runtime.Case, f runtime.Form) (runtime.Origin, error) {
	value, err := v.firstDifference(e, level, k, f)
	return runtime.Origin{Value: value}, err
}

func (v *verification) firstDifference(e entrant, level string, k runtime.Case, f runtime.Form) (string, error) {
	file := v.file(e.profile)
	lowered, err := v.lowered(file.profile)
	if err != nil {
		return "", err
	}
	open := func(data []byte) (runtime.Session, error) { return e.Open(runtime.File{Data: data}, v.in(e, level)) }
	want, err := v.exported.as(file.profile)
	if err != nil {
		return "", err
	}
	var order []string
	for x := range lowered.Values() {
		if x.DType.Float() && !x.Leaf() {
			order = append(order, x.Name)
		}
	}
	ours, err := openMarked(want, "", nil, order, open)
	if err != nil {
		return "", err
	}
	defer ours.Close()
	if file.model != nil {
		m, err := find.ReadModel(file.path)
		if err != nil {
			return "", err
		}
		theirs, err := openMarked(m, filepath.Dir(file.path), file.names, order, open)
		if err != nil {
			return "", err
		}
		defer theirs.Close()
		twins := &runtime.Twins{Got: theirs, Want: ours, Order: order, Computed: precision.ComputedIn(want)}
		if _, err := f.Of(twins).Run(k.Inputs()); err != nil || twins.First != "" {
			return twins.First, err
		}
	}
	if isCache(file.profile) {
		return "", nil
	}
	return v.locateByOracle(lowered, ours, k)
}

// lowered returns the network with the values of a profile's files.
func (v *verification) lowered(p export.Profile) (*graph.Graph, error) {
	g := v.graph
	if isCache(p) {
		var err error
		if g, err = model.Cached(g, false); err != nil {
			return nil, err
		}
	}
	return export.Lower(g)
}

// locateByOracle compares the values of a session with the oracle's.
func (v *verification) locateByOracle(lowered *graph.Graph, s runtime.Marked, k runtime.Case) (string, error) {
	out, err := s.Run(k.Inputs())
	if err != nil {
		return "", err
	}
	oracle, err := ref.New(lowered, v.checkpoint.Weights)
	if err != nil {
		return "", err
	}
	all, err := oracle.All(k.Inputs())
	if err != nil {
		return "", err
	}
	var want, have []format.Tensor
	for x := range lowered.Values() {
		if t, ok := all[x.Name]; ok && t.DType.Float() {
			want = append(want, t.WithName(x.Name))
		}
	}
	for name, t := range out {
		have = append(have, t.WithName(cmp.Or(s.Values[name], name)))
	}
	var numbers runtime.Numbers
	if m := v.file(export.Plain{}).model; m != nil {
		numbers.DType = precision.ComputedIn(m)
	}
	names := make([]string, len(want))
	for i, t := range want {
		names[i] = t.Name
	}
	bounds, err := oracle.ValueBounds(k.Inputs(), numbers, names...)
	return runtime.FirstDifference(want, bounds, have), err
}

// openMarked opens a model, whose weights may be in dir, with the wanted values
// as outputs. names maps its values to the exporter's names; nil: they are the
// same.
func openMarked(m *onnx.Model, dir string, names map[string]string, wanted []string, open func([]byte) (runtime.Session, error)) (runtime.Marked, error) {
	marked, values := onnx.MarkOutputs(m, func(v string) bool { return slices.Contains(wanted, cmp.Or(names[v], v)) })
	for out, v := range values {
		values[out] = cmp.Or(names[v], v)
	}
	data, err := inlined(marked, dir)
	if err != nil {
		return runtime.Marked{}, err
	}
	s, err := open(data)
	return runtime.Marked{Session: s, Values: values}, err
}
