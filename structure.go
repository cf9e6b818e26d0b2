package attnx

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/compare"
	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/normal"
	"github.com/attnx/attnx/runtime"
)

// Stored is an ONNX model and the folder of its external data.
type Stored struct {
	Model *onnx.Model
	Dir   string
}

// Identical reports whether b computes what a does, for every input that a takes,
// as far as structure can prove it: see package normal. A file that cannot be read
// as a graph with open sizes gives an error: nothing is proved.
func Identical(a, b Stored) (normal.Result, error) { return identicalAs(a, b, nil, nil) }

// identicalAs is Identical for files whose inputs and outputs may have other names:
// the maps hold the names in a, by name in b.
func identicalAs(a, b Stored, inputs, outputs map[string]string) (normal.Result, error) {
	in, out := as(inputs), as(outputs)
	if r := declaredAlike(a.Model, b.Model, in, out); r != "" {
		return normal.Result{Reason: r}, nil
	}
	first, err := readWhole(a, nil, as(nil))
	if err != nil {
		return normal.Result{}, err
	}
	x := normal.Model{Graph: first.Graph, Weights: first.Weights}
	second, err := readWhole(b, x.Graph.Inputs, in)
	if err != nil {
		return normal.Result{}, err
	}
	y := normal.Model{Graph: second.Graph, Weights: second.Weights}
	for _, v := range y.Graph.Inputs {
		v.Name = in(v.Name)
	}
	for i := range y.Graph.Outputs {
		y.Graph.Outputs[i].Name = out(y.Graph.Outputs[i].Name)
	}
	r, err := normal.Identical(x, y, normal.Options{})
	if extra := cmp.Or(extraNodes(a.Model, b.Model), second.Contradiction); r.Identical && extra != "" && (extra != second.Contradiction || extra != first.Contradiction) {
		r = normal.Result{Reason: extra}
	}
	if r.Identical && (first.Assumes || second.Assumes) {
		r = normal.Result{Reason: assumes}
	}
	return r, err
}

// assumes is why files that read.Result.Assumes are not proved: they were read for long
// enough axes alone.
const assumes = "a Slice ends at a number of an open axis, which may be shorter"

// as returns the function that looks a name up, and leaves one that is not there.
func as(names map[string]string) func(string) string {
	return func(name string) string { return cmp.Or(names[name], name) }
}

// readOpen reads a file with its sizes left open. Its named dimensions get the
// names that the same inputs have elsewhere, where they are called as called says.
func readOpen(f Stored, like []*graph.Value, called func(string) string) (normal.Model, error) {
	r, err := readWhole(f, like, called)
	if err != nil {
		return normal.Model{}, err
	}
	return normal.Model{Graph: r.Graph, Weights: r.Weights}, nil
}

// readWhole is readOpen with everything that was read.
func readWhole(f Stored, like []*graph.Value, called func(string) string) (*read.Result, error) {
	m, g := *f.Model, *f.Model.Graph
	g.Inputs = slices.Clone(g.Inputs)
	names := map[string]string{} // of dimensions, by name in the file
	for i, in := range g.Inputs {
		at := slices.IndexFunc(like, func(v *graph.Value) bool { return v.Name == called(in.Name) })
		if at < 0 || in.NoShape || len(like[at].Shape) != len(in.Dims) {
			continue
		}
		in.Dims = slices.Clone(in.Dims)
		for axis, d := range like[at].Shape {
			if _, fixed := d.Number(); in.Dims[axis].Open && !fixed {
				names[in.Dims[axis].Param] = d.String()
				in.Dims[axis].Param = d.String()
			}
		}
		g.Inputs[i] = in
	}
	g.Values, g.Outputs = renamedDims(g.Values, names), renamedDims(g.Outputs, names)
	m.Graph = &g
	return read.Model(&m, read.Options{Dir: f.Dir})
}

// renamedDims returns declared values with other names of their dimensions.
func renamedDims(values []onnx.ValueInfo, names map[string]string) []onnx.ValueInfo {
	values = slices.Clone(values)
	for i, v := range values {
		values[i].Dims = slices.Clone(v.Dims)
		for axis, d := range v.Dims {
			if to, ok := names[d.Param]; ok && d.Open && d.Param != "" {
				values[i].Dims[axis].Param = to
			}
		}
	}
	return values
}

