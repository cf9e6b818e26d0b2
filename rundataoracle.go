package attnx

import (
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// oracleData runs a file with sequences and optional values of numbers in the oracle. The
// file is read again for the structure of the inputs of each run.
type oracleData struct{ *kinded }

// hasWords reports whether an input or output of the file is not made of tensors of
// numbers: it has strings or a map. The oracle has numbers only.
func (x *kinded) hasWords() bool {
	all := x.all
	for _, out := range x.File.Graph.Outputs {
		all = append(all[:len(all):len(all)], typeOf(out))
	}
	for _, t := range all {
		for t != nil && (t.Kind == onnx.SequenceType || t.Kind == onnx.OptionalType) {
			t = t.Elem
		}
		if t == nil || !isNumbers(t) {
			return true
		}
	}
	return false
}

// typeOf returns the type of an input or output.
func typeOf(v onnx.ValueInfo) *onnx.Type {
	if v.Other != nil {
		return v.Other
	}
	return &onnx.Type{Kind: onnx.TensorType, DataType: v.DataType, Dims: v.Dims, NoShape: v.NoShape}
}

// RunData implements runtime.DataSession. Outputs of floating-point numbers are F64.
func (o oracleData) RunData(inputs map[string]runtime.Datum) (map[string]runtime.Datum, error) {
	how := read.Options{Dir: filepath.Dir(o.Path), Shapes: map[string][]int{}, Values: map[string]format.Tensor{}, Parts: map[string]read.Part{}}
	for i, name := range o.names {
		d := inputs[name]
		if o.all[i].Kind != onnx.TensorType {
			how.Parts[name] = partsOf(d)
			continue
		}
		if d.Tensor == nil {
			return nil, fmt.Errorf("%s: input %.80q is %s, not a tensor of numbers", o.Path, name, d.Kind())
		}
		how.Shapes[name], how.Values[name] = d.Tensor.Shape, *d.Tensor
	}
	r, err := read.Model(o.File, how)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	oracle, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	defer oracle.Close()
	given := how.Values
	for name, named := range r.Inputs {
		give(given, how.Parts[name], named)
	}
	results, err := oracle.Run(given)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	outputs := map[string]runtime.Datum{}
	for _, out := range o.File.Graph.Outputs {
		part, ok := r.Outputs[out.Name]
		if !ok {
			part = read.Part{Tensor: &format.Tensor{Name: out.Name}}
		}
		outputs[out.Name] = datumFrom(part, results)
	}
	return outputs, nil
}

// Stop implements runtime.DataSession. The oracle runs no loop whose end is not known.
func (oracleData) Stop() {}

// Close implements runtime.DataSession.
func (oracleData) Close() error { return nil }

// Place implements runtime.Placed.
func (oracleData) Place() runtime.Place { return runtime.Place{Runtime: oracleName} }

// partsOf converts a value without strings and maps.
func partsOf(d runtime.Datum) read.Part {
	if d.List == nil {
		return read.Part{Tensor: d.Tensor}
	}
	all := make([]read.Part, len(*d.List))
	for i, item := range *d.List {
		all[i] = partsOf(item)
	}
	return read.Part{List: &all}
}

// give adds the tensors of a part under the names that they have in the graph.
func give(inputs map[string]format.Tensor, p, named read.Part) {
	if p.Tensor != nil {
		inputs[named.Tensor.Name] = *p.Tensor
	}
	if p.List != nil {
		for i, item := range *p.List {
			give(inputs, item, (*named.List)[i])
		}
	}
}

// datumFrom returns a part with the results of the graph.
func datumFrom(p read.Part, results map[string]format.Tensor) runtime.Datum {
	switch {
	case p.Tensor != nil:
		t := results[p.Tensor.Name]
		return runtime.Datum{Tensor: &t}
	case p.List != nil:
		all := make([]runtime.Datum, len(*p.List))
		for i, item := range *p.List {
			all[i] = datumFrom(item, results)
		}
		return runtime.Datum{List: &all}
	}
	return runtime.Datum{}
}