// network returns the network of the checkpoint in the form of a profile: what a
// file of the profile is compared with.
func (e *exported) network(p export.Profile) (normal.Model, error) {
	if e.prepared.Graph == nil || e.preparedFor != p {
		m, err := networkOf(e.checkpoint, p)
		if err == nil {
			m, err = normal.Prepare(m)
		}
		if err != nil {
			return normal.Model{}, err
		}
		e.prepared, e.preparedFor = m, p
	}
	return e.prepared, nil
}

func networkOf(c *model.Checkpoint, p export.Profile) (normal.Model, error) {
	switch p := p.(type) {
	case export.Cache:
		g, err := model.Cached(c.Graph, p.LastLogits)
		return normal.Model{Graph: g, Weights: c.Weights}, err
	case export.Flat:
		length := p.Length
		if length == 0 {
			length = max(c.Context(), 1)
		}
		g, weights, err := flat.Write(c.Graph, c.Weights, length)
		return normal.Model{Graph: g, Weights: weights}, err
	}
	return normal.Model{Graph: c.Graph, Weights: c.Weights}, nil
}

// proved compares a file with a checkpoint by structure. want is what export
// writes in the file's profile.
func proved(e *exported, p export.Profile, path string, m, want *onnx.Model) (r normal.Result, err error) {
	if r := declaredAlike(want, m, as(nil), as(nil)); r != "" {
		return normal.Result{Reason: r}, nil
	}
	network, err := e.network(p)
	if err != nil {
		return normal.Result{}, err
	}
	whole, err := readWhole(Stored{m, filepath.Dir(path)}, network.Graph.Inputs, as(nil))
	if err != nil {
		return normal.Result{}, err
	}
	extra := cmp.Or(whole.Contradiction, extraNodes(want, m))
	if extra == "" && whole.Assumes {
		extra = assumes
	}
	if extra != "" {
		defer func() {
			if r.Identical {
				r = normal.Result{Reason: extra}
			}
		}()
	}
	file := normal.Model{Graph: whole.Graph, Weights: whole.Weights}
	numbers := p.Numbers()
	if numbers.Quantize == "" {
		r, err := normal.Identical(network, file, normal.Options{Rounded: numbers.DType != format.Invalid})
		if err != nil || !r.Identical || numbers.DType == format.Invalid {
			return r, err
		}
	}
	// The types that each value is computed in, and integer weights, are those that
	// export writes.
	exported, err := readOpen(Stored{Model: want}, network.Graph.Inputs, as(nil))
	if err != nil {
		return normal.Result{}, err
	}
	return normal.Identical(exported, file, normal.Options{})
}

// What the verdict on an identical file rests on.
const (
	restsOnGraph  = "its graph is the checkpoint's, each weight bit for bit"
	restsOnRounds = "its graph is the checkpoint's, each weight the rounding of it"
	restsOnExport = "its graph and weights are those that export writes, node by node"
)

// structureOf judges a file by its structure. want is what export writes, and found
// and checks the comparison with it. A proof of a float32 file also settles parts
// of that comparison that another tool wrote otherwise.
func structureOf(e *exported, p export.Profile, path string, m, want *onnx.Model, found compare.Result, checks []runtime.Check) runtime.FileVerdict {
	v := runtime.FileVerdict{File: path}
	departures := len(found.Initializers.Departures) + len(found.Nodes.Departures)
	r, err := proved(e, p, path, m, want)
	switch {
	case err == nil && r.Identical:
		v.Layer, v.RestsOn = runtime.IdenticalLayer, restsOnGraph
		switch n := p.Numbers(); {
		case n.Quantize != "":
			v.RestsOn = restsOnExport
		case n.DType != format.Invalid:
			v.RestsOn = restsOnRounds
		}
		if p.Numbers().Changes() && departures > 0 { // what counts there is in no equation: how a runtime may round
			v.Layer, v.RestsOn = "", ""
			break
		}
		for i := range checks[:min(2, len(checks))] {
			checks[i] = runtime.Check{File: path, Part: checks[i].Part, Status: runtime.StatusOK, Compared: checks[i].Total, Total: checks[i].Total}
		}
	case err != nil && departures == 0 && found.Whole() && slices.Equal(m.Opsets, want.Opsets) && declaresAlike(m, want, found.Names):
		v.Layer, v.RestsOn = runtime.IdenticalLayer, restsOnExport
	case err != nil:
		v.Reason = err.Error()
	default:
		v.FirstDifference, v.Reason = cmp.Or(r.A, r.B), strings.ReplaceAll(r.Reason, "the second graph", "the file")
	}
	return v
}
